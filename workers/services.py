"""The services of a process that leaves the work to Celery workers, where BROKER_URL is set.

Celery is imported only then.
"""

from __future__ import annotations

from collections.abc import Callable

from backend import bootstrap
from backend.api.readiness import BROKER
from backend.bootstrap import Services
from backend.calls import Caller
from backend.settings import Settings


def build(
    settings: Settings,
    *,
    notify: Callable[[], None] = lambda: None,
    wait: bool = False,
    serves: bool = False,
    owner: Caller | None = None,
) -> Services:
    """Build the services of an API process or a command.

    Without BROKER_URL these are the embedded ones. With it, shoppers' images go to the workers, no
    network is loaded here, and each write calls `notify` and then sends the workers a wake-up
    message; in a process that `serves` a thread sends it. Connects to nothing but the database.
    `owner`, `wait`, and what it raises, as in `bootstrap.build`.
    """
    if not settings.broker_url:
        return bootstrap.build(settings, notify=notify, wait=wait, owner=owner)
    from workers.app import make_app  # noqa: PLC0415
    from workers.interactive import RemoteEmbedder  # noqa: PLC0415
    from workers.notifier import BackgroundNotifier, Notifier  # noqa: PLC0415

    app = make_app(settings)
    send = Notifier(app, settings)
    wake_workers = BackgroundNotifier(send) if serves else send

    def notify_both() -> None:
        notify()
        wake_workers()

    return bootstrap.build(
        settings,
        notify=notify_both,
        embed_remotely=RemoteEmbedder(app, settings),
        owner=owner,
        wait=wait,
    )


def make_probes(settings: Settings) -> dict[str, Callable[[], str | None]]:
    """Return the readiness check of the message broker by name, or nothing without a broker.

    The check returns None, or a short text that says what is wrong.
    """
    if not settings.broker_url:
        return {}
    from workers.app import check_broker, make_app  # noqa: PLC0415

    app = make_app(settings)
    return {BROKER: lambda: check_broker(app)}


def optional_probes(settings: Settings) -> frozenset[str]:
    """Return the readiness checks that may fail while an API process is ready.

    That is the broker's, where the settings say so. Where the rate limits refuse everything without
    Redis, it is needed.
    """
    refuses = settings.rate_limit and settings.rate_limit_without_redis == "closed"
    is_needed = refuses or not settings.ready_without_redis
    return frozenset() if is_needed else frozenset({BROKER})
