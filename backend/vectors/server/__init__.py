"""The index on a Qdrant server or cluster.

- `index`: the `VectorIndex` of one generation; `queries`: what it sends
- `connection`: the connection and its collection, made by the first call
- `collection`: making, checking and dropping a collection, and its alias
- `calls`: when a call is tried again, and what the server's errors mean

This module imports none of them: qdrant-client takes a second to import.
"""
