"""The doorbell of the distributed set-up: Celery, and nothing but Celery."""
