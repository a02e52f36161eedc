"""Maps of the vectors: a folder for TensorBoard's projector, and an HTML page.

`sampling` draws products of all categories, `sprite` draws their images on one sheet,
`tensorboard_folder` writes the folder, `maps` projects vectors to two dimensions, `page` writes the
page.
"""
