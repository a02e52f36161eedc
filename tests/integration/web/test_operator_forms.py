"""Rules and feeds are written, tried and removed by the forms of `/admin`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import delete
from support.image_files import colour_image
from support.operator_page import OperatorBrowser, text_of
from support.shop import Shop

from backend.database.models import Feed, RuleRow
from backend.feeds import feeds
from backend.feeds.options import FeedOptions
from backend.merchandising import rules
from backend.settings import Settings

RULE = {"action": "pin", "name": "Autumn", "skus": "1\r\n2", "enabled": "1", "do": "save"}
FEED = {"url": "https://images.example/f.csv?token=secret", "name": "spring", "every": "2h"}


@pytest.fixture(scope="module")
def stocked(tmp_path_factory: pytest.TempPathFactory, api_settings: Settings) -> Iterator[Shop]:
    folder = tmp_path_factory.mktemp("forms")
    settings = api_settings.model_copy(update={"data_dir": folder})
    with Shop(settings, image_hosts=("images.example",)) as shop:
        for number, colour in enumerate(("red", "blue", "green", "white")):
            values = {"article_type": colour, "brand": "Acme, Ltd", "year": 2010 + number}
            shop.save(str(number), colour_image(colour), display_name=f"Shirt {number}", **values)
        shop.work()
        yield shop


@pytest.fixture
def browser(stocked: Shop) -> Iterator[OperatorBrowser]:
    yield OperatorBrowser(stocked)
    for row in (RuleRow, Feed):
        stocked.execute(delete(row))


def stored_rules(shop: Shop) -> list[dict[str, Any]]:
    with shop.db.read() as session:
        return [it.settings for it in rules.listed(session)]


def first_rule(shop: Shop) -> int:
    with shop.db.read() as session:
        return rules.listed(session)[0].id


def stored_feeds(shop: Shop) -> list[Feed]:
    with shop.db.read() as session:
        return feeds.listed(session)


# --- rules ---------------------------------------------------------------------------------------


def test_a_rule_is_made_changed_and_removed(stocked: Shop, browser: OperatorBrowser) -> None:
    page = text_of(browser.act("/rules/new", "/rules", **RULE, position="2"))
    number = first_rule(stocked)
    assert f"Rule {number} is saved." in page
    assert "Autumn active Pin 1, 2 at position 2" in page
    assert stored_rules(stocked) == [
        {"action": "pin", "name": "Autumn", "skus": ["1", "2"], "position": 2}
    ]

    form = browser.read(f"/rules/{number}")
    assert 'value="Autumn"' in form
    assert 'name="version" value="1"' in form
    changed = {
        "action": "boost",
        "filter": "/?gender=Men,Women&q=shirt&as=anna&brand_not=Acme%5C%2C+Ltd",
        "condition": "year_gte=2011\nyear_lt=2013",
        "placement": "pdp",
        "weight": "0.2",
        "priority": "1",
        "starts_at": "2026-11-01T00:00",
        "ends_at": "2026-12-24T18:00:30",
        "version": "1",
    }
    browser.act(f"/rules/{number}", f"/rules/{number}", **changed)
    assert stored_rules(stocked) == [
        {
            "action": "boost",
            "filter": {"gender": ["Men", "Women"], "brand": {"not": ["Acme, Ltd"]}},
            "condition": {"year": {"gte": 2011, "lt": 2013}},
            "placement": "pdp",
            "weight": 0.2,
            "priority": 1,
            "starts_at": "2026-11-01T00:00:00Z",
            "ends_at": "2026-12-24T18:00:30Z",
            "enabled": False,
        }
    ]
    listed = text_of(browser.read("/rules"))
    assert "what passes gender=Men,Women and brand_not=Acme\\, Ltd by 0.2" in listed
    assert "in lists of products that pass year_gte=2011 and year_lt=2013" in listed
    form = browser.read(f"/rules/{number}")
    assert "gender=Men,Women\nbrand_not=Acme\\, Ltd</textarea>" in form
    assert "year_gte=2011\nyear_lt=2013</textarea>" in form
    assert 'value="2026-12-24T18:00:30"' in form

    page = text_of(browser.act(f"/rules/{number}", f"/rules/{number}/remove"))
    assert f"Rule {number} is removed." in page
    assert stored_rules(stocked) == []
    assert browser.get(f"/rules/{number}").status_code == 404


def test_a_rule_is_tried_before_it_is_saved(stocked: Shop, browser: OperatorBrowser) -> None:
    hide = {"action": "hide", "skus": "1", "enabled": "1", "do": "try"}
    tried = browser.send("/rules/new", "/rules", **hide)
    page = text_of(tried.text)
    assert tried.status_code == 200
    assert "It would change 3 of 4 lists of drawn products" in page
    assert "Shirt 1 only here" in page
    assert '<option value="hide" selected>' in tried.text, "the form holds what was typed"
    assert stored_rules(stocked) == []

    browser.act("/rules/new", "/rules", **hide | {"do": "save"})
    number = first_rule(stocked)
    same = browser.send(f"/rules/{number}", f"/rules/{number}", **hide)
    assert "It would change 0 of 4 lists" in text_of(same.text), "in place of the stored one"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"skus": ""}, "needs either skus or a filter"),
        ({"skus": "", "filter": "taste=sweet"}, "there is no field &#39;taste&#39;"),
        ({"filter": "gender"}, "write field=value in each line"),
        ({"filter": '{"gender": '}, "this is not JSON"),
        ({"filter": "year=2010\nyear_gte=2000"}, "not both"),
        ({"condition": "year_gte=many"}, "takes a"),
        ({"position": "0"}, "position"),
        ({"weight": "1"}, "only a rule that boosts or buries has a weight"),
        ({"starts_at": "soon"}, "starts at"),
        ({"action": "eat"}, "action"),
    ],
    ids=[
        "nothing",
        "unknown field",
        "no sign",
        "json",
        "both",
        "bound",
        "position",
        "weight",
        "moment",
        "action",
    ],
)
def test_a_wrong_rule_is_shown_again_with_what_is_wrong(
    stocked: Shop, browser: OperatorBrowser, wrong: dict[str, str], said: str
) -> None:
    answer = browser.send("/rules/new", "/rules", **RULE | wrong)
    assert answer.status_code == 422
    assert said in text_of(answer.text)
    assert 'value="Autumn"' in answer.text
    assert stored_rules(stocked) == []


def test_a_rule_that_somebody_else_has_changed_is_not_overwritten(
    stocked: Shop, browser: OperatorBrowser
) -> None:
    browser.act("/rules/new", "/rules", **RULE)
    number = first_rule(stocked)
    other = {"action": "hide", "skus": ["3"]}
    stocked.db.write(lambda session: rules.replace(session, number, other, by=None))
    late = browser.send(f"/rules/{number}", f"/rules/{number}", **RULE, version="1")
    assert late.status_code == 412
    assert "Somebody has changed the rule meanwhile" in text_of(late.text)
    assert stored_rules(stocked) == [other]


# --- feeds ---------------------------------------------------------------------------------------


def test_a_feed_is_added_changed_paused_and_removed(
    stocked: Shop, browser: OperatorBrowser
) -> None:
    said = text_of(browser.act("/feeds/new", "/feeds", **FEED, map="sku=id\r\n price = cost"))
    assert "The feed is added" in said
    [feed] = stored_feeds(stocked)
    assert (feed.location, feed.every_seconds) == (FEED["url"], 7200)
    assert feed.options == {"map": {"sku": "id", "price": "cost"}}

    form = browser.read("/feeds/spring")
    assert "secret" not in form
    assert "sku=id\nprice=cost</textarea>" in form
    shown = {"url": "https://images.example/f.csv?token=…", "every": "never"}
    browser.act("/feeds/spring", "/feeds/spring", **shown, prune="1", delimiter="\t")
    [feed] = stored_feeds(stocked)
    assert (feed.location, feed.every_seconds) == (FEED["url"], 0)
    assert feed.options == {"prune": True, "delimiter": "\t"}

    browser.act("/feeds", "/feeds/spring/pause", paused="1")
    assert stored_feeds(stocked)[0].paused_at is not None
    assert "Resume" in browser.read("/feeds")
    browser.act("/feeds", "/feeds/spring/pause")
    assert stored_feeds(stocked)[0].paused_at is None
    browser.act("/feeds/spring", "/feeds/spring/remove")
    assert stored_feeds(stocked) == []


def test_what_the_form_does_not_show_of_a_feed_stays(
    stocked: Shop, browser: OperatorBrowser, tmp_path: Any
) -> None:
    options = FeedOptions(copy_images=True)
    place = str(tmp_path)
    stocked.db.write(
        lambda session: feeds.add(session, place, hosts=(), name="folder", options=options)
    )
    form = browser.read("/feeds/folder")
    assert place in form
    assert 'name="url"' not in form
    browser.act("/feeds/folder", "/feeds/folder", every="1h", url="https://images.example/x.csv")
    [feed] = stored_feeds(stocked)
    assert (feed.location, feed.every_seconds) == (place, 3600)
    assert feed.options == {"copy_images": True}


@pytest.mark.parametrize(
    ("wrong", "status", "said"),
    [
        ({"url": "https://elsewhere.example/f.csv"}, 422, "elsewhere.example"),
        ({"url": "ftp://images.example/f.csv"}, 422, "must be an https:// or http:// address"),
        ({"every": "soon"}, 422, "must be such as 30m"),
        ({"map": "sku"}, 422, "write field=column"),
        ({"format": "scroll"}, 422, "there is no format"),
        ({"name": "winter"}, 409, "There is a feed &#39;winter&#39; already"),
    ],
    ids=["host", "scheme", "interval", "map", "format", "name"],
)
def test_a_wrong_feed_is_shown_again_with_what_is_wrong(
    stocked: Shop, browser: OperatorBrowser, wrong: dict[str, str], status: int, said: str
) -> None:
    browser.act("/feeds/new", "/feeds", **FEED | {"name": "winter"})
    answer = browser.send("/feeds/new", "/feeds", **FEED | wrong)
    assert answer.status_code == status
    assert said in text_of(answer.text)
    assert 'name="every" type="text"' in answer.text
    assert [it.name for it in stored_feeds(stocked)] == ["winter"]
