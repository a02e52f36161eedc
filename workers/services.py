"""Services of a process that leaves the work to the workers, where there are any."""

from __future__ import annotations

from backend import bootstrap
from backend.bootstrap import Services
from backend.settings import Settings


def build(settings: Settings) -> Services:
    """Build the services of an API process or a command: without BROKER_URL, the embedded ones.

    With it, writes knock at the workers' door and pictures are sent to them; no network is loaded
    here. Connects to nothing. Raises what `bootstrap.build` raises.
    """
    if not settings.broker_url:
        return bootstrap.build(settings)
    from workers.app import make_app  # noqa: PLC0415  (embedded, Celery is not even imported)
    from workers.doorbell import Doorbell  # noqa: PLC0415
    from workers.interactive import RemoteEmbedder  # noqa: PLC0415

    app = make_app(settings)
    return bootstrap.build(
        settings, ring=Doorbell(app, settings), embed_remotely=RemoteEmbedder(app, settings)
    )
