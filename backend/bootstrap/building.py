"""Building the services of a process, and explaining why that failed."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import URL, make_url

from backend.access.signing_key import SigningKey
from backend.bootstrap import parts
from backend.bootstrap.services import Services
from backend.calls import Caller
from backend.database import arrival, failures
from backend.database.arrival import Arrival
from backend.events.answers import AnswerLog
from backend.images.open_images import ImageOpener
from backend.images.store import ImageStore
from backend.indexing import schema
from backend.outages import Outages
from backend.recommendations.complementary import Complementary
from backend.recommendations.recommend import Recommender
from backend.recommendations.together import Together
from backend.search.coverage import CoverageMonitor
from backend.search.query_image import EmbedRemotely, LocalQueryEncoder
from backend.search.query_text import TextEncoder
from backend.search.recall_monitor import RecallMonitor
from backend.search.similar import SimilarProducts
from backend.settings import Settings
from backend.vectors.edge.owner import Owner
from backend.vectors.indexes import Indexes


def build(
    settings: Settings,
    *,
    notify: Callable[[], None] = lambda: None,
    heartbeat: Callable[[], None] = lambda: None,
    embed_remotely: EmbedRemotely | None = None,
    embeds: bool | None = None,
    owner: Caller | None = None,
    wait: bool = False,
) -> Services:
    """Build the services. An embedded database is migrated; another one has to be current.

    With `wait`, a database server that does not answer is no error; `services.arrival` can wait
    for it.

    With `embed_remotely` the workers embed shoppers' images, and this process loads no network
    unless it `embeds` products. With `owner`, that process does it, and is asked for the embedded
    index, which it owns. Raises ConfigurationError when a database server lacks a migration.
    """
    is_alone = embed_remotely is None and owner is None
    services = _assemble(
        settings,
        notify=notify,
        heartbeat=heartbeat,
        embed_remotely=embed_remotely,
        embeds=is_alone if embeds is None else embeds,
        owner=owner,
    )
    _prepare(services, wait=wait)
    return services


def _assemble(
    settings: Settings,
    *,
    notify: Callable[[], None],
    heartbeat: Callable[[], None],
    embed_remotely: EmbedRemotely | None,
    embeds: bool,
    owner: Caller | None,
) -> Services:
    """Connect the parts. Nothing is opened that can wait for its first use."""
    db, indexed = parts.open_database(settings), schema(settings.facets)
    outages = Outages(first_seconds=settings.retry_seconds)
    indexes = Indexes(settings, schema=indexed, owner=owner)
    embedders = parts.make_embedders(settings, db, heartbeat)
    limits, store = parts.limits_of(settings), ImageStore(settings.image_store_url)
    decoders = parts.make_decoders(settings, limits)
    local_encoder = LocalQueryEncoder(embedders, decoders)
    query_encoder = parts.choose_query_encoder(
        settings, local_encoder, decoders, embed_remotely, owner
    )
    promoter = parts.make_promoter(settings, db, indexes, query_encoder, heartbeat)
    return Services(
        settings=settings,
        notify=notify,
        heartbeat=heartbeat,
        embeds=embeds,
        db=db,
        arrival=Arrival(db),
        owner=Owner(settings.data_dir),
        indexes=indexes,
        limits=limits,
        image_store=store,
        decoders=decoders,
        image_opener=ImageOpener(
            store, decoders, fetch=parts.image_fetcher(settings, limits), outages=outages
        ),
        fetch_image=parts.query_fetcher(settings, limits),
        embedders=embedders,
        local_encoder=local_encoder,
        query_encoder=query_encoder,
        outages=outages,
        similar=SimilarProducts(db, indexes.of, TextEncoder(db).encode, indexed),
        recall=RecallMonitor(db, schema=indexed, rate=settings.recall_sample),
        coverage=CoverageMonitor(db, indexes.of),
        promoter=promoter,
        reindex_jobs=parts.make_reindex_jobs(
            settings, db, promoter, embedders, local_encoder if embeds else query_encoder, heartbeat
        ),
        feeds=parts.make_feed_runner(settings, db, store),
        together=Together(db, indexes.of, keeps=not db.is_read_only),
        complementary=Complementary(db, indexes.of),
        recommender=Recommender(indexes.of),
        answer_log=AnswerLog(db, most=settings.answers_kept),
        signing_key=SigningKey(db),
    )


def _prepare(services: Services, *, wait: bool) -> None:
    """Check the database now; with `wait`, leave one that does not answer to the caller."""
    try:
        if wait:
            services.arrival.try_once()
        else:
            arrival.check(services.db)
    except BaseException:
        services.close()
        raise


def explain(error: BaseException, settings: Settings) -> str | None:
    """Say in one line what failed, where, and what to do; None for a fault of the program."""
    return failures.explain(error, database=_place_of(make_url(settings.database)))


def _place_of(url: URL) -> str:
    """Return the path of a SQLite file, or where a server is asked, which may be at a socket."""
    if url.get_backend_name() == "sqlite":
        return str(url.database)
    given = url.host or url.query.get("host") or "a local socket"
    host = given if isinstance(given, str) else ", ".join(given)
    is_socket = host.startswith(("/", "a "))
    return f"at {host}" if is_socket else f"at {host}:{url.port or 5432}"
