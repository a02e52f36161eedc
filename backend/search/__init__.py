"""Find similar products, and measure how good the answers are.

Reading order: `similar` (the queries), `query_product` and `found` (the two statements of a query,
which are in `statements`), `answering` (one list, from the query's vector to the answer),
`collecting` (its rounds), `selection` (which hits it shows), `list_rules` and `ruling`,
`similar_batch` (many queries), `query_image` (an image becomes a query vector), `coverage` (how
much the index holds), `recall`, `recall_monitor` and `filter_recall` (compare a sample with exact
search), `ranking` (metrics).
"""
