"""What all web pages share: files, headers, errors, sessions, and that they can be left out."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from flask.testing import FlaskClient
from sqlalchemy import delete
from support.image_files import colour_image
from support.keys import UNKNOWN, bearer, make_key, with_settings
from support.pages import HTML, pages_of, token_in
from support.shop import PROBLEM, Shop

from backend.access import keys
from backend.access.scope import Scope
from backend.api import create_app
from backend.database.models import ApiKey
from backend.web import register_web
from backend.web.session import COOKIE


@pytest.fixture
def browser(shop: Shop) -> FlaskClient:
    return pages_of(shop)


@pytest.fixture
def locked_browser(shop: Shop) -> Iterator[FlaskClient]:
    yield pages_of(shop, locked=True)
    shop.services.db.write(lambda session: session.execute(delete(ApiKey)))


def sign_in(browser: FlaskClient, token: str, **form: str) -> int:
    return browser.post("/sign-in", data={"key": token, **form}).status_code


def test_a_page_names_only_this_server_and_its_policy_allows_only_that(
    browser: FlaskClient,
) -> None:
    answer = browser.get("/")
    addresses = re.findall(r'(?:src|href)="([^"]+)"', answer.text)
    policy = answer.headers["Content-Security-Policy"]

    assert answer.status_code == 200
    assert addresses
    assert all(it.startswith(("/", "#")) and not it.startswith("//") for it in addresses)
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy
    assert not re.search(r"<script(?![^>]*\bsrc=)|\son\w+=|\sstyle=", answer.text)


def test_static_files_are_kept_for_a_year_and_asked_again_by_tag(browser: FlaskClient) -> None:
    found = re.search(r'href="(/static/(\w+)/app\.css)"', browser.get("/").text)
    assert found
    first = browser.get(found[1])
    again = browser.get(found[1], headers={"If-None-Match": first.headers["ETag"]})
    of_other_version = browser.get("/static/000000000000/app.css")

    assert first.mimetype == "text/css"
    assert "immutable" in first.headers["Cache-Control"]
    assert again.status_code == 304
    assert of_other_version.headers["Cache-Control"] == "no-cache"
    assert browser.get(f"/static/{found[2]}/../app.py").status_code == 404


def test_paths_that_nothing_answers_stay_problems(browser: FlaskClient) -> None:
    for path in ("/v1/nothing", "/nothing", "/static/x/nothing.css"):
        answer = browser.get(path, headers=HTML)
        assert (answer.status_code, answer.mimetype) == (404, PROBLEM)


def test_a_wrong_address_of_a_page_is_a_page_for_people_and_a_problem_for_scripts(
    browser: FlaskClient,
) -> None:
    shown = browser.get("/?cursor=<script>", headers=HTML)
    told = browser.get("/?cursor=<script>", headers={"Accept": "application/json"})

    assert (shown.status_code, shown.mimetype) == (422, "text/html")
    assert "<script>" not in shown.text
    assert (told.status_code, told.mimetype) == (422, PROBLEM)


def test_the_pages_can_be_left_out(shop: Shop) -> None:
    services = with_settings(shop.services, web=False)
    app = create_app(services)
    register_web(app, services)
    for path in ("/", "/sign-in", "/photo", "/products/a"):
        answer = app.test_client().get(path, headers=HTML)
        assert (answer.status_code, answer.mimetype) == (404, PROBLEM)


def test_behind_a_proxy_all_addresses_begin_with_its_prefix(shop: Shop) -> None:
    services = with_settings(shop.services, proxies=1)
    app = create_app(services, locked=False)
    register_web(app, services, locked=False)
    shop.save("a", colour_image("red"))
    headers = {**HTML, "X-Forwarded-Prefix": "/shop", "X-Forwarded-For": "192.0.2.1"}
    browser = app.test_client()
    for path in ("/", "/shop/", "/shop/products/a"):
        page = browser.get(path, headers=headers)
        addresses = re.findall(r'(?:src|href|action|data-\w+)="(/[^"]*)"', page.text)
        assert page.status_code == 200
        assert len(addresses) > 8
        assert [it for it in addresses if not it.startswith("/shop/")] == []


def test_where_keys_are_needed_a_person_is_asked_for_one_and_a_script_is_told(
    locked_browser: FlaskClient,
) -> None:
    asked = locked_browser.get("/?q=a", headers=HTML)
    told = locked_browser.get("/", headers={"Accept": "application/json"})

    assert asked.status_code == 303
    assert asked.location == "/sign-in?next=/?q%3Da"
    assert told.json is not None
    assert (told.status_code, told.json["code"]) == (401, "missing-key")


def test_a_key_opens_the_pages_and_not_the_api(shop: Shop, locked_browser: FlaskClient) -> None:
    token = make_key(shop.services, Scope.READ)

    assert sign_in(locked_browser, UNKNOWN) == 401
    assert sign_in(locked_browser, token) == 303
    cookie = locked_browser.get_cookie(COOKIE)
    assert cookie is not None
    assert cookie.http_only
    assert cookie.same_site == "Strict"
    assert token.rpartition("_")[2] not in cookie.value
    assert locked_browser.get("/").status_code == 200
    assert locked_browser.get("/v1/products").status_code == 401


def test_a_session_ends_with_its_key_and_by_signing_out(
    shop: Shop, locked_browser: FlaskClient
) -> None:
    made = shop.services.db.write(lambda it: keys.create(it, "shown", scope=Scope.READ))
    sign_in(locked_browser, made.token)
    cookie = locked_browser.get_cookie(COOKIE)
    assert cookie is not None
    forms_token = token_in(locked_browser.get("/").text)

    assert locked_browser.post("/sign-out").status_code == 403
    assert locked_browser.post("/sign-out", data={"csrf_token": forms_token}).status_code == 303
    assert locked_browser.get("/").status_code in (303, 401)
    locked_browser.set_cookie(COOKIE, cookie.value)
    assert locked_browser.get("/").status_code == 200
    shop.services.db.write(lambda it: keys.revoke(it, made.key.prefix))
    elsewhere = pages_of(shop, locked=True, fresh=True)
    elsewhere.set_cookie(COOKIE, cookie.value)
    assert elsewhere.get("/", headers=HTML).status_code == 303


def test_a_changed_cookie_is_no_session(shop: Shop, locked_browser: FlaskClient) -> None:
    sign_in(locked_browser, make_key(shop.services, Scope.READ))
    cookie = locked_browser.get_cookie(COOKIE)
    assert cookie is not None
    prefix, expires, nonce, signature = cookie.value.split(".")
    for changed in (
        (prefix, str(int(expires) + 1), nonce, signature),
        (prefix, "1", nonce, signature),
        (prefix, expires, nonce[::-1], signature),
        (UNKNOWN.rpartition("_")[0], expires, nonce, signature),
    ):
        locked_browser.set_cookie(COOKIE, ".".join(changed))
        assert locked_browser.get("/", headers=HTML).status_code == 303


def test_signing_in_leads_only_to_pages_of_this_server(
    shop: Shop, locked_browser: FlaskClient
) -> None:
    token = make_key(shop.services, Scope.READ)
    for path, target in (
        ("/?q=a", "/?q=a"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("https://evil.example", "/"),
    ):
        answer = locked_browser.post("/sign-in", data={"key": token, "next": path})
        assert answer.location == target


def test_a_page_of_another_site_cannot_sign_a_browser_in(
    shop: Shop, locked_browser: FlaskClient
) -> None:
    token = make_key(shop.services, Scope.READ)
    answer = locked_browser.post(
        "/sign-in", data={"key": token}, headers={"Origin": "https://evil.example"}
    )
    assert answer.status_code == 403


def test_a_key_in_a_header_opens_pages_too(shop: Shop, locked_browser: FlaskClient) -> None:
    token = make_key(shop.services, Scope.READ)
    assert locked_browser.get("/", headers=bearer(token)).status_code == 200


def test_a_page_for_operators_needs_their_key(shop: Shop, locked_browser: FlaskClient) -> None:
    token = make_key(shop.services, Scope.READ)
    assert sign_in(locked_browser, token, scope="admin") == 403
    assert sign_in(locked_browser, make_key(shop.services, Scope.ADMIN), scope="admin") == 303
