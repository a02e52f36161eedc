"""The composition root: settings -> services. Only the entry points (api, cli, worker) take them.

All other code takes the few objects and functions that it uses, never the services.
"""

from backend.bootstrap.building import build, explain
from backend.bootstrap.parts import query_fetcher
from backend.bootstrap.services import Services

__all__ = ["Services", "build", "explain", "query_fetcher"]
