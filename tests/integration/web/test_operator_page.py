"""`/admin`: who may see it, and whether its first page says how the installation is."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import delete
from sqlalchemy.exc import OperationalError
from support.keys import UNKNOWN, bearer
from support.operator_page import PAGES, OperatorBrowser, text_of
from support.pages import HTML, token_in
from support.shop import PROBLEM, Shop

from backend import jobs, logs
from backend.access import keys
from backend.access.scope import Scope
from backend.api import create_app
from backend.database import clock
from backend.database.models import ApiKey, FilterShape, Job, QueueSample
from backend.feeds import feeds, runs
from backend.feeds.runs import Ending, RunOutcome
from backend.monitoring.disks import Disk
from backend.settings import Settings
from backend.web import register_web
from backend.web.admin import overview
from backend.web.session import COOKIE

PREFIX = {"SCRIPT_NAME": "/admin/x"}
"""Of a proxy; it looks like ours."""


@pytest.fixture
def browser(shop: Shop) -> OperatorBrowser:
    return OperatorBrowser(shop)


@pytest.fixture
def locked_browser(shop: Shop, locked: FlaskClient) -> OperatorBrowser:
    """Of a server that needs keys, whose keys are deleted afterwards."""
    return OperatorBrowser(shop, locked=True)


@pytest.fixture
def clean(shop: Shop) -> Iterator[None]:
    """No sample and no searches of other tests, nor ours for these."""
    for row in (QueueSample, FilterShape):
        shop.execute(delete(row))
    yield
    for row in (QueueSample, FilterShape):
        shop.execute(delete(row))


@pytest.fixture
def calm(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    """A shop of its own, to which nothing has happened, on a disk with enough space."""
    disk = Disk(store="database", free_bytes=800_000, capacity_bytes=1_000_000)
    monkeypatch.setattr(overview, "look_at_disks", lambda _settings: [disk])
    logs.RECENT.clear()
    with Shop(settings, retry_seconds=0, image_hosts=("images.example",)) as shop:
        yield shop


# --- who may see it ------------------------------------------------------------------------------


def test_a_page_leads_to_the_form_for_a_key_and_is_shown_with_an_admin_key_alone(
    locked_browser: OperatorBrowser, token: Callable[[Scope], str]
) -> None:
    for page in PAGES:
        asked = locked_browser.get(page)
        assert (asked.status_code, "/sign-in?" in asked.headers["Location"]) == (303, True)
    locked_browser.sign_in(token(Scope.INGEST))
    for page in PAGES:
        asked = locked_browser.get(page)
        assert (asked.status_code, "scope=admin" in asked.headers["Location"]) == (303, True)
    entered = locked_browser.sign_in(token(Scope.ADMIN))
    assert (entered.status_code, entered.headers["Location"]) == (303, "/admin")
    for page in PAGES:
        assert locked_browser.get(page).status_code == 200
    answer = locked_browser.client.get("/admin", headers=bearer(token(Scope.READ)) | HTML)
    assert answer.status_code in (303, 403)


def test_the_session_ends_with_its_key_and_by_signing_out(
    shop: Shop, locked_browser: OperatorBrowser, token: Callable[[Scope], str]
) -> None:
    locked_browser.sign_in(token(Scope.ADMIN))
    sent = token_in(locked_browser.read())
    left = locked_browser.client.post("/sign-out", data={"csrf_token": sent}, headers=HTML)
    assert left.status_code == 303
    assert locked_browser.get().status_code == 303
    locked_browser.sign_in(token(Scope.ADMIN))
    [key] = shop.services.db.write(keys.list_keys)
    shop.services.db.write(lambda session: keys.revoke(session, key.prefix))
    fresh = OperatorBrowser(shop, locked=True, fresh=True)
    found = locked_browser.client.get_cookie(COOKIE)
    assert found
    fresh.client.set_cookie(COOKIE, found.value)
    assert fresh.get().status_code == 303


def test_too_many_wrong_keys_are_refused(shop: Shop, locked: FlaskClient) -> None:
    browser = OperatorBrowser(shop, locked=True, key_attempts="2/minute")
    tried = [UNKNOWN.replace("000", f"{number:03d}", 1) for number in range(4)]
    assert [browser.sign_in(key).status_code for key in tried] == [401, 401, 429, 429]


ACTIONS = (
    "/quarantine/retry",
    "/quarantine/discard",
    "/generations/rollback",
    "/generations/1/promote",
    "/generations/1/drop",
    "/feeds",
    "/feeds/x",
    "/feeds/x/run",
    "/feeds/x/pause",
    "/feeds/x/remove",
    "/rules",
    "/rules/1",
    "/rules/1/remove",
    "/jobs/1/cancel",
)


@pytest.mark.parametrize("is_locked", [False, True], ids=["without keys", "with a session"])
def test_a_form_without_its_token_is_refused(
    shop: Shop, locked: FlaskClient, token: Callable[[Scope], str], is_locked: bool
) -> None:
    browser = OperatorBrowser(shop, locked=is_locked)
    if is_locked:
        browser.sign_in(token(Scope.ADMIN))
    forms: list[dict[str, str]] = [{}, {"csrf_token": "0" * 64}, {"csrf_token": ""}]
    for action in ACTIONS:
        for form in forms:
            refused = browser.client.post(f"/admin{action}", data=form)
            assert (refused.status_code, refused.content_type) == (403, PROBLEM)
            assert refused.json["code"] == "cross-site-request"
    foreign = {"Origin": "https://evil.example", **HTML}
    page = browser.client.post("/admin/quarantine/retry", data={}, headers=foreign)
    assert (page.status_code, page.mimetype) == (403, "text/html")


def test_a_key_in_a_header_needs_no_token(
    locked_browser: OperatorBrowser, token: Callable[[Scope], str]
) -> None:
    """No other site can send one."""
    headers = bearer(token(Scope.ADMIN))
    sent = locked_browser.client.post("/admin/quarantine/retry", data={"all": "1"}, headers=headers)
    assert sent.status_code == 303


def test_pages_hold_no_script_and_no_style_of_their_own(browser: OperatorBrowser) -> None:
    for page in PAGES:
        answer = browser.get(page)
        assert "script-src 'self'" in answer.headers["Content-Security-Policy"]
        assert "<script>" not in answer.text
        assert " style=" not in answer.text
        assert " onclick=" not in answer.text


def test_pages_stand_below_the_prefix_of_a_proxy(browser: OperatorBrowser) -> None:
    answer = browser.client.get("/admin/jobs", headers=HTML, environ_overrides=PREFIX)
    page = answer.text
    assert '<a href="/admin/x/admin/jobs" aria-current="page">' in page
    assert 'data-refresh="/admin/x/admin/jobs?part=1"' in page
    assert not re.findall(r'(?:href|src|action)="/(?!admin/x/)[^"]*"', page)


# --- how the installation is ---------------------------------------------------------------------


def test_all_is_well_when_it_is(calm: Shop) -> None:
    empty = text_of(OperatorBrowser(calm).read())
    assert "All is well" in empty
    assert "The catalogue is empty: lookalike import brings products in" in empty
    calm.put("red", "red")
    calm.work()
    page = text_of(OperatorBrowser(calm).read())
    assert "All is well" in page
    assert "The catalogue is empty" not in page
    assert "Products 1 Indexed 1 Waiting 0" in page
    assert "database ok" in page
    assert "800.0 kB of 1.0 MB free" in page
    assert "Recent errors None." in page


def test_what_is_not_well_is_said_first(calm: Shop) -> None:
    shop = calm
    shop.save("<script>alert(1)</script>", b"no image")
    shop.work()

    def break_things(session: Any) -> None:
        now = clock.now(session)
        session.add(
            Job(
                verb="verify",
                state=jobs.FAILED,
                error="<script>alert(2)</script> is wrong",
                finished_at=now,
            )
        )
        generation = shop.generation.id
        session.add(
            FilterShape(
                generation_id=generation,
                shape="gender:any",
                mode="acorn",
                queries=90,
                compared=30,
                recall_sum=15.0,
            )
        )
        feed = feeds.add(session, "https://images.example/f.csv", hosts=("images.example",))
        feed_id = feed.id
        _, run = runs.begin(session, feed_id)
        runs.end(session, run.id, Ending(outcome=RunOutcome.FAILED, reason="it answers 503"))

    shop.db.write(break_things)
    source = OperatorBrowser(shop).read()
    page = text_of(source)
    assert "there are 4 things to look at" in page
    assert "1 product is in quarantine" in page
    assert "1 job failed in the last day" in page
    assert "searches by gender:any find 50%" in page.lower()
    assert "The last run of the feed images.example failed" in page
    assert "it answers 503" in page, "among the recent errors"
    assert "<script>alert" not in source
    assert "&lt;script&gt;alert(2)" in source


def test_a_part_that_is_down_is_broken(shop: Shop) -> None:
    app = create_app(shop.services, probes={"worker": lambda: "failed: the disk is full"})
    register_web(app, shop.services)
    page = text_of(app.test_client().get("/admin", headers=HTML).text)
    assert "Something is broken" in page
    assert "Worker: failed: the disk is full." in page


def test_the_charts_show_the_last_day_and_leave_gaps(
    shop: Shop, browser: OperatorBrowser, clean: None
) -> None:
    def record(session: Any) -> None:
        minute = int(clock.now(session).timestamp()) // 60
        for ago, waiting in ((100, 5), (99, 900), (98, 7), (3, 0), (2, 40)):
            session.add(
                QueueSample(
                    minute=minute - ago,
                    generation_id=1,
                    waiting=waiting,
                    oldest_seconds=waiting * 2.0,
                    indexed=1,
                    quarantined=0,
                )
            )

    shop.db.write(record)
    source = browser.read(part=1)
    assert "<html" not in source, "a script asks for the part alone"
    assert source.count("<polyline") == 4, "two runs in each of two charts"
    assert "Products that wait in the last 1.7 h: now 40; the top of the chart is 900" in source
    assert "now 80 s; the top of the chart is 30 min" in source


def test_jobs_show_their_progress_and_are_cancelled(shop: Shop, browser: OperatorBrowser) -> None:
    job = jobs.write(shop.db, "verify", {"fix": True})

    def run(session: Any) -> None:
        row = session.get(Job, job)
        row.state, row.done, row.total, row.rate = jobs.RUNNING, 300, 900, 10.0
        row.heartbeat_at = clock.now(session) + timedelta(hours=1)

    shop.db.write(run)
    page = text_of(browser.read("/jobs"))
    assert f"Job {job}: verify running" in page
    assert "300 of 900, 60 s left" in page
    assert f"Job {job} was told to end." in text_of(browser.act("/jobs", f"/jobs/{job}/cancel"))
    found = jobs.read(shop.db, job)
    assert found
    assert found.cancelled_at
    unknown = browser.client.post("/admin/jobs/99999/cancel", data={})
    assert unknown.status_code == 403, "first of all, the token is missing"
    page = text_of(browser.read())
    assert f"job {job} verify" in page


def test_a_refused_action_says_why_with_title_and_detail(
    shop: Shop, browser: OperatorBrowser
) -> None:
    shop.put("one", "red")
    shop.save("bad", b"no image")
    shop.work()
    refused = browser.send("/quarantine", "/generations/rollback")
    assert (refused.status_code, refused.mimetype) == (409, "text/html")
    page = text_of(refused.text)
    assert "there is no standby generation to roll back to" in page
    assert "wrong-state" in page
    unknown = browser.send("/quarantine", "/jobs/99999/cancel")
    assert unknown.status_code == 404
    assert "there is no job 99999" in text_of(unknown.text)


def sqlite_error(code: int, text: str) -> Exception:
    """What SQLite's driver raises."""
    error = sqlite3.OperationalError(text)
    error.sqlite_errorcode = code
    return error


