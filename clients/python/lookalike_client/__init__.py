"""A typed client of Lookalike's API."""

from lookalike_client.client import AsyncClient, Client
from lookalike_client.operations import Operations
from lookalike_client.requests import Answer, Fields, LookalikeError, Request

__all__ = ["Answer", "AsyncClient", "Client", "Fields", "LookalikeError", "Operations", "Request"]
