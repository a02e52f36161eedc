"""A server that others can reach asks for keys, and the commands beside it need none."""

from __future__ import annotations

from pathlib import Path

import pytest
import requests
from support.image_files import colour_image
from support.installation import PATIENCE_SECONDS, embedded
from support.keys import bearer, make_key
from support.servers import wait_for

from backend.access.scope import Scope
from backend.cli.similar import ask


def test_commands_work_beside_a_locked_server_which_tells_nobody_its_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with embedded(tmp_path, embedder="mean-colour") as shop:
        shop.start("serve", "--host", "0.0.0.0", "--port", "0", name="api")
        url = wait_for(lambda: shop.url, seconds=PATIENCE_SECONDS)
        headers = bearer(make_key(shop.services, Scope.INGEST))
        wait_for(lambda: '"event":"serving"' in shop.log_of("api"), seconds=PATIENCE_SECONDS)
        assert requests.get(f"{url}/v1/status", timeout=PATIENCE_SECONDS).status_code == 401
        with requests.Session() as session:
            session.headers.update(headers)
            for sku, colour in (("1", "red"), ("2", "darkred")):
                address = f"{url}/v1/products/{sku}"
                assert session.put(address, json={}).status_code == 201
                image = colour_image(colour)
                assert session.put(f"{address}/image", data=image).status_code == 201
        shop.wait_until_indexed(2)
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")  # the token must not go there
        assert [item["sku"] for item in ask(shop.services, "1", limit=5)["items"]] == ["2"]
        for secret in (headers["Authorization"], str(shop.services.owner.token)):
            assert secret.rpartition("_")[2] not in shop.log_of("api")
