"""Feeds of a real web server, as the worker of a shop imports them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update
from structlog.testing import capture_logs
from support.feed_host import FeedHost, feed_host
from support.image_files import colour_image
from support.servers import wait_for
from support.shop import Shop

from backend import jobs
from backend.catalogue import products
from backend.database import clock
from backend.database.models import Feed, FeedRun, Job
from backend.feeds import feeds, runs, schedule
from backend.feeds.download import FeedLimits
from backend.feeds.feeds import shown_location
from backend.feeds.options import FeedOptions
from backend.feeds.runs import DIED, KEPT, MOST_DEATHS, RunOutcome
from backend.feeds.workspace import temporary_folder
from backend.settings import Settings

PRUNE = FeedOptions(prune=True)


@pytest.fixture(scope="module")
def host() -> Iterator[FeedHost]:
    with feed_host() as found:
        yield found


@pytest.fixture(scope="module")
def _open_shop(
    api_settings: Settings, host: FeedHost, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[FeedShop]:
    folder = tmp_path_factory.mktemp("feeds")
    with FeedShop(api_settings, data_dir=folder, feed_hosts=(host.name,)) as shop:
        yield shop


@pytest.fixture
def shop(_open_shop: FeedShop, host: FeedHost) -> FeedShop:
    """A shop without products and feeds, which may connect to the host on loopback."""
    _open_shop.empty()
    _open_shop.may_connect_to_loopback()
    host.status = 200
    host.asked.clear()
    host.fill(10)
    return _open_shop


class FeedShop(Shop):
    """A shop with feeds."""

    def start(self) -> None:
        super().start()
        self.may_connect_to_loopback()

    def may_connect_to_loopback(self, **changes: Any) -> None:
        """Set up the runner of feeds anew; only tests may connect to loopback."""
        self.services.feeds = replace(
            self.services.feeds,
            limits=FeedLimits(max_bytes=1_000_000, seconds=30),
            **{"may_connect": lambda address: address.is_loopback} | changes,
        )

    @contextmanager
    def working(self) -> Iterator[None]:
        """Work in a thread; the worker that was stopped is then replaced."""
        try:
            with super().working():
                yield
        finally:
            self.restart()

    def add(self, location: str, **options: Any) -> Feed:
        hosts = self.settings.hosts_of_feeds
        return self.db.write(lambda session: feeds.add(session, location, hosts=hosts, **options))

    def feed(self) -> Feed:
        with self.db.read() as session:
            return session.scalars(select(Feed)).one()

    def run_feed(self, *, force: bool = False) -> FeedRun:
        """Run the only feed, and return its newest run."""
        feed = self.feed()
        job = self.db.write(lambda session: schedule.request(session, feed.id, force=force))
        self.follow(job.id)
        return self.history()[0]

    def history(self) -> list[FeedRun]:
        with self.db.read() as session:
            return runs.history(session, self.feed().id, limit=1_000)

    def catalogue(self) -> list[str]:
        with self.db.read() as session:
            return [product.sku for product in products.page(session, limit=10_000)]

    def files(self) -> list[Path]:
        folder = self.services.feeds.folder
        return list(folder.iterdir()) if folder.exists() else []


def counts(run: FeedRun) -> list[int]:
    assert run.report, run.reason
    return list(run.report["counts"].values())


# --- by itself -------------------------------------------------------------------------------


def test_a_feed_that_is_due_is_imported_by_the_worker(shop: FeedShop, host: FeedHost) -> None:
    shop.add(host.url(), every_seconds=3600)
    shop.work()
    (run,) = shop.history()
    assert (run.outcome, run.reason, counts(run)) == (RunOutcome.IMPORTED, None, [10, 0, 0, 0, 0])
    assert run.report
    assert run.report["read_as"] == "a plain table (CSV)"
    assert run.bytes == len(host.text)
    assert len(shop.catalogue()) == 10
    assert shop.files() == []
    feed = shop.feed()
    assert feed.due_at == run.started_at + timedelta(hours=1)
    job = jobs.read(shop.db, run.job_id or 0)
    assert job
    assert (job.state, job.done, job.total) == (jobs.DONE, 10, 10)
    shop.work()
    assert len(shop.history()) == 1, "it is not due again"


def test_a_feed_runs_again_when_its_time_has_come(shop: FeedShop, host: FeedHost) -> None:
    shop.add(host.url(), every_seconds=3600)
    shop.work()
    host.fill(12)
    with shop.db.read() as session:
        now = clock.now(session)
    shop.execute(update(Feed).values(due_at=now))
    shop.work()
    assert counts(shop.history()[0]) == [2, 0, 10, 0, 0]


@pytest.mark.parametrize("path", ["feed.csv", "dated"])
def test_an_unchanged_feed_is_not_imported(shop: FeedShop, host: FeedHost, path: str) -> None:
    shop.add(host.url(path))
    assert shop.run_feed().outcome == RunOutcome.IMPORTED
    shop.remove("s3")
    run = shop.run_feed()
    assert (run.outcome, run.report, run.bytes) == (RunOutcome.UNCHANGED, None, None)
    assert len(shop.catalogue()) == 9
    assert shop.run_feed(force=True).outcome == RunOutcome.IMPORTED
    assert len(shop.catalogue()) == 10
    host.fill(11)
    assert counts(shop.run_feed()) == [1, 0, 10, 0, 0]


def test_other_options_read_an_unchanged_feed_again(shop: FeedShop, host: FeedHost) -> None:
    name = shop.add(host.url()).name
    shop.run_feed()
    options = FeedOptions(map={"gender": "name"})
    shop.db.write(lambda session: feeds.change(session, name, hosts=(), options=options))
    assert counts(shop.run_feed()) == [0, 10, 0, 0, 0]


def test_a_paused_feed_is_not_imported(shop: FeedShop, host: FeedHost) -> None:
    name = shop.add(host.url()).name
    shop.db.write(lambda session: feeds.change(session, name, hosts=(), paused=True))
    shop.work()
    assert shop.history() == []
    shop.db.write(lambda session: feeds.change(session, name, hosts=(), paused=False))
    shop.work()
    assert len(shop.history()) == 1


def test_a_feed_without_an_interval_runs_once_and_when_somebody_asks(
    shop: FeedShop, host: FeedHost
) -> None:
    shop.add(host.url(), every_seconds=0)
    shop.work()
    assert (len(shop.history()), shop.feed().due_at) == (1, None)
    host.status = 503
    assert shop.run_feed().outcome == RunOutcome.FAILED
    assert shop.feed().due_at is None


def test_a_file_on_the_server_is_read_when_it_has_changed(shop: FeedShop, tmp_path: Path) -> None:
    table = tmp_path / "feed.csv"
    table.write_text("sku,name\nA,Hat\n")
    shop.add(str(table))
    assert counts(shop.run_feed()) == [1, 0, 0, 0, 0]
    assert shop.run_feed().outcome == RunOutcome.UNCHANGED
    table.write_text("sku,name\nA,Hat\nB,Cap\n")
    assert counts(shop.run_feed()) == [1, 0, 1, 0, 0]
    table.unlink()
    run = shop.run_feed()
    assert run.outcome == RunOutcome.FAILED
    assert "No such file" in str(run.reason)


def test_what_is_wrong_with_rows_is_kept_in_the_history(shop: FeedShop, host: FeedHost) -> None:
    shop.add(host.url())
    host.text = "sku,name,price\nA,Hat,cheap\n..,Cap,1\n" + "B,Cap,x\n" * 2
    run = shop.run_feed()
    assert run.report
    assert run.report["rejects"][0]["line"] == 3
    assert run.report["warnings_by_kind"]["price"]["count"] == 2
    assert run.report["warnings_by_kind"]["price"]["first"][0]["sku"] == "A"


# --- transfers -------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["chunked", "gzip", "gz", "moved", "unsized"])
def test_a_feed_comes_in_every_usual_way(shop: FeedShop, host: FeedHost, path: str) -> None:
    shop.add(host.url(path))
    run = shop.run_feed()
    assert (run.outcome, counts(run)) == (RunOutcome.IMPORTED, [10, 0, 0, 0, 0])


@pytest.mark.parametrize("path", ["short", "broken", "cutgzip", "slow"])
def test_a_feed_that_ended_early_is_imported_but_never_prunes(
    shop: FeedShop, host: FeedHost, path: str
) -> None:
    host.fill(400)
    shop.add(host.url(), options=PRUNE)
    shop.run_feed()
    host.fill(390, first=15)
    shop.db.write(
        lambda session: feeds.change(
            session, shop.feed().name, hosts=[host.name], location=host.url(path)
        )
    )
    if path == "slow":
        limits = FeedLimits(max_bytes=1_000_000, seconds=0.5)
        shop.services.feeds = replace(shop.services.feeds, limits=limits)
    run = shop.run_feed()
    assert run.outcome == RunOutcome.ENDED_EARLY, run.reason
    assert counts(run)[3] == 0
    assert {f"s{n}" for n in range(400)} <= set(shop.catalogue())
    assert counts(run)[0] > 0, "what came is imported"
    feed = shop.feed()
    assert feed.due_at
    assert run.finished_at
    assert (feed.failures, feed.due_at - run.finished_at) == (1, schedule.FIRST_RETRY)
    assert not feed.seen, "and asked for again, whole"
    assert shop.files() == []


@pytest.mark.parametrize(
    ("path", "outcome"), [("feed.csv", RunOutcome.IMPORTED), ("unsized", RunOutcome.PRUNE_REFUSED)]
)
def test_a_length_that_the_host_gave_proves_the_last_line(
    shop: FeedShop, host: FeedHost, path: str, outcome: RunOutcome
) -> None:
    host.text = host.text.rstrip("\n")
    shop.add(host.url(path), options=PRUNE)
    run = shop.run_feed()
    assert (run.outcome, counts(run)) == (outcome, [10, 0, 0, 0, 0])


def test_a_prune_that_would_take_too_much_is_marked(shop: FeedShop, host: FeedHost) -> None:
    shop.add(host.url(), options=PRUNE)
    shop.run_feed()
    host.fill(5)
    run = shop.run_feed()
    assert (run.outcome, counts(run)) == (RunOutcome.PRUNE_REFUSED, [0, 0, 5, 0, 0])
    assert "5 of 10 products" in str(run.reason)
    assert run.report
    assert run.report["warnings_by_kind"]["prune"]["count"] == 1
    assert shop.run_feed().outcome == RunOutcome.PRUNE_REFUSED, "it does not become `unchanged`"
    options = FeedOptions(prune=True, prune_at_most="50%")
    shop.db.write(
        lambda session: feeds.change(session, shop.feed().name, hosts=(), options=options)
    )
    assert counts(shop.run_feed()) == [0, 0, 5, 5, 0]


# --- what is refused -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("inside", "169.254.169.254 is not among the hosts"),
        ("loopback", "127.0.0.1:"),
        ("circle", "redirected more than 5 times"),
        ("bomb", "more than 1,000,000 bytes"),
        ("brotli", "encoding 'br'"),
    ],
)
def test_what_may_not_be_fetched_is_refused(
    shop: FeedShop, host: FeedHost, path: str, reason: str
) -> None:
    shop.add(host.url(path))
    run = shop.run_feed()
    assert (run.outcome, shop.catalogue(), shop.files()) == (RunOutcome.FAILED, [], [])
    assert reason in str(run.reason)


def test_a_redirect_to_an_allowed_host_at_a_private_address_is_refused(
    shop: FeedShop, host: FeedHost
) -> None:
    port = host.name.partition(":")[2]
    seen: list[str] = []

    def may_connect(address: Any) -> bool:
        seen.append(str(address))
        return len(seen) == 1  # by the redirect the name leads elsewhere

    hosts = (host.name, f"127.0.0.1:{port}")
    shop.services.feeds = replace(shop.services.feeds, hosts=hosts, may_connect=may_connect)
    shop.add(host.url("loopback"))
    run = shop.run_feed()
    assert "an address that is not public" in str(run.reason)
    assert host.asked == ["loopback"]


def test_outside_of_tests_loopback_is_refused(shop: FeedShop, host: FeedHost) -> None:
    shop.services.feeds = replace(
        shop.services.feeds, may_connect=type(shop.services.feeds).may_connect
    )
    shop.add(host.url())
    run = shop.run_feed()
    assert "localhost has an address that is not public" in str(run.reason)
    assert host.asked == []


# --- failures --------------------------------------------------------------------------------


def test_failures_are_kept_with_reason_and_tried_again_later_and_later(
    shop: FeedShop, host: FeedHost
) -> None:
    shop.add(host.url(), every_seconds=300)
    host.status = 503
    delays = []
    for _ in range(4):
        run = shop.run_feed()
        assert (run.outcome, run.reason) == (
            RunOutcome.FAILED,
            "localhost answered with status 503",
        )
        due = shop.feed().due_at
        assert due
        assert run.finished_at
        delays.append((due - run.finished_at).total_seconds())
    assert delays == [60, 120, 240, 300]
    job = jobs.read(shop.db, run.job_id or 0)
    assert job
    assert job.error == "feed-unavailable: localhost answered with status 503"
    host.status = 200
    assert shop.run_feed().outcome == RunOutcome.IMPORTED
    assert shop.feed().failures == 0


def test_a_feed_waits_as_long_as_its_host_asks_but_not_beyond_its_interval(
    shop: FeedShop, host: FeedHost
) -> None:
    shop.add(host.url(), every_seconds=3600)
    host.status = 503
    for asked, seconds in (("600", 600), ("5", 120), ("99999999", 3600)):
        host.retry_after = asked
        run = shop.run_feed()
        assert run.reason == f"localhost answered with status 503, and asks to wait {asked} s"
        due = shop.feed().due_at
        assert due
        assert run.finished_at
        assert due - run.finished_at == timedelta(seconds=seconds)


def test_products_are_indexed_while_a_host_keeps_a_feed_waiting(
    shop: FeedShop, host: FeedHost
) -> None:
    feed = shop.add(host.url("silent"), every_seconds=0)
    with shop.working():
        wait_for(lambda: "silent" in host.asked)
        shop.save("red", colour_image("red"))
        wait_for(lambda: shop.progress().indexed == 1)
        with shop.db.read() as session:
            assert schedule.request(session, feed.id).state == jobs.RUNNING
        host.over.set()
        wait_for(lambda: shop.history()[0].outcome == RunOutcome.FAILED)
    host.over.clear()


def test_no_secret_of_an_address_is_shown(shop: FeedShop, host: FeedHost) -> None:
    host.status = 500
    with capture_logs() as logs:
        shop.add(host.url("feed.csv?token=hunter2&page=1"))
        run = shop.run_feed()
    with shop.db.read() as session:
        told = [row.__dict__ for row in session.scalars(select(Job))] + [run.__dict__, *logs]
    assert "hunter2" not in str(told)
    assert shown_location(shop.feed().location).endswith("feed.csv?token=…&page=…")


# --- once, and until it is done ----------------------------------------------------------------


def test_a_feed_is_never_requested_twice(shop: FeedShop, host: FeedHost) -> None:
    feed = shop.add(host.url(), every_seconds=0)
    first = shop.db.write(lambda session: schedule.request(session, feed.id))
    again = shop.db.write(lambda session: schedule.request(session, feed.id))
    shop.execute(update(Feed).values(due_at=first.created_at))
    assert (again.id, schedule.request_due(shop.db)) == (first.id, 0)
    shop.work()
    assert schedule.request_due(shop.db) == 0, "its last run has seen to it"


def test_a_time_from_a_clock_that_was_wrong_does_not_delay_a_feed(
    shop: FeedShop, host: FeedHost
) -> None:
    shop.add(host.url(), every_seconds=3600)
    shop.work()
    due = shop.feed().due_at
    assert due
    shop.execute(update(Feed).values(due_at=due + timedelta(days=365)))
    shop.work()
    assert [run.outcome for run in shop.history()] == [RunOutcome.UNCHANGED, RunOutcome.IMPORTED]


def test_a_run_whose_process_was_killed_is_begun_again(shop: FeedShop, host: FeedHost) -> None:
    feed = shop.add(host.url())
    job = shop.db.write(lambda session: schedule.request(session, feed.id))
    shop.execute(update(Job).values(state=jobs.RUNNING))
    shop.db.write(lambda session: runs.begin(session, feed.id))
    left = shop.services.feeds.folder / "0123"
    left.mkdir(parents=True)
    (left / ".lock").touch()
    (left / "feed").write_text("half of it")
    shop.restart()
    assert shop.files() == []
    shop.work()
    done, killed = shop.history()
    assert (killed.outcome, killed.reason) == (RunOutcome.INTERRUPTED, DIED)
    assert (done.outcome, done.job_id) == (RunOutcome.IMPORTED, job.id)


def test_a_run_that_kills_its_process_again_and_again_fails(shop: FeedShop, host: FeedHost) -> None:
    feed = shop.add(host.url())
    job = shop.db.write(lambda session: schedule.request(session, feed.id))
    for _ in range(MOST_DEATHS):
        shop.db.write(lambda session: runs.begin(session, feed.id))
    shop.follow(job.id)
    run = shop.history()[0]
    assert run.outcome == RunOutcome.FAILED
    assert "3 times" in str(run.reason)
    assert host.asked == []
    assert shop.run_feed().outcome == RunOutcome.IMPORTED, "the next job begins anew"


def test_a_worker_that_stops_leaves_the_run_to_the_next(shop: FeedShop, host: FeedHost) -> None:
    shop.add(host.url("slow"))
    with shop.working():
        wait_for(lambda: "slow" in host.asked)
    host.fill(3)
    shop.execute(update(Feed).values(location=host.url()))
    assert shop.history()[0].outcome == RunOutcome.INTERRUPTED
    shop.work()
    assert [run.outcome for run in shop.history()] == [RunOutcome.IMPORTED, RunOutcome.INTERRUPTED]


def test_a_feed_that_is_removed_during_its_run_ends_it(shop: FeedShop, host: FeedHost) -> None:
    feed = shop.add(host.url("slow"))
    with shop.working():
        wait_for(lambda: "slow" in host.asked)
        shop.db.write(lambda session: feeds.remove(session, feed.name))
        job = wait_for(lambda: (job := jobs.read(shop.db, feed.job_id or 1)) and job.error)
    assert "the feed was removed" in str(job)


def test_the_files_of_a_running_process_are_left_alone(tmp_path: Path) -> None:
    with temporary_folder(tmp_path) as first, temporary_folder(tmp_path) as second:
        assert first.exists()
        assert second.exists()
    assert list(tmp_path.iterdir()) == []


def test_the_history_is_bounded_and_so_are_its_jobs(shop: FeedShop, host: FeedHost) -> None:
    feed = shop.add(host.url(), every_seconds=0)

    def many(session: Any) -> None:
        now = clock.now(session)
        for _ in range(KEPT + 20):
            job = jobs.add(session, schedule.VERB, {"feed": feed.id})
            job.state = jobs.DONE
            session.add(
                FeedRun(feed_id=feed.id, job_id=job.id, outcome="unchanged", started_at=now)
            )

    shop.db.write(many)
    shop.run_feed()
    assert len(shop.history()) == KEPT
    with shop.db.read() as session:
        assert len(session.scalars(select(Job)).all()) == KEPT


def test_one_process_alone_requests_a_due_feed(any_db: Any) -> None:
    any_db.write(lambda session: feeds.add(session, "/tmp/feed.csv", hosts=()))
    ready, requested = threading.Barrier(4), []

    def request() -> None:
        ready.wait()
        requested.append(schedule.request_due(any_db))

    threads = [threading.Thread(target=request) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(requested) == [0, 0, 0, 1]
