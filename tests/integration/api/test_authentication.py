"""Authentication: which requests a key allows, and that no key is written to a log."""

from __future__ import annotations

import io
import re
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import structlog
from flask.testing import FlaskClient
from openapi_spec_validator import OpenAPIV31SpecValidator
from sqlalchemy.exc import OperationalError
from support.keys import UNKNOWN, bearer, make_key, with_settings
from support.shop import PROBLEM, Shop

from backend import logs
from backend.access import keys
from backend.access.scope import Scope
from backend.api import authentication, create_app, scopes
from backend.api.scopes import PUBLIC
from backend.bootstrap import Services
from backend.settings import Settings, read_settings
from backend.vectors.edge.owner import Owner

READ, INGEST, ADMIN = Scope

OPERATIONS = [
    ("GET", "/v1/products", READ),
    ("GET", "/v1/products/<sku>", READ),
    ("GET", "/v1/products/<sku>/image", READ),
    ("GET", "/v1/products/<sku>/similar", READ),
    ("POST", "/v1/similar", READ),
    ("POST", "/v1/similar:batch", READ),
    ("GET", "/v1/facets", READ),
    ("GET", "/v1/status", READ),
    ("PUT", "/v1/products/<sku>", INGEST),
    ("PATCH", "/v1/products/<sku>", INGEST),
    ("DELETE", "/v1/products/<sku>", INGEST),
    ("PUT", "/v1/products/<sku>/image", INGEST),
    ("DELETE", "/v1/products/<sku>/image", INGEST),
    ("GET", "/v1/products/<sku>/images/<number>", READ),
    ("PUT", "/v1/products/<sku>/images/<number>", INGEST),
    ("DELETE", "/v1/products/<sku>/images/<number>", INGEST),
    ("POST", "/v1/products:batch", INGEST),
    ("POST", "/v1/products:import", INGEST),
    ("GET", "/v1/imports/<id>", INGEST),
    ("POST", "/v1/products:patch", INGEST),
    ("POST", "/v1/products:delete", INGEST),
    ("POST", "/v1/products:read", READ),
    ("GET", "/v1/quarantine", ADMIN),
    ("POST", "/v1/quarantine:retry", ADMIN),
    ("POST", "/v1/quarantine:discard", ADMIN),
    ("GET", "/v1/jobs/<id>", ADMIN),
    ("GET", "/v1/admin/jobs", ADMIN),
    ("GET", "/v1/admin/jobs/<id>", ADMIN),
    ("POST", "/v1/admin/jobs/<id>/cancel", ADMIN),
    ("POST", "/v1/admin/purge", ADMIN),
    ("POST", "/v1/events:batch", INGEST),
    ("POST", "/v1/events", INGEST),
    ("GET", "/v1/users/<user>/events", ADMIN),
    ("GET", "/v1/users/<user>/answers", ADMIN),
    ("DELETE", "/v1/users/<user>", ADMIN),
    ("POST", "/v1/recommendations", READ),
    ("GET", "/v1/users/<user>/recommendations", READ),
    ("GET", "/v1/products/<sku>/together", READ),
    ("GET", "/v1/trending", READ),
    ("GET", "/v1/new-products", READ),
    ("GET", "/v1/recommendations/<recommendation_id>", ADMIN),
    ("GET", "/v1/admin/experiments", ADMIN),
    ("GET", "/v1/admin/experiments/<name>", ADMIN),
    ("PUT", "/v1/admin/experiments/<name>", ADMIN),
    ("DELETE", "/v1/admin/experiments/<name>", ADMIN),
    ("GET", "/v1/admin/placements", ADMIN),
    ("GET", "/v1/admin/placements/<name>", ADMIN),
    ("GET", "/v1/admin/placements/<name>/history", ADMIN),
    ("PUT", "/v1/admin/placements/<name>", ADMIN),
    ("DELETE", "/v1/admin/placements/<name>", ADMIN),
    ("GET", "/v1/admin/rules", ADMIN),
    ("POST", "/v1/admin/rules", ADMIN),
    ("POST", "/v1/admin/rules:preview", ADMIN),
    ("GET", "/v1/admin/rules/<id>", ADMIN),
    ("PUT", "/v1/admin/rules/<id>", ADMIN),
    ("DELETE", "/v1/admin/rules/<id>", ADMIN),
    ("GET", "/v1/admin/rules/<id>/history", ADMIN),
    ("GET", "/v1/admin/feeds", ADMIN),
    ("POST", "/v1/admin/feeds", ADMIN),
    ("GET", "/v1/admin/feeds/<name>", ADMIN),
    ("PATCH", "/v1/admin/feeds/<name>", ADMIN),
    ("DELETE", "/v1/admin/feeds/<name>", ADMIN),
    ("POST", "/v1/admin/feeds/<name>/run", ADMIN),
    ("POST", "/v1/admin/reindex", ADMIN),
    ("GET", "/v1/admin/generations", ADMIN),
    ("GET", "/v1/admin/generations/<generation:id>", ADMIN),
    ("POST", "/v1/admin/generations/<generation:id>/promote", ADMIN),
    ("POST", "/v1/admin/generations/rollback", ADMIN),
    ("DELETE", "/v1/admin/generations/<generation:id>", ADMIN),
    ("GET", "/metrics", ADMIN),
    ("GET", "/livez", PUBLIC),
    ("GET", "/readyz", PUBLIC),
    ("GET", "/openapi.json", PUBLIC),
    ("GET", "/manual/", PUBLIC),
    ("GET", "/manual/<path:place>", PUBLIC),
    ("GET", "/docs/", PUBLIC),
    ("GET", "/docs/openapi.json", PUBLIC),
    ("GET", "/docs/swagger", PUBLIC),
    ("GET", "/docs/oauth2-redirect.html", PUBLIC),
    ("GET", "/docs/static/<path:filename>", PUBLIC),
    ("GET", "/docs/swagger/<path:filename>", PUBLIC),
]


