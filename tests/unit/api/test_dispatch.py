"""The app takes the same steps around a view as Flask itself, and answers the same."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import pytest
from flask import Blueprint, Flask, Response, after_this_request, g, request, signals, url_for
from flask_openapi3.models.info import Info
from werkzeug.datastructures import Headers
from werkzeug.exceptions import NotFound
from werkzeug.test import run_wsgi_app

from backend.api.dispatch import Notes, QuickApp
from backend.api.json_answers import JsonProvider
from backend.api.quick_messages import QuickHeaders


class Refused(Exception):
    """What a hook or a view may raise."""


def add_hooks(of: Any, name: str, told: list[Any]) -> None:
    """Hooks that note when they are called; the query string says which answers or raises."""

    def before() -> Any:
        told.append(("before", name, request.endpoint))
        g.seen = name
        if request.args.get("raise") == name:
            raise Refused(name)
        return {"by": name} if request.args.get("answer") == name else None

    def after(response: Response) -> Response:
        told.append(("after", name, response.status_code, response.content_length))
        response.headers[f"X-{name}"] = str(g.get("seen"))
        return response

    of.before_request(before)
    of.after_request(after)
    of.teardown_request(lambda error: told.append(("end", name, repr(error))))


def make_app(kind: type[Flask], told: list[Any]) -> Flask:
    """An app with hooks of its own and of nested blueprints, which note what happens."""
    options: dict[str, Any] = {"static_folder": None}
    if kind is QuickApp:
        options |= {"info": Info(title="", version=""), "doc_prefix": "/docs"}
    app = kind("app", **options)
    app.json = JsonProvider(app)
    outer, inner = Blueprint("outer", "app"), Blueprint("inner", "app")

    for place, name in ((app, "app"), (outer, "outer"), (inner, "inner"), (app, "last")):
        add_hooks(place, name, told)

    @inner.get("/of/<name>")
    def of(name: str) -> Any:
        told.append((request.host, request.path, request.root_path, request.query_string))
        told.append((request.url, request.remote_addr, request.server, str(request.url_rule)))
        told.append((url_for(".of", name="ä b"), url_for("plain", _external=True)))
        if request.args.get("raise") == "view":
            raise Refused(name)

        @after_this_request
        def also(response: Response) -> Response:
            told.append("after this request")
            return response

        return {"name": name}, int(request.args.get("status", 200))

    @app.route("/plain", methods=["GET", "POST"])
    def plain() -> Any:
        return {"n": 1}

    @app.get("/texts")
    def texts() -> Any:
        return Response(iter(["a", "ü"]), mimetype="text/plain", headers={"Location": "/plain"})

    app.register_error_handler(Refused, lambda error: ({"refused": str(error)}, 409))
    app.register_error_handler(NotFound, lambda _error: ({"missing": request.path}, 404))
    outer.register_blueprint(inner, url_prefix="/inner")
    app.register_blueprint(outer, url_prefix="/outer")
    return app


def environ(target: str, method: str = "GET", **changes: str) -> dict[str, Any]:
    """An environment as our gateway makes it."""
    path, _, query = target.partition("?")
    usual = {"SERVER_NAME": "127.0.0.1", "SERVER_PORT": "8000", "HTTP_HOST": "shop.example:8000"}
    made: dict[str, Any] = {
        **usual,
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "10.0.0.7",
        "wsgi.url_scheme": "http",
        "wsgi.input": BytesIO(),
        "wsgi.errors": None,
        **changes,
    }
    return {name: value for name, value in made.items() if value != "absent"}


ASKED = {
    "a view": environ("/outer/inner/of/red"),
    "a status of its own": environ("/outer/inner/of/red?status=201"),
    "no content": environ("/outer/inner/of/red?status=204"),
    "not modified": environ("/outer/inner/of/red?status=304"),
    "an app's view": environ("/plain"),
    "an app's view by POST": environ("/plain", "POST"),
    "HEAD": environ("/plain", "HEAD"),
    "OPTIONS": environ("/plain", "OPTIONS"),
    "another method": environ("/plain", "DELETE"),
    "texts and a place": environ("/texts"),
    "no such path": environ("/outer/none"),
    "two slashes": environ("//outer///inner/of/red"),
    "a hook of the app answers": environ("/outer/inner/of/red?answer=app"),
    "a hook of a blueprint answers": environ("/outer/inner/of/red?answer=inner"),
    "a hook raises": environ("/outer/inner/of/red?raise=outer"),
    "the view raises": environ("/outer/inner/of/red?raise=view"),
    "letters beyond ASCII": environ("/outer/inner/of/r\u00c3\u00b6d"),
    "a query beyond ASCII": environ("/plain?q=\u00c3\u00b6"),
    "below a prefix": environ("/outer/inner/of/red", SCRIPT_NAME="/shop"),
    "another scheme": environ("/plain", **{"wsgi.url_scheme": "https"}),
    "the usual port": environ("/outer/inner/of/red", HTTP_HOST="shop.example:80"),
    "capitals in a host": environ("/outer/inner/of/red", HTTP_HOST="Shop.Example"),
    "no host": environ("/outer/inner/of/red", HTTP_HOST="absent"),
    "an address as host": environ("/outer/inner/of/red", HTTP_HOST="[::1]:8000"),
    "a host that is none": environ("/outer/inner/of/red", HTTP_HOST="a b/c"),
    "a host of long labels": environ("/outer/inner/of/red", HTTP_HOST=f"{'a' * 70}.example"),
    "a host with dots": environ("/outer/inner/of/red", HTTP_HOST="a..example"),
    "no server": environ("/plain", SERVER_NAME="absent"),
    "a socket": environ("/plain", SERVER_PORT="absent"),
    "websocket": environ("/plain", HTTP_CONNECTION="Upgrade", HTTP_UPGRADE="websocket"),
}


@pytest.mark.parametrize("name", list(ASKED))
def test_the_same_happens_as_with_flask(name: str) -> None:
    told: dict[type[Flask], list[Any]] = {QuickApp: [], Flask: []}
    for kind, steps in told.items():
        app = make_app(kind, steps)
        for _ in range(2):  # the second time what was remembered is used
            body, status, headers = run_wsgi_app(app, dict(ASKED[name]), buffered=True)
            steps.append((b"".join(body), status, sorted(headers)))
    assert told[QuickApp]
    assert told[QuickApp] == told[Flask]


def test_an_error_without_a_handler_is_raised_and_the_context_ends() -> None:
    told: list[Any] = []
    app = make_app(QuickApp, told)
    app.testing = True
    app.error_handler_spec[None][None].clear()
    with pytest.raises(Refused, match="view"):
        app.test_client().get("/outer/inner/of/view?raise=view")
    assert told[-1] == ("end", "app", "Refused('view')")
    with pytest.raises(RuntimeError, match="outside of application context"):
        _ = g.seen


@pytest.mark.parametrize(
    "name",
    [
        "request_started",
        "request_finished",
        "request_tearing_down",
        "appcontext_pushed",
        "appcontext_tearing_down",
        "appcontext_popped",
    ],
)
def test_signals_are_sent_to_those_who_listen(name: str) -> None:
    app, heard = make_app(QuickApp, []), list[Any]()

    def listen(sender: Any, **_: Any) -> None:
        heard.append(sender)

    with getattr(signals, name).connected_to(listen):
        assert app.test_client().get("/plain").status_code == 200
    assert heard == [app]


def test_a_context_can_be_kept_after_its_request() -> None:
    app = make_app(QuickApp, [])
    with app.test_client() as client:
        client.get("/plain")
        assert request.path == "/plain"
        client.get("/outer/inner/of/red")
        assert request.endpoint == "outer.inner.of"


def test_notes_and_headers_are_found_as_in_flask_s_own() -> None:
    notes = Notes()
    setattr(notes, "one", 1)  # noqa: B010  # mypy does not know it
    assert "one" in notes
    assert notes.get("two") is None
    assert notes.pop("one") == 1
    assert list(notes) == []
    headers = QuickHeaders.of(("Content-Type", "text/plain"), ("Vary", "Accept"))
    assert "content-TYPE" in headers
    assert "content" not in headers
    assert headers.to_wsgi_list() == [("Content-Type", "text/plain"), ("Vary", "Accept")]


def test_headers_are_set_as_in_werkzeug_s_own() -> None:
    for made in (QuickHeaders.of(("Vary", "Accept")), Headers([("Vary", "Accept")])):
        made["ETag"] = "a"
        made["vary"] = "Origin"
        made["Age"] = 3
        assert list(made) == [("vary", "Origin"), ("ETag", "a"), ("Age", "3")]
        with pytest.raises(ValueError, match="newline"):
            made["X-Id"] = "a\r\nSet-Cookie: b"
