"""What a process works on follows from what it has, and what is urgent comes first."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import select
from support.catalogue import Catalogue
from support.image_files import random_image

from backend import bootstrap, generations, jobs, queue
from backend.bootstrap import Services
from backend.database.models import BUILDING, Generation, IndexEntry, Product
from backend.queue import IMPORT, SINGLE
from backend.settings import Settings
from backend.vectors.server.index import ServerIndex
from backend.worker import rounds
from backend.worker.loop import Worker

BATCH = 4  # images a forward pass; a round takes one such share of single writes, three of the rest


@pytest.fixture
def build(settings: Settings) -> Iterator[Callable[..., Services]]:
    """Build services over one catalogue, as one process or another would."""
    built: list[Services] = []
    plain = settings.model_copy(update={"embedder": "mean-colour", "batch_size": BATCH})

    def make(**options: Any) -> Services:
        built.append(bootstrap.build(plain, **options))
        return built[-1]

    yield make
    for services in built:
        services.close()


@pytest.fixture
def owner(build: Callable[..., Services]) -> Worker:
    """The worker of the process that owns the index."""
    services = build()
    services.owner.acquire()
    worker = Worker(services)
    worker.recover()
    return worker


def save(services: Services, *skus: str, priority: int = IMPORT) -> None:
    for sku in skus:
        Catalogue(services).save(sku, random_image(hash(sku)), priority=priority)


def another_generation(
    services: Services, *, spec: str = "mean-colour", **changes: str
) -> Generation:
    """Start a re-index; it has an entry for all that the catalogue holds by now."""
    embedder = services.embedders.named(spec)
    encoder = generations.EmbedderIdentity(
        spec=spec,
        fingerprint=changes.get("fingerprint", embedder.fingerprint),
        size=embedder.size,
    )
    return generations.start(services.db, encoder, state=BUILDING)


def indexed(services: Services, generation_id: int) -> set[str]:
    with services.db.read() as session:
        return set(
            session.scalars(
                select(Product.sku)
                .join(IndexEntry, IndexEntry.product_id == Product.id)
                .where(
                    IndexEntry.generation_id == generation_id,
                    IndexEntry.indexed == IndexEntry.wanted,
                )
            )
        )


def embedded(services: Services) -> int:
    with services.db.read() as session:
        done = IndexEntry.embedded == IndexEntry.wanted
        return len(session.scalars(select(IndexEntry.product_id).where(done)).all())


def active(services: Services) -> int:
    with services.db.read() as session:
        return generations.active(session).id


def numbered(prefix: str, count: int) -> list[str]:
    return [f"{prefix}-{number}" for number in range(count)]


def test_one_round_takes_a_single_write_into_every_generation_before_an_import(
    owner: Worker,
) -> None:
    services = owner.services
    building = another_generation(services)
    save(services, *numbered("old", 60))
    save(services, "new", priority=SINGLE)
    owner.work_once()
    assert "new" in indexed(services, active(services))
    assert "new" in indexed(services, building.id)
    assert len(indexed(services, active(services))) == 1 + 3 * BATCH


def test_a_re_index_waits_for_an_import(owner: Worker) -> None:
    services = owner.services
    save(services, *numbered("old", 6))
    while owner.work_once():
        pass
    building = another_generation(services, spec="mean-colour?grid=2")
    with services.db.read() as session:
        first = queue.first_due(session, building.id, queue.Stage.EMBED)
    assert first == queue.REINDEX
    save(services, *numbered("new", 3 * BATCH))
    owner.work_once()
    assert len(indexed(services, active(services))) == 6 + 3 * BATCH
    assert indexed(services, building.id) == set()
    while owner.work_once():
        pass
    assert indexed(services, building.id) == indexed(services, active(services))


def test_a_generation_whose_embedder_is_gone_holds_up_nobody_and_is_told_once(
    owner: Worker, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rounds, "WARN_EVERY_SECONDS", 3600)
    services = owner.services
    save(services, "product")
    another_generation(services, fingerprint="of an older version")
    assert owner.work_once()
    assert indexed(services, active(services)) == {"product"}
    assert not owner.work_once()
    assert owner.problem is None
    assert capsys.readouterr().out.count("products wait for an embedder that is not here") == 1


def test_a_process_without_the_index_embeds_and_leaves_the_rest_to_its_owner(
    owner: Worker, build: Callable[..., Services]
) -> None:
    services = owner.services
    embedding = Worker(build())
    job = jobs.write(services.db, "verify")
    save(services, *numbered("product", 3))
    assert embedding.work_once()
    assert (embedded(services), indexed(services, active(services))) == (3, set())
    found = jobs.read(services.db, job)
    assert found is not None
    assert found.state == jobs.QUEUED
    assert owner.work_once()
    assert len(indexed(services, active(services))) == 3


def test_a_process_that_has_workers_for_it_never_embeds(build: Callable[..., Services]) -> None:
    def refuse(image: bytes, *, spec: str, seconds: float) -> Any:
        raise AssertionError("no shopper asked")

    elsewhere = build()
    elsewhere.first_generation()
    services = build(embed_remotely=refuse)
    services.owner.acquire()
    applying = Worker(services)
    applying.recover()
    save(services, "product")
    assert not applying.work_once()
    Worker(elsewhere).work_once()
    assert applying.work_once()
    assert indexed(services, active(services)) == {"product"}


def test_the_heartbeat_is_called_for_every_image(build: Callable[..., Services]) -> None:
    signs: list[None] = []
    services = build(heartbeat=lambda: signs.append(None))
    services.first_generation()
    save(services, *numbered("product", 7))
    Worker(services).work_once()
    assert len(signs) >= 7


def test_with_a_qdrant_server_every_process_may_write_the_index(
    settings: Settings, build: Callable[..., Services]
) -> None:
    generation = build().first_generation()
    given = {"qdrant_url": "http://127.0.0.1:1", "embedder": "mean-colour"}
    services = bootstrap.build(settings.model_copy(update=given))
    assert services.writes_index
    assert not services.owner.is_here
    assert isinstance(services.indexes.of(generation), ServerIndex)
    services.close()