@pytest.mark.parametrize(
    ("code", "text", "status", "says"),
    [
        (sqlite3.SQLITE_FULL, "database or disk is full", 507, "full"),
        (sqlite3.SQLITE_ERROR, "no such column: x", 500, "its log has the reason"),
    ],
    ids=["a full disk", "our own fault"],
)
def test_a_database_that_fails_is_said_on_a_page(
    browser: OperatorBrowser,
    monkeypatch: pytest.MonkeyPatch,
    code: int,
    text: str,
    status: int,
    says: str,
) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise OperationalError("SELECT 1", {}, sqlite_error(code, text))

    monkeypatch.setattr(overview.status, "status", fail)
    failed = browser.get()
    assert (failed.status_code, failed.mimetype) == (status, "text/html")
    assert says in text_of(failed.text)
    assert "Generations" in text_of(failed.text), "the menu is still there"


def test_keys_are_no_part_of_any_page(
    shop: Shop, locked_browser: OperatorBrowser, token: Callable[[Scope], str]
) -> None:
    secret = token(Scope.ADMIN)
    locked_browser.sign_in(secret)
    with shop.db.read() as session:
        digest = session.query(ApiKey.digest).scalar()
    for page in PAGES:
        text = locked_browser.read(page)
        assert secret not in text
        assert digest not in text
