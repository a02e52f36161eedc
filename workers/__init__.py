"""Celery: a doorbell for the queue that is SQL, and the one road for a shopper's picture.

Reading order: `names` (what goes over the wire), `app` (Celery from settings), `doorbell` and
`interactive` (what web processes use, by way of `services`), `tasks` (what a worker does when it is
knocked), `process` (the worker process), `pulse` and `supervisor` (what keeps it alive), `beat`
(the clock).
"""