# --- what each view demands ----------------------------------------------------------------------


def test_every_route_demands_what_was_decided(shop: Shop) -> None:
    found = {
        (method, rule.rule, scopes.required_scope(shop.app, rule.endpoint))
        for rule in shop.app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert found == set(OPERATIONS)


@pytest.mark.parametrize(("method", "rule", "needed"), OPERATIONS)
def test_a_view_answers_keys_of_its_scope_and_above_alone(
    locked: FlaskClient,
    token: Callable[[Scope], str],
    method: str,
    rule: str,
    needed: Scope | None,
) -> None:
    url = re.sub(r"<\w+:?\w*>", "1", rule)
    if needed is PUBLIC:
        assert locked.open(url, method=method).status_code not in (401, 403, 429)
        return
    assert locked.open(url, method=method).status_code == 401
    for scope in Scope:
        answered = locked.open(url, method=method, headers=bearer(token(scope)))
        assert (answered.status_code != 403) == scope.includes(needed)
        assert answered.status_code != 401


def test_a_view_that_was_forgotten_is_for_admins_alone(
    shop: Shop, locked: FlaskClient, token: Callable[[Scope], str]
) -> None:
    app = create_app(shop.services, locked=True)
    app.add_url_rule("/new", "new", lambda: "secret")
    statuses = {
        scope: app.test_client().get("/new", headers=bearer(token(scope))).status_code
        for scope in Scope
    }
    assert statuses == {READ: 403, INGEST: 403, ADMIN: 200}


def test_what_does_not_exist_is_404_also_without_a_key(locked: FlaskClient) -> None:
    assert locked.get("/v1/nothing").status_code == 404


def test_an_app_that_is_not_locked_asks_for_no_key_and_minds_none(shop: Shop) -> None:
    assert shop.client.get("/v1/status").status_code == 200
    assert shop.client.get("/v1/status", headers=bearer(UNKNOWN)).status_code == 200


# --- how a key is sent, and what is answered without one ------------------------------------------


def test_without_a_key_the_answer_says_how_to_send_and_how_to_make_one(locked: FlaskClient) -> None:
    refused = locked.put("/v1/products/1", json={})
    assert (refused.status_code, refused.content_type) == (401, PROBLEM)
    assert refused.headers["WWW-Authenticate"] == 'Bearer realm="lookalike"'
    assert refused.json["code"] == "missing-key"
    for hint in ("Authorization: Bearer", "X-Api-Key", "lookalike keys create NAME --scope ingest"):
        assert hint in refused.json["detail"]
    assert refused.json["request_id"] == refused.headers["X-Request-Id"]


def test_a_key_may_come_in_either_header(
    locked: FlaskClient, token: Callable[[Scope], str]
) -> None:
    key = token(READ)
    sent = [
        bearer(key),
        {"Authorization": f"bearer {key}"},
        {"X-Api-Key": key},
        {"X-Api-Key": key, "Authorization": "Basic cHJveHk6c2VjcmV0"},
    ]
    assert [locked.get("/v1/status", headers=headers).status_code for headers in sent] == [200] * 4


def test_a_key_in_the_address_is_not_looked_at(
    locked: FlaskClient, token: Callable[[Scope], str]
) -> None:
    for name in ("api_key", "key", "access_token", "X-Api-Key"):
        refused = locked.get("/v1/products", query_string={name: token(READ)})
        assert refused.json["code"] == "missing-key"
        assert token(READ) not in refused.text


@pytest.mark.parametrize("sent", [UNKNOWN, "lk_", "secret", "' OR 1=1 --", "ü"])
def test_a_key_that_is_none_is_401_and_not_repeated(locked: FlaskClient, sent: str) -> None:
    refused = locked.get("/v1/status", headers=bearer(sent))
    assert (refused.status_code, refused.content_type) == (401, PROBLEM)
    assert refused.json["code"] == "invalid-key"
    assert 'error="invalid_token"' in refused.headers["WWW-Authenticate"]
    assert len(sent) < 4 or sent not in refused.text


def test_a_key_of_a_lesser_scope_is_403_and_told_both(
    locked: FlaskClient, token: Callable[[Scope], str]
) -> None:
    refused = locked.delete("/v1/products/1", headers=bearer(token(READ)))
    assert (refused.status_code, refused.content_type) == (403, PROBLEM)
    assert refused.json["code"] == "insufficient-scope"
    assert 'error="insufficient_scope"' in refused.headers["WWW-Authenticate"]
    assert "the scope ingest; the key's is read" in refused.json["detail"]
    assert token(READ) not in refused.text


def test_a_body_is_not_read_before_the_key_is(locked: FlaskClient) -> None:
    class Unread(io.BytesIO):
        def read(self, *_: object) -> bytes:
            raise AssertionError("read")

    refused = locked.put("/v1/products/1/image", input_stream=Unread(), content_length=10)
    assert refused.status_code == 401


# --- nothing of it in a log ----------------------------------------------------------------------


class Terminal(io.StringIO):
    """A terminal, before which errors are printed at their most talkative."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(params=[io.StringIO, Terminal])
def written(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, usual_logs: None
) -> io.StringIO:
    """What all logs write at their most talkative: JSON, or for a terminal."""
    stream: io.StringIO = request.param()
    monkeypatch.setattr(sys, "stderr", stream)
    logs.configure("debug")
    return stream


def test_a_key_is_never_in_a_log(
    locked: FlaskClient,
    token: Callable[[Scope], str],
    written: io.StringIO,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for key in (token(READ), UNKNOWN):
        for method in ("GET", "PUT"):
            locked.open("/v1/products/1", method=method, headers=bearer(key))
            locked.open("/v1/products/1", method=method, headers={"X-Api-Key": key})

    def break_down(session: object, token: str) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(keys, "check", break_down)
    assert locked.get("/v1/status", headers=bearer(f"{UNKNOWN[:-1]}0")).status_code == 500
    text = re.sub(r"\x1b\[[0-9;]*m", "", written.getvalue())
    for told in ("RuntimeError: broken", "key refused", token(READ).rpartition("_")[0]):
        assert told in text
    for secret in (token(READ), UNKNOWN, UNKNOWN[:-1]):
        for part in (secret, secret.rpartition("_")[2], secret.rpartition("_")[2][:20]):
            assert part not in text


def test_the_log_tells_whose_request_it_was(
    locked: FlaskClient, token: Callable[[Scope], str], written: io.StringIO
) -> None:
    locked.get("/v1/status", headers=bearer(token(READ)))
    (line,) = (line for line in written.getvalue().splitlines() if "/v1/status" in line)
    assert token(READ).rpartition("_")[0] in line


# --- when a key is needed ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "is_locked"),
    [
        ({}, False),
        ({"host": "localhost"}, False),
        ({"host": "127.9.9.9"}, False),
        ({"host": "::1"}, False),
        ({"host": "0.0.0.0"}, True),
        ({"host": "::"}, True),
        ({"host": ""}, True),
        ({"host": "192.0.2.1"}, True),
        ({"host": "localhost.shop.example"}, True),
        ({"proxies": 1}, True),
        ({"require_keys": True}, True),
        ({"host": "0.0.0.0", "require_keys": False}, False),
        ({"proxies": 1, "require_keys": False}, False),
    ],
)
def test_keys_are_needed_as_soon_as_others_can_reach_the_server(
    settings: Settings, changes: dict[str, Any], is_locked: bool
) -> None:
    assert read_settings(_env_file=None, **changes).locked == is_locked


def test_readyz_says_that_there_is_no_valid_key_and_what_to_do(
    shop: Shop, locked: FlaskClient
) -> None:
    down = locked.get("/readyz")
    assert (down.status_code, down.content_type) == (503, PROBLEM)
    assert "`lookalike keys create NAME --scope read` makes one" in down.json["checks"]["keys"]
    make_key(shop.services, READ)
    assert locked.get("/readyz").json["checks"]["keys"] == "ok"


def test_readyz_blames_the_database_where_it_does_not_answer(
    locked: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(_: object) -> None:
        raise OperationalError("SELECT", {}, ConnectionError("no route to host"))

    monkeypatch.setattr(keys, "is_any_live", unreachable)
    checks = locked.get("/readyz").json["checks"]
    assert checks["keys"] == "unknown, since the database does not answer"


# --- what the description says of it --------------------------------------------------------------


def test_the_description_names_the_schemes_and_each_operations_scope(locked: FlaskClient) -> None:
    described = locked.get("/openapi.json").json
    assert not list(OpenAPIV31SpecValidator(described).iter_errors())
    schemes = described["components"]["securitySchemes"]
    assert (schemes["bearer"]["type"], schemes["bearer"]["scheme"]) == ("http", "bearer")
    assert (schemes["header"]["in"], schemes["header"]["name"]) == ("header", "X-Api-Key")
    for method, rule, scope in OPERATIONS:
        if rule.startswith(("/docs", "/manual", "/openapi")):
            continue
        operation = described["paths"][re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule)][method.lower()]
        ways = [{"bearer": [scope]}, {"header": [scope]}] if scope else []
        assert operation["security"] == ways
        assert ({"401", "403", "429"} <= set(operation["responses"])) == bool(scope)


def test_an_app_that_is_not_locked_describes_keys_as_optional(client: FlaskClient) -> None:
    described = client.get("/openapi.json").json
    assert described["paths"]["/v1/status"]["get"]["security"][0] == {}


# --- the owner's token ---------------------------------------------------------------------------


def test_the_owners_token_is_for_its_user_alone_and_another_one_each_time(tmp_path: Path) -> None:
    file = tmp_path / "owner.json"
    tokens = []
    for _ in range(2):
        (tmp_path / ".owner.json.new").touch(0o666)  # left by a killed process
        owner = Owner(tmp_path)
        owner.acquire(url="http://127.0.0.1:8000")
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        tokens.append(Owner(tmp_path).token)
        owner.release()
        assert Owner(tmp_path).token is None
    assert tokens[0]
    assert tokens[0] != tokens[1]


def test_the_owner_recognises_its_own_token_alone_and_only_while_it_is_the_owner(
    tmp_path: Path,
) -> None:
    owner, beside = Owner(tmp_path), Owner(tmp_path)
    owner.acquire()
    token = beside.token
    assert token
    assert owner.recognises(token)
    assert not beside.recognises(token)
    for other in ("", "None", token[:-1], f"{token} ", "ü"):
        assert not owner.recognises(other)
    owner.release()
    assert not owner.recognises(token)


def test_the_owners_token_reads_and_does_not_write(shop: Shop, locked: FlaskClient) -> None:
    headers = {"X-Api-Key": str(Owner(shop.services.settings.data_dir).token)}
    assert locked.get("/v1/status", headers=headers).status_code == 200
    assert locked.put("/v1/products/1", json={}, headers=headers).status_code == 403


# --- a server that others can reach --------------------------------------------------------------


def warnings(services: Services, **changes: Any) -> list[str]:
    """What a server with these settings warns of when it starts."""
    with structlog.testing.capture_logs() as logged:
        authentication.warn_about_keys(with_settings(services, **changes))
    assert {line["log_level"] for line in logged} <= {"warning"}
    return [str(line["event"]) for line in logged]


def test_a_server_warns_when_there_is_no_valid_key_or_none_is_needed(
    shop: Shop, locked: FlaskClient
) -> None:
    assert warnings(shop.services) == []
    assert warnings(shop.services, require_keys=False) == [], "nobody else is there"
    (no_key,) = warnings(shop.services, host="0.0.0.0")
    assert "there is no valid API key" in no_key
    (exposed,) = warnings(shop.services, host="0.0.0.0", require_keys=False)
    assert "no API key is needed" in exposed
    make_key(shop.services, READ)
    assert warnings(shop.services, host="0.0.0.0") == []
