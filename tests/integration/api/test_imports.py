"""Lines of JSON over REST become products by a job, whatever is wrong with some of them."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from sqlalchemy import delete, func, select
from support.http_server import UPLOADS, http_server
from support.keys import bearer, make_key
from support.servers import migrated
from support.shop import PROBLEM, Shop

from backend import jobs
from backend.access.scope import Scope
from backend.api import create_app
from backend.catalogue.product_lines import CHUNK, LONGEST
from backend.database.models import ApiKey, JobInput
from backend.jobs import Interrupted, inputs
from backend.settings import Settings

URL = "/v1/products:import"
NDJSON = {"content_type": "application/x-ndjson"}

LINES = [
    b'{"sku": "a", "price": 19.9, "attributes": {"fit": "slim"}, "state": "indexed"}',
    b'{"sku": "b", "price": -1}',
    b"",
    b"not json",
    b'{"sku": "c", "image_uri": "https://images.example/c.png"}',
    b'{"sku": "d", "image_uri": "https://elsewhere.example/d.png"}',
    b'{"sku": "e", "colour": "red"}',
    b'{"sku": "a", "price": 25}',
    b'["f"]',
    b'{"price": 1}',
    b'{"sku": "g", "display_name": "\xff"}',
    b'{"sku": "h", "display_name": "' + b"x" * LONGEST + b'"}',
    '{"sku": "ü", "in_stock": false}'.encode(),
]


@pytest.fixture(params=["sqlite", "postgresql"])
def importing(request: pytest.FixtureRequest, settings: Settings) -> Iterator[Shop]:
    """An empty shop on either database, which takes images from one host."""
    if request.param == "sqlite":
        yield request.getfixturevalue("shop")
        return
    url = migrated(request.getfixturevalue("pg_url"))
    with Shop(settings, database_url=url, image_hosts=("images.example",)) as found:
        yield found


def send(shop: Shop, body: bytes, **options: Any) -> Any:
    answer = shop.client.post(URL, data=body, **{**NDJSON, **options})
    assert answer.status_code == 202, answer.text
    return answer


def count_inputs(shop: Shop) -> int:
    with shop.db.read() as session:
        return session.scalar(select(func.count()).select_from(JobInput)) or 0


def test_good_lines_are_stored_and_bad_ones_are_reported(importing: Shop) -> None:
    shop = importing
    answer = send(shop, b"\r\n".join(LINES))
    asked = answer.json
    assert (asked["verb"], asked["state"], asked["arguments"]["lines"]) == ("import", "queued", 13)
    place = answer.headers["Location"]
    assert place == f"/v1/imports/{asked['id']}"
    shop.follow(asked["id"])
    done = shop.client.get(place).json
    assert (done["state"], done["done"], done["total"]) == ("done", 13, 13)
    result = done["result"]
    assert result["counts"] == {"added": 3, "changed": 0, "unchanged": 0, "rejected": 9}
    reasons = {it["line"]: (it["sku"], it["reason"]) for it in result["rejects"]}
    assert list(reasons) == [1, 2, 4, 6, 7, 9, 10, 11, 12]
    assert reasons[1] == ("a", "line 8 has the same sku")
    assert reasons[2][0] == "b"
    assert "price" in reasons[2][1]
    assert "not JSON" in reasons[4][1]
    assert "images.example" in reasons[6][1]
    assert "colour" in reasons[7][1]
    assert "sku" in reasons[10][1]
    assert "UTF-8" in reasons[11][1]
    assert "more than 1,048,576 bytes" in reasons[12][1]
    assert shop.skus("/v1/products") == ["c", "a", "ü"]
    stored = shop.client.get("/v1/products/a").json
    assert (stored["price"], stored["attributes"]) == (25, {})
    listed = shop.client.get("/v1/admin/jobs").json["items"]
    assert asked["id"] in [job["id"] for job in listed]


def test_lines_are_taken_as_octets_too(shop: Shop) -> None:
    answer = send(shop, b'{"sku": "a"}\n{"sku": "b"}', content_type="application/octet-stream")
    assert (answer.status_code, answer.json["arguments"]["lines"]) == (202, 2)
    shop.follow(answer.json["id"])
    assert shop.skus("/v1/products") == ["a", "b"]


def test_the_input_is_kept_until_the_job_has_ended(shop: Shop) -> None:
    body = b"".join(b'{"sku": "s%d"}\n' % number for number in range(100))
    job = send(shop, body).json
    assert count_inputs(shop) == 1
    assert not inputs.forget_ended(shop.db)
    shop.follow(job["id"])
    inputs.forget_ended(shop.db)
    assert count_inputs(shop) == 0
    cancelled = send(shop, body).json
    shop.client.post(f"/v1/admin/jobs/{cancelled['id']}/cancel")
    inputs.forget_ended(shop.db)
    assert count_inputs(shop) == 0


def test_an_import_that_was_interrupted_is_done_again(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = b"".join(b'{"sku": "s%d"}\n' % number for number in range(3 * CHUNK))
    job = send(shop, body).json
    steps = iter([None, Interrupted()])

    def interrupt(*_: Any) -> None:
        if error := next(steps, None):
            raise error

    with monkeypatch.context() as patch:
        patch.setattr("backend.worker.handlers.JobHandlers._work_beside", interrupt)
        shop.worker.work_once()
    assert shop.client.get(f"/v1/imports/{job['id']}").json["state"] == "queued"
    assert shop.client.get("/v1/status").json["products"] == 2 * CHUNK
    shop.follow(job["id"])
    result = shop.client.get(f"/v1/imports/{job['id']}").json["result"]
    counts = {"added": CHUNK, "changed": 0, "unchanged": 2 * CHUNK, "rejected": 0}
    assert result["counts"] == counts


def test_an_import_that_is_sent_again_is_requested_once(shop: Shop) -> None:
    key = {"headers": {"Idempotency-Key": "import-1"}}
    first = send(shop, b'{"sku": "a"}\n', **key)
    again = send(shop, b'{"sku": "a"}\n', **key)
    assert first.json == again.json
    assert again.headers["Idempotency-Replayed"] == "true"
    other = shop.client.post(URL, data=b'{"sku": "b"}\n', **NDJSON, **key)
    assert (other.status_code, other.json["code"]) == (422, "idempotency-key-reused")
    assert count_inputs(shop) == 1


@pytest.mark.parametrize(
    ("body", "options", "status"),
    [
        (b"", NDJSON, 422),
        (b'{"sku": "a"}', {"content_type": "application/json"}, 415),
        (b'{"sku": "a"}', {**NDJSON, "query_string": {"prune": "true"}}, 422),
        (gzip.compress(b'{"sku": "a"}'), {**NDJSON, "headers": {"Content-Encoding": "gzip"}}, 415),
    ],
    ids=["empty", "json", "parameter", "packed"],
)
def test_what_is_no_import_is_refused(
    shop: Shop, body: bytes, options: dict[str, Any], status: int
) -> None:
    answer = shop.client.post(URL, data=body, **options)
    assert (answer.status_code, answer.content_type) == (status, PROBLEM)
    assert count_inputs(shop) == 0


def test_only_imports_are_shown_to_those_who_import(shop: Shop) -> None:
    job = jobs.write(shop.db, "index")
    assert shop.client.get(f"/v1/imports/{job}").json["code"] == "unknown-job"
    assert shop.client.get("/v1/imports/x").status_code == 404


def test_a_body_that_is_larger_than_any_other_lies_on_the_disk(shop: Shop) -> None:
    settings = shop.services.settings.model_copy(
        update={"max_upload_bytes": UPLOADS[URL], "proxies": 1}
    )
    shop.services.settings, kept = settings, shop.services.settings
    shop.execute(delete(ApiKey))
    try:
        with http_server(create_app(shop.services, locked=True)) as server:
            headers = bearer(make_key(shop.services, Scope.INGEST))
            headers |= {"Content-Type": "application/x-ndjson"}
            line = json.dumps({"sku": "a", "display_name": "x" * 1000}).encode() + b"\n"
            fits = line * (UPLOADS[URL] // len(line))
            place = f"http://localhost:{server.port}{URL}"
            assert httpx.post(place, content=fits, headers=headers).status_code == 202
            below = place.replace("/v1/", "/shop/v1/")
            prefix = {**headers, "X-Forwarded-Prefix": "/shop"}
            assert httpx.post(below, content=fits, headers=prefix).status_code == 202
            chunked = iter([fits, 10 * line])
            assert httpx.post(place, content=chunked, headers=headers).status_code == 413
            refused = httpx.post(place, content=fits + 10 * line, headers=headers)
            assert (refused.status_code, refused.headers["Content-Type"]) == (413, PROBLEM)
            assert server.gateway.buffered == 0
    finally:
        shop.services.settings = kept
    with shop.db.read() as session:
        packed = session.scalars(select(func.length(JobInput.content))).all()
    assert len(packed) == 6
    assert sum(packed) < len(fits) / 10


def test_a_byte_order_mark_is_no_part_of_a_line(importing: Shop) -> None:
    asked = send(importing, b'\xef\xbb\xbf{"sku": "a"}\n\xef\xbb\xbf{"sku": "b"}\n').json
    importing.follow(asked["id"])
    result = importing.client.get(f"/v1/imports/{asked['id']}").json["result"]
    assert result["counts"]["added"] == 2
    assert importing.skus("/v1/products") == ["a", "b"]
