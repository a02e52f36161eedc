"""Dashboard and alerts name only what a running shop shows, and Prometheus can read them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy import insert
from support.places import ROOT
from support.shop import Shop

from backend.database.models import ListedArm, ListedDay
from backend.events.decay import day_of
from backend.metrics.instruments import count_refused, count_unshared

FOLDER = ROOT / "deploy" / "monitoring"
NAME = re.compile(r"\b(?:lookalike|http)_\w+")
LABEL = re.compile(r"(?:by|without|on|ignoring) \(([^)]*)\)|[{,]\s*(\w+)\s*(?:=~|!~|!=|=)")
PROMETHEUS_OWN = {"le", "job", "instance"}
needs_promtool = pytest.mark.skipif(
    not shutil.which("promtool"), reason="promtool (a program of Prometheus) is not installed"
)


def alerts() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load((FOLDER / "alerts.yml").read_text(encoding="utf-8"))["groups"]
    rules: list[dict[str, Any]] = group["rules"]
    return rules


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(
        (FOLDER / "grafana-dashboard.json").read_text(encoding="utf-8")
    )["panels"]
    return found


def expressions() -> Iterator[tuple[str, str]]:
    """Each expression, with where it stands."""
    for rule in alerts():
        yield rule["alert"], rule["expr"]
    for panel in panels():
        for target in panel["targets"]:
            yield panel["title"], target["expr"]


@pytest.fixture
def shown(wardrobe: Shop) -> str:
    """What a shop shows in which everything that is measured has happened once."""
    wardrobe.put("without an image")
    wardrobe.put_image("0001", b"no image")
    wardrobe.put("new", "green")
    wardrobe.work()
    wardrobe.client.get("/v1/products/0001/similar?year_gte=2012")
    wardrobe.services.recall.save()
    day = day_of(datetime.now(UTC))
    seen = {"list_name": "trending", "reason": "trending", "cold": False, "clicks": 1}
    wardrobe.execute(insert(ListedDay).values(day=day, generation_id=1, **seen))
    split = {"placement": "home", "experiment": "home-diverse", "arm": "control"}
    wardrobe.execute(insert(ListedArm).values(day=day, list_name="user", clicks=1, **split))
    count_refused(408)  # what the server does, which stands before the app
    count_unshared("local")  # what happens without Redis
    answer = wardrobe.client.get("/metrics")
    assert answer.status_code == 200
    return answer.text


def test_every_metric_and_label_of_dashboard_and_alerts_is_there(shown: str) -> None:
    samples = re.findall(r"^(\w+)(?:\{(.*)\})? ", shown, re.MULTILINE)
    metrics = {name for name, _ in samples}
    labels = {label for _, text in samples for label in re.findall(r'(\w+)="', text)}
    for place, text in expressions():
        assert set(NAME.findall(text)) <= metrics | labels, place
        named = {
            label for group, one in LABEL.findall(text) for label in re.split(r",\s*", group or one)
        }
        assert named <= labels | PROMETHEUS_OWN, place


def test_the_dashboard_and_the_alerts_cover_what_is_measured(shown: str) -> None:
    text = " ".join(expression for _, expression in expressions())
    families = set(re.findall(r"^# TYPE (\w+)", shown, re.MULTILINE))
    assert {family for family in families if family not in text} == set()


def test_each_alert_says_what_is_wrong_what_to_do_and_how_urgent_it_is() -> None:
    for rule in alerts():
        assert set(rule["annotations"]) == {"summary", "action"}
        assert rule["labels"]["severity"] in {"page", "ticket"}
    assert len({rule["alert"] for rule in alerts()}) == len(alerts())


def test_the_panels_of_the_dashboard_do_not_lie_on_each_other() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in panels():
        at = panel["gridPos"]
        cells = {
            (at["x"] + right, at["y"] + down) for right in range(at["w"]) for down in range(at["h"])
        }
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells
    assert len({panel["id"] for panel in panels()}) == len(panels())


def promtool(*arguments: str | Path) -> None:
    ran = subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


@needs_promtool
def test_prometheus_reads_the_alerts_and_they_fire_when_they_should() -> None:
    promtool("check", "config", FOLDER / "prometheus.yml")
    promtool("check", "rules", FOLDER / "alerts.yml")
    promtool("test", "rules", FOLDER / "alerts.test.yml")


def test_each_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not() -> None:
    cases = yaml.safe_load((FOLDER / "alerts.test.yml").read_text(encoding="utf-8"))["tests"]
    tried = [(one["alertname"], "exp_alerts" in one) for c in cases for one in c["alert_rule_test"]]
    names = {rule["alert"] for rule in alerts()}
    assert {name for name, fires in tried if fires} == names
    assert {name for name, fires in tried if not fires} == names


@needs_promtool
def test_prometheus_reads_every_expression_of_the_dashboard(tmp_path: Path) -> None:
    rules = [
        {"record": f"panel:{number}", "expr": text.replace("$__rate_interval", "5m")}
        for number, (_, text) in enumerate(expressions())
    ]
    (tmp_path / "rules.yml").write_text(
        yaml.safe_dump({"groups": [{"name": "all", "rules": rules}]})
    )
    promtool("check", "rules", tmp_path / "rules.yml")


@needs_promtool
def test_prometheus_finds_nothing_wrong_with_what_a_shop_shows(shown: str) -> None:
    ran = subprocess.run(
        ["promtool", "check", "metrics"], input=shown, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
