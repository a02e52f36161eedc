"""`image_url` shows an image without a key, and readers do not see where files lie."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from flask.testing import FlaskClient
from support.image_files import colour_image
from support.keys import bearer
from support.shop import PROBLEM, Shop

from backend.access import keys
from backend.access.scope import Scope
from backend.api import create_app
from backend.api.image_urls import DAY

RED = colour_image("red")


def products_of(client: FlaskClient, token: str) -> list[dict[str, Any]]:
    """The product with the sku 1 in each kind of answer."""
    headers = bearer(token)
    one = client.get("/v1/products/1", headers=headers).json
    (listed,) = client.get("/v1/products", headers=headers).json["items"]
    return [one, listed]


@pytest.fixture
def url(shop: Shop, locked: FlaskClient, token: Callable[[Scope], str]) -> str:
    """The `image_url` that a reader of a locked server gets."""
    shop.put("1")
    shop.put_image("1", RED)
    one, listed = products_of(locked, token(Scope.READ))
    assert one["image_url"] == listed["image_url"], "it can be kept"
    return str(one["image_url"])


def test_an_image_url_needs_no_key_and_can_be_kept(locked: FlaskClient, url: str) -> None:
    assert url.startswith("http://localhost/v1/products/1/image?")
    shown = locked.get(url)
    assert (shown.status_code, shown.content_type, shown.data) == (200, "image/png", RED)
    kept = shown.headers["Cache-Control"].replace("=", " ").replace(",", "").split()
    assert kept[::2][0] == "public"
    assert "immutable" in kept
    assert DAY <= int(kept[kept.index("max-age") + 1]) <= 2 * DAY
    assert locked.get(url, headers={"If-None-Match": shown.headers["ETag"]}).status_code == 304


def test_a_changed_image_has_a_new_url_and_the_old_one_is_not_kept(
    shop: Shop, locked: FlaskClient, url: str, token: Callable[[Scope], str]
) -> None:
    shop.put_image("1", colour_image("blue"))
    assert products_of(locked, token(Scope.READ))[0]["image_url"] != url
    assert locked.get(url).headers["Cache-Control"] == "no-cache"


def test_a_changed_or_expired_url_is_refused(
    shop: Shop, locked: FlaskClient, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.put("2")
    shop.put_image("2", RED)
    expires = parse_qs(urlsplit(url).query)["expires"][0]
    changed = {
        url.replace("/1/", "/2/"): "invalid-signature",
        url.replace(f"expires={expires}", f"expires={int(expires) + DAY}"): "invalid-signature",
        url.replace("v=", "v=0"): "invalid-signature",
        url[:-1] + ("0" if url[-1] != "0" else "1"): "invalid-signature",
        url.replace(f"expires={expires}", "expires=x"): "expired-url",
        url.replace(f"expires={expires}", "expires=" + "9" * 400): "invalid-signature",
    }
    for other, code in changed.items():
        refused = locked.get(other)
        assert (refused.status_code, refused.content_type) == (403, PROBLEM)
        assert refused.json["code"] == code
    unknown = locked.get(url.replace("key=lk_", "key=lk_0"))
    assert (unknown.status_code, unknown.json["code"]) == (401, "invalid-key")
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 2 * DAY)
    assert locked.get(url).json["code"] == "expired-url"


def test_a_url_opens_its_image_alone_and_ends_with_its_key(
    shop: Shop, locked: FlaskClient, url: str, token: Callable[[Scope], str]
) -> None:
    query = urlsplit(url).query
    assert locked.get(f"/v1/products/1?{query}").status_code == 401
    assert locked.put(f"/v1/products/1/image?{query}", data=RED).status_code == 401
    prefix = token(Scope.READ).rpartition("_")[0]
    shop.services.db.write(lambda session: keys.revoke(session, prefix))
    fresh = create_app(shop.services, locked=True).test_client()  # whose keys are not cached
    assert fresh.get(url).json["code"] == "invalid-key"


def test_a_new_key_signs_at_once(
    shop: Shop, locked: FlaskClient, url: str, token: Callable[[Scope], str]
) -> None:
    """The keys that this process knows may be some seconds old."""
    locked.get(url)
    assert locked.get(products_of(locked, token(Scope.ADMIN))[0]["image_url"]).status_code == 200


def test_without_keys_the_url_is_plain(shop: Shop) -> None:
    shop.put("a/b".replace("/", "%2F"))
    shop.put_image("a%2Fb", RED)
    found = shop.client.get("/v1/products/a%2Fb?fields=image_url").json["image_url"]
    assert urlsplit(found).path == "/v1/products/a%2Fb/image"
    assert set(parse_qs(urlsplit(found).query)) == {"v"}
    assert shop.client.get(found).data == RED


def test_each_of_several_images_has_its_url(
    shop: Shop, locked: FlaskClient, token: Callable[[Scope], str], url: str
) -> None:
    blue = colour_image("blue")
    second = shop.client.put("/v1/products/1/images/2", data=blue, content_type="image/png")
    assert second.status_code == 201
    first_url, second_url = (
        image["url"] for image in products_of(locked, token(Scope.READ))[0]["images"]
    )
    assert (first_url, locked.get(second_url).data) == (url, blue)
    exchanged = second_url.replace("/images/2", "/images/1")
    assert locked.get(exchanged).json["code"] == "invalid-signature"


def test_an_image_elsewhere_is_where_it_is_and_none_is_none(shop: Shop) -> None:
    address = "https://images.example/1.jpg"
    assert shop.put("1", image_uri=address).json["image_url"] == address
    assert shop.put("2").json["image_url"] is None


def test_readers_see_no_path_of_the_server(
    shop: Shop, locked: FlaskClient, token: Callable[[Scope], str]
) -> None:
    folder = str(shop.settings.data_dir.parent)
    shop.save_in_place("1", RED)
    shop.work()
    (shop.settings.data_dir.parent / "1.png").unlink()
    broken = bytes(1000)
    shop.save_in_place("2", broken)
    (shop.settings.data_dir.parent / "2.png").unlink()
    shop.work()
    reader, writer = (bearer(token(scope)) for scope in (Scope.READ, Scope.INGEST))
    for path in ("/v1/products/1", "/v1/products/2", "/v1/products", "/v1/products/1/image"):
        answer = locked.get(path, headers=reader)
        assert folder not in answer.text, path
    assert folder in locked.get("/v1/products/1", headers=writer).json["image_uri"]
    awaited = locked.get("/v1/products/2", headers=reader).json
    assert (awaited["state"], awaited["reason"]) == ("pending", "no-image")
    assert awaited["image_url"], "the image can be had nevertheless, if it is there"
    shop.services.owner.acquire()
    owner = bearer(str(shop.services.owner.token))
    assert folder in locked.get("/v1/products/1", headers=owner).json["image_uri"], "a command"
    gone = locked.get("/v1/products/1/image", headers=reader)
    assert (gone.status_code, gone.json["code"]) == (404, "no-image")
