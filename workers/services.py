"""What a process holds that leaves the work to the workers, where there are any.

Celery is imported only where BROKER_URL is set.
"""

from __future__ import annotations

from collections.abc import Callable

from backend import bootstrap
from backend.bootstrap import Services
from backend.settings import Settings


def build(settings: Settings, *, notify: Callable[[], None] = lambda: None) -> Services:
    """Build the services of an API process or a command: without BROKER_URL, the embedded ones.

    With it, pictures go to the workers, no network is loaded here, and writes knock at the workers'
    door after calling `notify`. Connects to nothing but the database. Raises what `bootstrap.build`
    raises.
    """
    if not settings.broker_url:
        return bootstrap.build(settings, notify=notify)
    from workers.app import make_app  # noqa: PLC0415
    from workers.interactive import RemoteEmbedder  # noqa: PLC0415
    from workers.notifier import Notifier  # noqa: PLC0415

    app = make_app(settings)
    knock = Notifier(app, settings)

    def ring_everywhere() -> None:
        notify()
        knock()

    return bootstrap.build(
        settings, notify=ring_everywhere, embed_remotely=RemoteEmbedder(app, settings)
    )


def probes(settings: Settings) -> dict[str, Callable[[], str | None]]:
    """Return what tells whether the message broker answers, if there is one: None, or what not."""
    if not settings.broker_url:
        return {}
    from workers.app import make_app, trouble  # noqa: PLC0415

    app = make_app(settings)
    return {"broker": lambda: trouble(app)}
