"""What an operator does on `/admin` really happens, and the pages show what there is."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import delete
from support.image_files import colour_image
from support.operator_page import OperatorBrowser, text_of
from support.shop import Shop

from backend import jobs, reindex
from backend.database.models import FilterShape
from backend.errors import IndexUnavailable
from backend.feeds import feeds, runs
from backend.feeds.runs import Ending, RunOutcome
from backend.images.store import digest_of
from backend.merchandising import placements, rules
from backend.settings import Settings

COLOURS = ("red", "blue", "green")


def stocked(settings: Settings) -> Shop:
    """A shop with nine products: three of each colour."""
    shop = Shop(settings, promote_samples=10, image_hosts=("images.example",), retry_seconds=0)
    for number in range(9):
        colour = COLOURS[number % 3]
        shop.put(str(number), article_type=colour, display_name=f"Shirt {number}")
        shop.put_image(str(number), colour_image(colour, size=(30 + number, 40)))
    shop.work()
    return shop


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, api_settings: Settings) -> Iterator[Shop]:
    """A shop with an active generation and one that was built; each test leaves it so."""
    folder = tmp_path_factory.mktemp("operator")
    with stocked(api_settings.model_copy(update={"data_dir": folder})) as shop:
        build_another(shop)
        yield shop


@pytest.fixture
def browser(shop: Shop) -> OperatorBrowser:
    return OperatorBrowser(shop)


def build_another(shop: Shop) -> None:
    plan = reindex.ReindexPlan(embedder="mean-colour?grid=2", promote="manual")
    assert shop.follow(reindex.request(shop.db, plan).id).state == jobs.DONE


def test_a_generation_is_promoted_gone_back_from_and_dropped(settings: Settings) -> None:
    with stocked(settings) as shop:
        build_another(shop)
        _promote_go_back_and_drop(shop, OperatorBrowser(shop))


def _promote_go_back_and_drop(shop: Shop, browser: OperatorBrowser) -> None:
    page = text_of(browser.read("/generations"))
    assert "Generation 2 building" in page
    assert "generation 1 becomes the standby: it is kept up to date for 24 h" in page

    said = text_of(browser.act("/generations", "/generations/2/promote"))
    [job] = [job for job in _jobs(shop) if job.verb == reindex.requests.PROMOTE]
    assert f"Job {job.id} measures the generation" in said
    assert job.arguments == {"generation": 2, "force": False}
    shop.follow(job.id)
    assert shop.states() == {1: "standby", 2: "active"}
    page = text_of(browser.read("/generations"))
    assert "recall@10 1.0 0.95 passed" in page

    said = text_of(browser.act("/generations", "/generations/rollback", force="1"))
    assert "Generation 1 is active again." in said
    assert shop.states() == {1: "active", 2: "standby"}
    browser.act("/generations", "/generations/2/drop")
    assert shop.states()[2] == "retired"
    assert "Retired" in text_of(browser.read("/generations"))
    _feed(shop)
    refused = browser.send("/feeds", "/generations/1/promote")
    assert refused.status_code == 409
    assert "generation 1 is active, not building" in text_of(refused.text)


def _jobs(shop: Shop) -> list[Any]:
    with shop.db.read() as session:
        return jobs.newest(session)


def _feed(shop: Shop, **options: Any) -> int:
    def add(session: Any) -> int:
        address = "https://images.example/f.csv?token=secret"
        hosts = ("images.example",)
        return feeds.add(session, address, hosts=hosts, name="spring", **options).id

    return shop.db.write(add)


def test_quarantined_products_are_shown_paged_retried_and_discarded(
    shop: Shop, browser: OperatorBrowser
) -> None:
    for number in range(26):
        shop.save(f"bad{number:02d}", b"no image %d" % number)
    shop.save("<b>sku</b>", b"no image either")
    shop.work()
    source = browser.read("/quarantine")
    page = text_of(source)
    assert page.count("not-an-image: the file is a text, which is not one of") == 24
    assert "27 not-an-image" in page
    cursor = source.partition("?cursor=")[2].partition('"')[0]
    second = browser.read("/quarantine", cursor=cursor)
    assert "bad24" in second
    assert "bad00" not in second
    assert "&lt;b&gt;sku&lt;/b&gt;" in second
    assert "<b>sku</b>" not in second

    for sku, kind in (("bad00", "image/svg+xml"), ("0", "image/webp")):
        shown = browser.get(f"/quarantine/{sku}/images/1")
        assert (shown.status_code, shown.mimetype) == (200, kind), "no page has broken images"

    path = shop.services.image_store.path(digest_of(b"no image 1"))  # what it holds is mended
    assert path
    path.write_bytes(colour_image("red"))
    said = text_of(browser.act("/quarantine", "/quarantine/retry", sku="bad01"))
    assert "1 products are tried again" in said
    shop.work()
    assert shop.client.get("/v1/products/bad01").json["state"] == "indexed"
    browser.act("/quarantine", "/quarantine/discard", sku="bad02")
    assert "bad02" not in shop.quarantine()
    assert shop.client.get("/v1/products/bad02").status_code == 404
    assert len(shop.quarantine()) == 25
    browser.act("/quarantine", "/quarantine/discard", all="1")
    assert shop.quarantine() == {}
    assert shop.client.get("/v1/products/0").status_code == 200
    shop.remove("bad01")
    shop.work()
    assert "Nothing is in quarantine" in text_of(browser.read("/quarantine"))


def test_a_feed_shows_its_runs_and_is_run_now(shop: Shop, browser: OperatorBrowser) -> None:
    feed_id = _feed(shop, every_seconds=3600)

    def fail(session: Any) -> None:
        _, run = runs.begin(session, feed_id)
        runs.end(session, run.id, Ending(outcome=RunOutcome.FAILED, reason="<i>503</i>"))

    shop.db.write(fail)
    source = browser.read("/feeds")
    assert "secret" not in source
    assert "failed: &lt;i&gt;503&lt;/i&gt;" in source
    assert "1 failures in a row" in source
    said = text_of(browser.act("/feeds", "/feeds/spring/run", force="1"))
    [job] = [job for job in _jobs(shop) if job.verb == "feed"]
    assert f"Job {job.id} imports the feed." in said
    assert job.arguments["force"] is True
    unknown = browser.send("/feeds", "/feeds/none/run")
    assert unknown.status_code == 404
    shop.db.write(lambda session: feeds.remove(session, "spring"))


def test_recall_is_shown_by_the_shape_of_filters(shop: Shop, browser: OperatorBrowser) -> None:
    shop.execute(delete(FilterShape))
    assert "Nobody has searched yet." in text_of(browser.read("/search"))

    def add(session: Any) -> None:
        row = {"generation_id": shop.generation.id, "shape": "gender:any", "mode": "acorn"}
        session.add(FilterShape(**row, queries=1234, compared=40, recall_sum=38.0))

    shop.db.write(add)
    assert "gender:any acorn 1,234 40 0.950" in text_of(browser.read("/search"))
    shop.execute(delete(FilterShape))


def test_rules_show_what_they_do_and_what_is_wrong_with_them(
    shop: Shop, browser: OperatorBrowser
) -> None:
    assert "Rules Rules of merchandisers" in text_of(browser.read("/rules"))

    def add(session: Any) -> list[int]:
        placements.put(session, "pdp", {"limit": 8})
        pin = {"action": "pin", "skus": ["1", "<i>none</i>"], "position": 2, "placement": "pdp"}
        hide = {"action": "hide", "filter": {"gender": ["Men"]}, "name": "<b>sale</b>"}
        made = (pin, {**hide, "enabled": False})
        return [rules.create(session, one, by=None).id for one in made]

    numbers = shop.db.write(add)
    source = browser.read("/rules")
    page = text_of(source)
    assert f"Rule {numbers[0]} active Pin 1, &lt;i&gt;none&lt;/i&gt; at position 2" in page
    assert "in lists of pdp" in page
    assert "&lt;b&gt;sale&lt;/b&gt; disabled Hide what passes" in page
    assert source.count("is-warning") == 2, "no such product, and a filter that nothing passes"
    assert "pdp version 1" in page
    for number in numbers:
        shop.db.write(lambda session, it=number: rules.remove(session, it, by=None))
    shop.db.write(lambda session: placements.remove(session, "pdp"))


def test_a_rule_shows_what_it_changes_or_would_change(shop: Shop, browser: OperatorBrowser) -> None:
    def add(session: Any) -> list[int]:
        hide = {"action": "hide", "skus": ["1"], "name": "Hide it"}
        made = (hide, {**hide, "enabled": False, "skus": ["2"]})
        return [rules.create(session, one, by=None).id for one in made]

    numbers = shop.db.write(add)
    links = re.findall(r"/admin/rules/[0-9]+/preview", browser.read("/rules"))
    assert len(links) == 2
    acting = text_of(browser.read(f"/rules/{numbers[0]}/preview"))
    assert "It changes 8 of 9 lists of drawn products" in acting, "all but its own"
    without, _, with_it = acting.partition("Without the rule")[2].partition("With the rule")
    assert "Shirt 1 only here" in without
    assert "Shirt 1 " not in with_it.partition("Without the rule")[0]
    disabled = text_of(browser.read(f"/rules/{numbers[1]}/preview"))
    assert "It would change 8 of 9 lists" in disabled
    for number in numbers:
        shop.db.write(lambda session, it=number: rules.remove(session, it, by=None))
    assert browser.get("/rules/999/preview").status_code == 404
    assert browser.get("/rules/x/preview").status_code == 404


# --- evaluation --------------------------------------------------------------------------------


def test_the_evaluation_page_says_how_to_get_what_it_lacks(settings: Settings) -> None:
    with Shop(settings) as shop:
        browser = OperatorBrowser(shop)
        page = text_of(browser.read("/evaluation"))
        assert "lookalike evaluate --html report.html" in page
        assert "too few vectors" in page
        assert "There is one generation only" in page
        assert browser.get("/evaluation/report").status_code == 404
        assert browser.get("/evaluation/map.json").json == {"categories": [], "points": []}


def test_a_map_shows_each_product_by_its_category(shop: Shop, browser: OperatorBrowser) -> None:
    shown: Any = browser.get("/evaluation/map.json").json
    assert sorted(shown["categories"]) == sorted(COLOURS)
    assert {point[3] for point in shown["points"]} == {str(number) for number in range(9)}
    places: dict[str, list[tuple[int, int]]] = {}
    for x, y, category, _, _ in shown["points"]:
        assert 0 <= x < 1000
        assert 0 <= y < 1000
        places.setdefault(shown["categories"][category], []).append((x, y))
    for colour, found in places.items():
        others = [it for name, them in places.items() if name != colour for it in them]
        own = max(abs(x - found[0][0]) + abs(y - found[0][1]) for x, y in found)
        away = min(abs(x - found[0][0]) + abs(y - found[0][1]) for x, y in others)
        assert own < away, "images of one colour lie together"
    assert browser.read("/evaluation").count("h0") >= 9


def test_before_and_after_show_the_neighbours_in_both_generations(
    shop: Shop, browser: OperatorBrowser
) -> None:
    page = text_of(browser.read("/evaluation"))
    assert "What looks like the same 6 products, by generation 1 (active, mean-colour )" in page
    assert page.count("Before, generation 1") == page.count("After, generation 2") == 6
    assert len(re.findall(r"[0-9] of [0-9] stay", page)) == 6


def test_an_index_that_does_not_answer_costs_only_its_part_of_the_page(
    shop: Shop, browser: OperatorBrowser, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(generation: Any) -> Any:
        raise IndexUnavailable("the index is away")

    monkeypatch.setattr(shop.services.indexes, "of", fail)
    page = text_of(browser.read("/evaluation"))
    assert "cannot be compared now: the index is away" in page
    assert "Map of the vectors" in page


def test_the_last_evaluation_is_kept_and_shown(
    run_command: Any, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOOKALIKE_EMBEDDER", "mean-colour")  # loading a network takes seconds
    with Shop(settings) as shop:
        for number in range(6):
            kind = {"article_type": COLOURS[number % 2], "base_colour": f"colour {number}"}
            shop.put(str(number), COLOURS[number % 2], **kind)
        shop.work()
    run_command(
        "evaluate", "--by", "article_type,base_colour", "--timed", "0", "--html", "report.html"
    )
    stored = json.loads(settings.evaluation_file("json").read_text())
    assert stored["index"] == 6
    with Shop(settings) as shop:
        browser = OperatorBrowser(shop)
        page = text_of(browser.read("/evaluation"))
        assert "6 products in the index" in page
        assert "Relevant: the same article type" in page
        assert page.count("no query has another product with its label") == 1  # not: 0.000
        assert "mean-colour" in page
        report = browser.get("/evaluation/report")
        assert report.status_code == 200
        assert "sandbox" in report.headers["Content-Security-Policy"]
        assert "script" not in report.headers["Content-Security-Policy"]
        settings.evaluation_file("json").write_text("{")
        assert "There is none yet." in text_of(browser.read("/evaluation"))
