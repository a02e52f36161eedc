"""The points of a chart."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from backend.web.admin.charts import HEIGHT, WIDTH, draw

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def test_a_chart_ends_now_and_shows_at_least_an_hour() -> None:
    values = [(NOON - timedelta(minutes=30), 5.0), (NOON - timedelta(minutes=29), 10.0)]
    chart = draw(values, now=NOON, least_most=1)
    assert (chart.begins, chart.most, chart.last) == (NOON - timedelta(hours=1), 10.0, 10.0)
    assert chart.lines == [f"{WIDTH / 2},60.0 {WIDTH * 31 / 60},0.0"]
    assert chart.areas == [f"{WIDTH / 2},{HEIGHT} {chart.lines[0]} {WIDTH * 31 / 60},{HEIGHT}"]


def test_a_gap_has_no_line_and_one_value_is_still_seen() -> None:
    hours = [NOON - timedelta(hours=it) for it in (4, 2)]
    chart = draw([(hours[0], 1.0), (hours[1], 1.0)], now=NOON, least_most=2)
    assert chart.lines == ["0.0,60.0 2.0,60.0", "300.0,60.0 302.0,60.0"]


def test_nothing_is_drawn_without_values() -> None:
    chart = draw([], now=NOON, least_most=10)
    assert (chart.lines, chart.areas, chart.last, chart.most) == ([], [], None, 10)
