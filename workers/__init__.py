"""Celery: wake-up messages for the queue in SQL, and shoppers' images on their way to a worker.

Reading order: `names` (of queues and tasks), `app` (Celery from settings), `notifier` and
`interactive` (what API processes use, through `services`), `tasks` (what a worker does on a
message), `process` (the worker process), `heartbeat` and `supervisor` (what keeps it alive),
`scheduler` (what sends messages at fixed times), `health` (what health checks look at).
"""
