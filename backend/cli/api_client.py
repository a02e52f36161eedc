"""How commands ask the API: over HTTP if another process owns the index, else in this process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import requests
from werkzeug.datastructures import MultiDict

from backend.errors import IndexLocked, LookalikeError

if TYPE_CHECKING:
    from flask.testing import FlaskClient

    from backend.bootstrap import Services

ASK_SECONDS = 30
FILE = "application/octet-stream"


class ApiClient:
    """Asks the API for a command, with the rights of the owner of the data folder."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def ask(
        self,
        path: str,
        parameters: Sequence[tuple[str, str]] = (),
        *,
        body: Mapping[str, Any] | None = None,
        file: bytes | None = None,
    ) -> dict[str, Any]:
        """Return what the API answers; a `body` is posted as JSON, a `file` as it is.

        Raises LookalikeError with what a problem document says; its `context` has the status.
        """
        owner = self._services.owner
        method = "GET" if body is None and file is None else "POST"
        try:
            owner.acquire()
        except (IndexLocked, OSError):  # which a folder raises that cannot be written
            if owner.url is None:
                raise
            return self._ask_owner(owner.url + path, method, parameters, body, file)
        answer = self._local.open(
            path,
            method=method,
            query_string=MultiDict(parameters),
            json=body,
            data=file,
            content_type=None if file is None else FILE,
        )
        return _read(answer.get_json(), answer.status_code)

    @cached_property
    def _local(self) -> FlaskClient:
        from backend.api import create_app

        return create_app(self._services, locked=False).test_client()

    def _ask_owner(
        self,
        url: str,
        method: str,
        parameters: Sequence[tuple[str, str]],
        body: Mapping[str, Any] | None,
        file: bytes | None,
    ) -> dict[str, Any]:
        """Ask over HTTP, with the token that the owner of the index writes for the same user."""
        token = self._services.owner.token
        headers = {"X-Api-Key": token} if token else {}
        headers |= {} if file is None else {"Content-Type": FILE}
        with requests.Session() as session:
            session.trust_env = False  # the token is for this host alone: no proxy, no ~/.netrc
            response = session.request(
                method,
                url,
                params=parameters,
                headers=headers,
                json=body,
                data=file,
                timeout=ASK_SECONDS,
            )
        return _read(response.json(), response.status_code)


def _read(body: dict[str, Any], status: int) -> dict[str, Any]:
    if status == HTTPStatus.OK:
        return body
    faults = [str(fault["detail"]) for fault in body.get("errors", [])]
    said = str(body.get("detail") or body.get("title"))
    raise LookalikeError("; ".join([said, *faults]), status=status)
