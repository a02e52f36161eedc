"""A typed client of Lookalike's API."""

from lookalike_client.client import AsyncClient, Client
from lookalike_client.requests import Answer, Fields, LookalikeError

__all__ = ["Answer", "AsyncClient", "Client", "Fields", "LookalikeError"]
