"""What an API process says while PostgreSQL refuses connections."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import make_url
from structlog.testing import capture_logs
from support.proxy import proxy
from support.servers import migrated, wait_for
from support.shop import Shop

from backend.api import create_app
from backend.settings import Settings

AWAY = 'lookalike_store_available{store="database"} 0.0'


@pytest.mark.slow
def test_a_database_that_refuses_connections_is_away_in_the_metrics(
    settings: Settings, pg_url: str
) -> None:
    folder = Path(str(make_url(migrated(pg_url)).query["host"]))
    with proxy(str(folder / ".s.PGSQL.5432")) as between:
        url = make_url(pg_url).set(host="127.0.0.1", port=between.port, query={})
        through = url.render_as_string(hide_password=False)
        with Shop(settings, database_url=through) as shop:
            client = create_app(shop.services).test_client()
            assert AWAY not in client.get("/metrics").text
            between.stop()
            assert client.get("/v1/status").json["code"] == "database-unavailable"
            assert shop.services.store_problems()["database"] is None, "it is asked all the same"
            with capture_logs() as lines:
                assert wait_for(lambda: AWAY in client.get("/metrics").text)  # read once in a while
            unread = [line["error"] for line in lines if line["event"] == "cannot read metrics"]
            assert unread
            assert not [said for said in unread if "sqlalche.me" in said], "one line, of the driver"
            between.start()
            assert wait_for(lambda: AWAY not in client.get("/metrics").text)
