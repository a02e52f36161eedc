"""Lookalike: similar products by their images.

Reading order: `settings` (what an operator can set), `database.models` (the rows),
`queue` (what is left to do), `catalogue.products` (how a product comes in), `images.decoder_pool`
(bytes -> image), `embedders` (image -> vector), `vectors` (vector -> nearest ids), `indexing` (from
a product to a point), `worker.loop` (who does it), `search.similar` (the query), `bootstrap` (how
it is put together), then the entry points: `api`, `cli`, `wsgi`. ARCHITECTURE.md has the whole map.
"""

__version__ = "0.1.0"
