"""The latent space to look at: a folder for TensorBoard's projector, and a page of its own.

`sampling` draws products evenly by category, `sprite` lays their pictures side by side,
`tensorboard` writes the folder, `maps` flattens vectors to two dimensions, `page` shows them.
"""
