"""What the shop sells. SQL holds the truth; the vector index is derived from it.

Reading order: `drafts` (what a product may hold), `products` (save, patch, remove, get) with
`save_products` and `merge`, `filter_sql` (list by a filter), `image_vectors` (what was computed),
then `sources` (kinds of feeds) and `import_run` (a feed -> products).
"""
