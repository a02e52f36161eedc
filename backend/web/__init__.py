"""The web pages for people. They call the same functions as the API.

`register_web` adds them to an app; `LOOKALIKE_WEB=off` leaves them out. A page is a view in the
blueprint of its module, a template below `templates/` and, where it needs one, an ES module below
`static/`. Views declare with `requires_scope` which key they need, as those of the API do.
"""

from __future__ import annotations

from flask import Flask

from backend.api import authentication
from backend.bootstrap import Services
from backend.web import (
    admin,
    asking,
    facets,
    gallery,
    pages,
    photo,
    prices,
    product,
    session,
    shopping,
    signing_in,
    static_files,
    thumbnails,
)

BLUEPRINTS = (
    static_files.blueprint,
    signing_in.blueprint,
    gallery.blueprint,
    product.blueprint,
    photo.blueprint,
    shopping.blueprint,
    thumbnails.blueprint,
    admin.blueprint,
)


def register_web(app: Flask, services: Services, *, locked: bool | None = None) -> None:
    """Add the pages to an app that `create_app` made, unless the settings leave them out.

    `locked` as there.
    """
    if not services.settings.web:
        return
    locked = services.settings.locked if locked is None else locked
    app.extensions[authentication.SESSIONS] = session.find_key
    app.extensions[thumbnails.KEPT] = thumbnails.Thumbnails()
    app.extensions[facets.KEPT] = {}
    pages.prepare_templates(app, locked=locked)
    app.jinja_env.globals.update(
        page_url=asking.page_url,
        same_url=asking.same_url,
        escaped=asking.escaped,
        price_text=prices.price_text,
        shopper=asking.shopper,
        reasons={reason.value: text for reason, text in shopping.REASONS.items()},
        thumbnail_url=thumbnails.url_of_thumbnail,
    )
    for blueprint in BLUEPRINTS:
        app.register_blueprint(blueprint)
