"""A shop whose API needs a key, and keys for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import delete

from backend.access import keys
from backend.access.scope import Scope
from backend.api import create_app
from backend.bootstrap import Services
from backend.database.models import ApiKey
from backend.settings import read_settings
from support.shop import Shop

UNKNOWN = f"lk_{'0' * 12}_{'f' * 64}"
"""A key as it could be, and is not."""


def make_key(services: Services, scope: Scope) -> str:
    """A new key, as its holder sends it."""
    made = services.db.write(lambda session: keys.create(session, scope.value, scope=scope))
    return made.token


def bearer(token: str) -> dict[str, str]:
    """The header that a key comes in."""
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture
def locked(shop: Shop) -> Iterator[FlaskClient]:
    """A client without a key of an API that needs one."""
    yield create_app(shop.services, locked=True).test_client()
    shop.services.db.write(lambda session: session.execute(delete(ApiKey)))


@pytest.fixture
def token(locked: FlaskClient, shop: Shop) -> Callable[[Scope], str]:
    """Makes the key of a scope, once."""
    made: dict[Scope, str] = {}
    return lambda scope: made.get(scope) or made.setdefault(scope, make_key(shop.services, scope))


def with_settings(services: Services, **changes: Any) -> Services:
    """The same services under other settings."""
    settings = read_settings(**{**services.settings.model_dump(), **changes}, _env_file=None)
    return replace(services, settings=settings)


def app_with(services: Services, **changes: Any) -> Flask:
    """The app that these services have under other settings."""
    return create_app(with_settings(services, **changes))
