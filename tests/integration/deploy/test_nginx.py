"""The nginx configuration of `deploy/nginx`, run by a real nginx before the API."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from support.keys import app_with
from support.places import ROOT
from support.servers import free_port, wait_for
from support.shop import Shop
from werkzeug.serving import make_server

CONFIGURATION = ROOT / "deploy" / "nginx" / "lookalike.conf"
MAIN = """
daemon off; {user} pid {folder}/pid; error_log {folder}/errors;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
    include {folder}/lookalike.conf;
}}
"""

pytestmark = pytest.mark.skipif(not shutil.which("nginx"), reason="nginx is not installed")


@pytest.fixture
def api(shop: Shop) -> Iterator[int]:
    """The port of an app behind one proxy."""
    app = app_with(shop.services, proxies=1, require_keys=False, max_image_bytes=20_000_000)
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def url(tmp_path: Path, api: int) -> Iterator[str]:
    """The address of an nginx under our configuration, without TLS."""
    port = free_port()
    text = CONFIGURATION.read_text(encoding="utf-8")
    text = re.sub(r"(?m)^\s*ssl_certificate.*\n", "", text)
    text = text.replace("listen 443 ssl;", f"listen 127.0.0.1:{port};")
    text = text.replace("server 127.0.0.1:8000;", f"server 127.0.0.1:{api};")
    (tmp_path / "lookalike.conf").write_text(text, encoding="utf-8")
    user = "user root;" if os.getuid() == 0 else ""  # else it could not write into our folder
    main = MAIN.format(folder=tmp_path, user=user)
    (tmp_path / "nginx.conf").write_text(main, encoding="utf-8")
    command = ["nginx", "-p", tmp_path, "-e", tmp_path / "errors", "-c", tmp_path / "nginx.conf"]
    with subprocess.Popen(command) as nginx:
        try:
            address = f"http://127.0.0.1:{port}/lookalike"
            wait_for(lambda: answers(address))
            yield address
        finally:
            nginx.terminate()


def answers(address: str) -> bool:
    try:
        return requests.get(f"{address}/livez", timeout=30).status_code == 200
    except requests.ConnectionError:
        return False


def test_paths_links_and_limits_survive_the_proxy(url: str) -> None:
    sku = f"{url}/v1/products/shirts%2Fnavy"
    stored = requests.put(sku, json={"price": 1}, timeout=30)
    assert (stored.status_code, stored.json()["sku"]) == (201, "shirts/navy")
    assert stored.headers["Location"] == "/lookalike/v1/products/shirts%2Fnavy"
    origin = url.removesuffix("/lookalike")
    assert requests.get(origin + stored.headers["Location"], timeout=30).status_code == 200
    described = requests.get(f"{url}/openapi.json", timeout=30).json()
    assert described["servers"] == [{"url": url}]
    sent = {"X-Forwarded-Prefix": "/evil", "X-Forwarded-Host": "evil"}
    described = requests.get(f"{url}/openapi.json", headers=sent, timeout=30).json()
    assert described["servers"] == [{"url": url}]
    assert requests.get(f"{url}/metrics", timeout=30).status_code == 404


def test_an_upload_as_large_as_allowed_reaches_the_api(url: str) -> None:
    body = {"display_name": "x" * 20_000_000}
    large = requests.put(f"{url}/v1/products/1", json=body, timeout=30)
    assert large.status_code == 422, "the API has read it, and refused it"
    assert large.headers["Content-Type"] == "application/problem+json"
