"""A browser at the operator's page of a shop."""

from __future__ import annotations

import re
from typing import Any, Final

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from backend.api import create_app
from backend.web import register_web
from support.keys import with_settings
from support.pages import HTML, pages_of, token_in
from support.shop import Shop

PAGES: Final = (
    "",
    "/generations",
    "/quarantine",
    "/feeds",
    "/feeds/new",
    "/jobs",
    "/search",
    "/rules",
    "/rules/new",
    "/evaluation",
)
"""The pages of every section, below /admin."""


class OperatorBrowser:
    """Opens pages below /admin, and sends their forms with the token that they hold.

    With `settings` of its own the app is made anew.
    """

    def __init__(
        self, shop: Shop, *, locked: bool = False, fresh: bool = False, **settings: Any
    ) -> None:
        if not settings:
            self.client: FlaskClient = pages_of(shop, locked=locked, fresh=fresh)
            return
        services = with_settings(shop.services, **settings)
        app = create_app(services, locked=locked)
        register_web(app, services, locked=locked)
        self.client = app.test_client()

    def get(self, path: str = "", **query: Any) -> TestResponse:
        return self.client.get(f"/admin{path}", query_string=query, headers=HTML)

    def read(self, path: str = "", **query: Any) -> str:
        """A page that has to be there."""
        answer = self.get(path, **query)
        assert answer.status_code == 200, answer.text
        return answer.text

    def sign_in(self, token: str) -> TestResponse:
        form = {"key": token, "next": "/admin"}
        return self.client.post("/sign-in", data=form, headers=HTML)

    def send(self, page: str, action: str, /, **form: Any) -> TestResponse:
        """Send a form of a page as a browser does."""
        token = token_in(self.read(page))
        data = {"csrf_token": token, **form}
        return self.client.post(f"/admin{action}", data=data, headers=HTML)

    def act(self, page: str, action: str, /, **form: Any) -> str:
        """Send a form that must be accepted; return the page that it leads to."""
        sent = self.send(page, action, **form)
        assert sent.status_code == 303, sent.text
        return self.client.get(sent.headers["Location"], headers=HTML).text


def text_of(page: str) -> str:
    """What a reader sees of a page: one line without tags."""
    without = re.sub(r"<(head|script|style).*?</\1>", " ", page, flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", without))
