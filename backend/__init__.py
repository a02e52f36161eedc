"""Lookalike: what looks like this?

Reading order:

1. `errors`, `settings`: the words and the knobs
2. `catalogue`: products and the queue, in SQL: `models`, `products`, `outbox`
3. `images`, `embedders`: a picture becomes a vector
4. `vectors`: a vector finds its neighbours
5. `indexing`: embed what is pending, apply what is embedded, reconcile
6. `recommending`: the questions that shoppers ask
7. `bootstrap`: which of these adapters run here; `api`, `cli`: the doors
"""

__version__ = "0.1.0"
