"""`/v1/admin/feeds`: an admin adds, changes, runs and removes feeds."""

from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient

FEEDS = "/v1/admin/feeds"
URL = "https://images.example/feed.csv"


def add(client: FlaskClient, **members: Any) -> Any:
    answer = client.post(FEEDS, json={"url": URL} | members)
    assert answer.status_code == 201, answer.text
    return answer.json


def problem(answer: Any, status: int, code: str) -> str:
    assert (answer.status_code, answer.json["code"]) == (status, code), answer.text
    assert answer.mimetype == "application/problem+json"
    return str(answer.json["detail"])


def test_a_feed_is_added_read_and_removed(client: FlaskClient) -> None:
    options = {"format": "google", "prune": True, "prune_at_most": "35%", "map": {"sku": "id"}}
    options |= {"numeric": ["size"]}
    answer = client.post(
        FEEDS, json={"url": URL, "name": "shop", "every_seconds": 14_400, "options": options}
    )
    assert (answer.status_code, answer.headers["Location"]) == (201, f"{FEEDS}/shop")
    added = answer.json
    assert (added["location"], added["options"]) == (URL, options)
    assert (added["last_run"], added["job"], added["paused"]) == (None, None, False)
    assert client.get(FEEDS).json["items"] == [added]
    assert client.get(f"{FEEDS}/shop").json == added | {"runs": []}
    assert client.delete(f"{FEEDS}/shop").status_code == 204
    problem(client.get(f"{FEEDS}/shop"), 404, "unknown-feed")
    problem(client.delete(f"{FEEDS}/shop"), 404, "unknown-feed")


def test_a_feed_without_a_name_is_named_after_its_host(client: FlaskClient) -> None:
    assert [add(client)["name"] for _ in range(2)] == ["images.example", "images.example-2"]
    first = client.get(FEEDS, query_string={"limit": 1}).json
    rest = client.get(FEEDS, query_string={"cursor": first["next_cursor"]}).json
    assert [item["name"] for item in rest["items"]] == ["images.example-2"]


def test_a_run_is_a_job(client: FlaskClient) -> None:
    name = add(client)["name"]
    answer = client.post(f"{FEEDS}/{name}/run", json={"force": True})
    assert answer.status_code == 202
    job = answer.json
    assert (job["verb"], job["arguments"]["force"], job["state"]) == ("feed", True, "queued")
    assert answer.headers["Location"] == f"/v1/admin/jobs/{job['id']}"
    assert client.post(f"{FEEDS}/{name}/run", json={}).json["id"] == job["id"], "it has not ended"
    assert client.get(f"{FEEDS}/{name}").json["job"] == job["id"]


def test_a_feed_is_changed_and_paused(client: FlaskClient) -> None:
    name = add(client, options={"prune": True})["name"]
    paused = client.patch(f"{FEEDS}/{name}", json={"paused": True, "every_seconds": 3600}).json
    assert (paused["paused"], paused["due_at"], paused["every_seconds"]) == (True, None, 3600)
    changed = client.patch(f"{FEEDS}/{name}", json={"options": {}, "paused": False}).json
    assert changed["options"] == {}
    assert changed["due_at"]
    problem(client.patch(f"{FEEDS}/no-such", json={}), 404, "unknown-feed")


def test_no_answer_shows_what_stands_in_the_query_of_an_address(client: FlaskClient) -> None:
    name = add(client, url=f"{URL}?token=hunter2")["name"]
    shown = client.get(f"{FEEDS}/{name}").json["location"]
    assert shown == f"{URL}?token=…"
    client.patch(f"{FEEDS}/{name}", json={"url": shown, "paused": True})  # as it was read
    job = client.post(f"{FEEDS}/{name}/run", json={}).json
    told = client.get(FEEDS).text + client.get("/v1/admin/jobs").text + str(job)
    assert "hunter2" not in told
    assert "token" in told


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/url"),
        ({"url": "/etc/passwd"}, "/url"),
        ({"url": "file:///etc/passwd"}, "/url"),
        ({"url": "s3://images.example/feed.csv"}, "/url"),
        ({"url": "https://elsewhere.example/feed.csv"}, "/url"),
        ({"url": "https://user:pw@images.example/feed.csv"}, "/url"),
        ({"url": "https://images.example:99999/"}, "/url"),
        ({"name": "a/b"}, "/name"),
        ({"name": ""}, "/name"),
        ({"every_seconds": 5}, "/every_seconds"),
        ({"every_seconds": -1}, "/every_seconds"),
        ({"every_seconds": "4h"}, "/every_seconds"),
        ({"options": {"format": "excel"}}, "/options"),
        ({"options": {"map": {"colour": "x"}}}, "/options"),
        ({"options": {"decimal": ";"}}, "/options"),
        ({"options": {"encoding": "klingon"}}, "/options"),
        ({"options": {"encoding": "punycode"}}, "/options"),
        ({"options": {"delimiter": "ab"}}, "/options"),
        ({"options": {"prune_at_most": "200%"}}, "/options"),
        ({"options": {"copy_images": True}}, "/options"),
        ({"secret": 1}, "/secret"),
    ],
)
def test_what_is_wrong_with_a_feed_is_said_and_where(
    client: FlaskClient, body: dict[str, Any], pointer: str
) -> None:
    full = {"url": URL} | body if body else {}
    answer = client.post(FEEDS, json=full)
    assert answer.status_code == 422, answer.text
    assert [error["pointer"] for error in answer.json["errors"]] == [pointer]
    assert client.get(FEEDS).json["items"] == []
    if "pw@" in str(body):
        assert "pw" not in answer.text


def test_a_name_that_is_taken_is_a_conflict(client: FlaskClient) -> None:
    add(client, name="shop")
    answer = client.post(FEEDS, json={"url": URL, "name": "shop"})
    assert "'shop'" in problem(answer, 409, "feed-exists")
    assert "Retry-After" not in answer.headers
