"""`BROKER_URL=rediss://…` on a port of its own: all that talks to Redis does so through TLS."""

from __future__ import annotations

import json
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from support.certificates import make_certificate
from support.installation import COMMAND
from support.servers import wait_for
from support.tls_redis import has_tls, installed_redis, wrapped_redis

from backend.errors import ConfigurationError
from backend.settings import Settings, read_settings
from workers import names
from workers.app import check_broker, make_app
from workers.broker_clock import SENT_AT, BrokerClock
from workers.health import signs, usual_folder
from workers.names import Queue
from workers.notifier import Notifier

SERVERS = {
    "wrapped": wrapped_redis,
    "installed": pytest.param(
        installed_redis,
        marks=pytest.mark.skipif(not has_tls(), reason="no redis-server with TLS on this host"),
    ),
}


class Broker:
    """A Redis that listens with TLS, and the certificate that proves who it is."""

    def __init__(self, port: int, certificate: Path) -> None:
        self.url = f"rediss://localhost:{port}/0"
        self.certificate = certificate
        self.client = redis.Redis.from_url(self.url, ssl_ca_certs=str(certificate))

    def messages(self) -> list[dict[str, dict[str, str]]]:
        return [json.loads(raw) for raw in self.client.lrange(Queue.INDEX, 0, -1)]


@pytest.fixture(params=SERVERS.values(), ids=SERVERS)
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Broker]:
    certificate, key = make_certificate(tmp_path)
    with request.param(tmp_path / "broker", certificate, key) as port:
        found = Broker(port, certificate)
        yield found
        found.client.close()


def settings_of(broker: Broker, **given: str) -> Settings:
    return read_settings(
        _env_file=None,
        database_url="postgresql://nobody@127.0.0.1:1/none",
        broker_url=broker.url,
        image_store="file:///images",
        **given,
    )


@pytest.fixture
def trusted(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> Broker:
    """The broker, on a host that trusts its certificate."""
    monkeypatch.setenv("SSL_CERT_FILE", str(broker.certificate))
    assert ssl.get_default_verify_paths().cafile == str(broker.certificate)
    return broker


def test_a_message_goes_through_tls(trusted: Broker) -> None:
    settings = settings_of(trusted)
    app = make_app(settings)

    assert check_broker(app) is None
    Notifier(app, settings)()

    (message,) = trusted.messages()
    assert message["headers"]["task"] == names.WORK
    assert BrokerClock(trusted.url).stamp(1)[SENT_AT] > 0
    app.close()


def test_a_broker_that_nobody_vouches_for_is_not_talked_to(broker: Broker) -> None:
    settings = settings_of(broker)
    app = make_app(settings)

    assert check_broker(app) == "does not answer"
    Notifier(app, settings)()

    assert broker.messages() == []
    app.close()


def test_the_address_itself_may_name_the_authority(broker: Broker) -> None:
    broker.url += f"?ssl_cert_reqs=required&ssl_ca_certs={broker.certificate}"
    app = make_app(settings_of(broker))

    assert check_broker(app) is None
    assert BrokerClock(broker.url).stamp(1)[SENT_AT] > 0
    app.close()


def test_the_settings_refuse_a_proof_that_only_one_library_understands(broker: Broker) -> None:
    broker.url += "?ssl_cert_reqs=CERT_REQUIRED"
    with pytest.raises(ConfigurationError, match="required, optional or none"):
        settings_of(broker)


def test_the_scheduler_works_through_tls_and_its_health_check_says_so(
    trusted: Broker, tmp_path: Path
) -> None:
    environment = {
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": str(Path.cwd()),
        "TMPDIR": str(tmp_path),
        "SSL_CERT_FILE": str(trusted.certificate),
        "BROKER_URL": trusted.url,
        "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
        "LOOKALIKE_IMAGE_STORE": "file:///images",
        "LOOKALIKE_POLL_SECONDS": "0.2",
    }
    scheduler = subprocess.Popen([COMMAND, "beat"], env=environment, cwd=tmp_path)

    try:
        wait_for(lambda: trusted.messages() and is_healthy(tmp_path), seconds=60)
    finally:
        scheduler.terminate()
        scheduler.wait(30)
    assert not is_healthy(tmp_path)


def is_healthy(temporary: Path) -> bool:
    """What `lookalike health` says in a container with this folder for temporary files."""
    found = signs(temporary / usual_folder().name)
    return bool(found) and all(sign.is_good for sign in found)
