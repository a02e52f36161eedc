"""Find similar products, and measure how good the answers are.

Reading order: `similar` (the queries), `collecting` (one query's rounds), `query_product` and
`found` (the two statements of a query, which are in `statements`), `query_vectors`, `query_image`
(an image becomes a query vector), `coverage` (how much the index holds), `recall`, `recall_monitor`
and `filter_recall` (compare a sample with exact search), `ranking` (metrics).
"""
