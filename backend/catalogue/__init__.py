"""What we sell: SQL, the truth.

Read `models` (the rows), `products` (save, patch, remove, get), then `outbox` (the queue).
"""
