"""Evaluating a catalogue: drawn garments, a real database, the figures and the page."""

from __future__ import annotations

import json
import math
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import func, select, text
from typer.testing import CliRunner, Result

from backend import cli
from backend.bootstrap import Services, build
from backend.catalogue import image_vectors
from backend.catalogue.import_run import import_catalogue
from backend.database.engine import Database
from backend.database.models import Base, ImageVector, Product
from backend.embedders import load
from backend.embedders.pca import Pca
from backend.errors import NotAnImage, NotEvaluable
from backend.lab.evaluation.evaluating import EvaluationContext, evaluate
from backend.lab.evaluation.labels import Labels, label, read_products
from backend.lab.evaluation.neighbours import Neighbours
from backend.lab.evaluation.planning import EvaluationOptions
from backend.lab.evaluation.results import Evaluation, as_json
from backend.lab.evaluation.scoring import Ranking, confusion, order_by_similarity, score_rankings
from backend.lab.evaluation.speed import images_per_second
from backend.settings import Settings, read_settings
from sample_catalogue import make_sample

PRODUCTS = 80
FEW = EvaluationOptions(by=("article_type", "base_colour+article_type"), resamples=50, timed=0)
SPECS = ("mean-colour?grid=8", "mean-colour?grid=1")

Run = Callable[..., Result]


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample")
    make_sample(folder, products=PRODUCTS)
    return folder


@pytest.fixture
def fresh(settings: Settings, sample: Path) -> Iterator[Services]:
    """A catalogue with its own images, none embedded yet; one product has no image."""
    folder = shutil.copytree(sample, settings.data_dir.parent / "shop")
    services = build(settings)
    import_catalogue(services.db, services.image_store, folder)
    yield services
    services.close()


@pytest.fixture(scope="module")
def embedded(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of the same catalogue after both embedders were judged."""
    folder = tmp_path_factory.mktemp("embedded")
    services = build(read_settings(_env_file=None, data_dir=folder, database_url=None))
    import_catalogue(services.db, services.image_store, sample)
    ask(services)
    services.close()
    return folder


@pytest.fixture
def services(settings: Settings, embedded: Path) -> Iterator[Services]:
    """A copy of it."""
    shutil.copytree(embedded, settings.data_dir)
    services = build(settings)
    yield services
    services.close()


@contextmanager
def show_nothing(what: str) -> Iterator[Callable[[int, int], None]]:
    yield lambda done, total: None


def context(services: Services, *specs: str) -> EvaluationContext:
    return EvaluationContext(
        db=services.db,
        embedders={spec: services.embedders.named(spec) for spec in specs or SPECS},
        reference=services.embedders.named(SPECS[1]),
        open_images=services.image_opener.open,
        watch=show_nothing,
    )


def ask(services: Services, options: EvaluationOptions = FEW, *specs: str) -> Evaluation:
    found, _ = evaluate(context(services, *specs), options)
    return found


def stored(services: Services) -> int:
    with services.db.read() as session:
        return session.scalar(select(func.count()).select_from(ImageVector)) or 0


# --- what is judged ------------------------------------------------------------------------------


def test_each_embedder_is_scored_by_each_label_over_one_index(services: Services) -> None:
    found = ask(services)

    assert found.index == PRODUCTS - 1
    assert found.queries == {"all": PRODUCTS - 1}
    assert {(s.embedder, s.by, s.group) for s in found.scores} == {
        (spec, by, "all") for spec in SPECS for by in FEW.by
    }
    fine, coarse = (found.score(spec, "article_type", "all") for spec in SPECS)
    assert fine.metrics["map"].value > coarse.metrics["map"].value + 0.1
    assert fine.metrics["map"].low < fine.metrics["map"].value < fine.metrics["map"].high
    assert fine.lead["map"].value == 0
    assert coarse.lead["map"].value == pytest.approx(
        coarse.metrics["map"].value - fine.metrics["map"].value
    )
    assert 0 < fine.coverage <= 1
    assert [c.index_mb for c in found.contenders] == [
        pytest.approx((PRODUCTS - 1) * size * 4 / 1e6) for size in (193, 4)
    ]
    for spec in SPECS:
        curve = found.calibration(spec)
        assert curve is not None
        assert curve.by == "article_type"
        assert list(curve.shares) == sorted(curve.shares)
        assert curve.pairs == sum(it.pairs for it in curve.bins) == 16 * 30
        assert 0 < curve.error < 0.3


def test_the_categories_add_up_to_the_whole(services: Services) -> None:
    score = ask(services).score(SPECS[0], "article_type", "all")

    assert sum(category.queries for category in score.categories) == score.queries
    weighted = sum(c.queries * c.metrics["map"].value for c in score.categories)
    assert weighted / score.queries == pytest.approx(score.metrics["map"].value)
    assert sum(sum(row) for row in score.confusion.shares) == pytest.approx(
        len(score.confusion.categories)
    )


def test_vectors_are_made_once_and_then_used_as_they_are(fresh: Services) -> None:
    first = ask(fresh)
    vectors = stored(fresh)

    shutil.rmtree(fresh.settings.data_dir.parent / "shop")  # nothing can be embedded any more
    second = ask(fresh)

    assert vectors == 2 * (PRODUCTS - 1)
    assert stored(fresh) == vectors
    assert as_json(second.scores) == as_json(first.scores)


def test_an_image_that_cannot_be_used_is_left_out_for_everybody(fresh: Services) -> None:
    with fresh.db.read() as session:
        victim = read_products(session)[3]
    ask(fresh, FEW, SPECS[0])
    Path(victim.uri.removeprefix("file://")).write_bytes(b"no image")

    found = ask(fresh)

    assert found.unusable == 1
    assert found.index == PRODUCTS - 2


def test_nothing_but_vectors_is_written(fresh: Services) -> None:
    def everything_else() -> list[Any]:
        tables = [table for table in Base.metadata.sorted_tables if table.name != "image_vectors"]
        with fresh.db.read() as session:
            return [session.execute(select(table)).all() for table in tables]

    before = everything_else()
    ask(fresh)

    assert everything_else() == before
    assert not fresh.settings.index_dir.exists()


def test_whole_categories_are_unseen_and_only_what_is_new_is_asked_for(services: Services) -> None:
    options = EvaluationOptions(
        by=("article_type",), held_out=0.3, unseen=0.3, resamples=20, timed=0
    )

    everywhere = ask(services, options)
    narrow = ask(services, EvaluationOptions(**{**vars(options), "index": "held-out"}))

    assert everywhere.unseen == narrow.unseen != ()
    assert everywhere.queries == narrow.queries
    assert set(everywhere.queries) == {"held-out", "unseen"}
    assert everywhere.index == PRODUCTS - 1
    assert narrow.index == sum(narrow.queries.values())
    unseen = everywhere.score(SPECS[0], "article_type", "unseen")
    assert {c.category for c in unseen.categories} <= set(everywhere.unseen)
    held_out = everywhere.score(SPECS[0], "article_type", "held-out")
    assert not {c.category for c in held_out.categories} & set(everywhere.unseen)


def test_a_sample_a_cap_and_fewer_queries(services: Services) -> None:
    options = EvaluationOptions(
        by=("gender",), sample=60, per_category=12, queries=9, resamples=20, timed=0
    )

    found = ask(services, options)

    assert found.queries == {"all": 9}
    assert max(share.index for share in found.distribution["gender"]) == 12
    assert sum(share.queries for share in found.distribution["gender"]) == 9


def test_any_attribute_can_be_the_label(services: Services) -> None:
    with services.db.read() as session:
        products = read_products(session)
    name = next(iter(products[0].attributes or products[1].attributes))

    found = ask(
        services, EvaluationOptions(by=(f"attributes.{name}", "year"), resamples=20, timed=0)
    )

    assert set(found.distribution) == {f"attributes.{name}", "year"}


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (EvaluationOptions(by=("fabric",)), "no product has 'fabric'; there are gender"),
        (EvaluationOptions(by=("gender",), unseen=("Mne",)), "'Mne'; there is Men"),
        (EvaluationOptions(by=("gender",), held_out=1e-9), "no product to query"),
        (EvaluationOptions(by=("gender",), index="held-out"), "fewer than two products"),
    ],
)
def test_what_cannot_be_judged_is_refused_with_what_can(
    services: Services, options: EvaluationOptions, says: str
) -> None:
    with pytest.raises(NotEvaluable, match=says):
        ask(services, options)


def test_stored_vectors_are_judged_in_any_database(any_db: Database) -> None:
    embedder = load("mean-colour?grid=1")
    colours = np.repeat(np.eye(3, 4, dtype=np.float32) + 0.1, 4, axis=0)
    products = [
        Product(sku=str(n), image_uri="file:///gone", image_digest=f"{n:064}", gender=f"g{n // 4}")
        for n in range(12)
    ]
    vectors = {product.image_digest: row for product, row in zip(products, colours, strict=True)}
    any_db.write(lambda session: session.add_all(products))
    any_db.write(lambda s: image_vectors.store(s, embedder.fingerprint, vectors))

    found, _ = evaluate(
        EvaluationContext(
            db=any_db,
            embedders={"e": embedder},
            reference=embedder,
            open_images=lambda uris, size: iter([NotAnImage() for _ in uris]),
            watch=show_nothing,
        ),
        EvaluationOptions(by=("gender",), resamples=20),
    )

    assert found.unusable == 0
    assert found.scores[0].metrics["recall"].value == 1
    assert found.contenders[0].speed is None


def test_euclidean_distance_orders_unit_vectors_as_the_cosine_does(services: Services) -> None:
    cosine = ask(services)
    euclidean = ask(services, EvaluationOptions(**{**vars(FEW), "metric": "euclidean"}))
    assert euclidean.calibrations == [], "a distance has no curve"

    for one, other in zip(cosine.scores, euclidean.scores, strict=True):
        assert one.metrics["map"].value == pytest.approx(other.metrics["map"].value, abs=0.02)


# --- how it is judged ----------------------------------------------------------------------------


def by_hand() -> tuple[Ranking, Labels]:
    labels = Labels(by="kind", names=["a", "b"], codes=np.array([0, 0, 0, 1, 1, -1]))
    positions = np.array([[1, 3], [3, 0], [5, 4], [4, 0], [0, 3], [0, 1]])
    neighbours = Neighbours(positions=positions, scores=np.zeros((6, 2), np.float32))
    return Ranking(embedder="e", neighbours=neighbours, diversity=np.ones(6)), labels


def test_the_score_of_a_small_ranking_is_what_is_computed_by_hand() -> None:
    ranking, labels = by_hand()
    everybody = {"all": np.ones(6, bool)}

    (score,) = score_rankings([ranking], labels, np.arange(6), everybody, seed=0, resamples=20)

    # a: (1 + 0) / 2, (0 + 1/2) / 2, 0; b: 1 / 1, (0 + 1/2) / 1; the one without a kind is skipped
    assert (score.queries, score.skipped) == (5, 1)
    assert score.metrics["map"].value == pytest.approx((0.5 + 0.25 + 0 + 1 + 0.5) / 5)
    assert score.metrics["precision"].value == pytest.approx((1 + 1 + 0 + 1 + 1) / 2 / 5)
    assert score.metrics["recall"].value == pytest.approx((0.5 + 0.5 + 0 + 1 + 1) / 5)
    assert score.macro["map"] == pytest.approx((0.75 / 3 + 0.75) / 2)
    assert score.coverage == pytest.approx(5 / 6)


def test_the_confusion_counts_neighbours_by_category() -> None:
    ranking, labels = by_hand()

    found = confusion(labels, labels.codes, ranking.neighbours.positions)

    assert found.categories == ["a", "b"]
    assert np.array(found.shares) == pytest.approx(
        np.array([[2 / 6, 3 / 6, 1 / 6], [2 / 4, 2 / 4, 0]])
    )


def test_what_is_taken_for_each_other_stands_together() -> None:
    shares = np.eye(6) * 0.6
    for one, other in ((0, 4), (4, 2), (1, 3), (3, 5)):
        shares[one, other] = shares[other, one] = 0.2

    order = order_by_similarity(shares)

    assert order in ([0, 4, 2, 1, 3, 5], [0, 4, 2, 5, 3, 1], [2, 4, 0, 1, 3, 5], [2, 4, 0, 5, 3, 1])


def test_a_joint_label_needs_all_its_parts(services: Services) -> None:
    with services.db.read() as session:
        products = read_products(session)[:3]
    whole = label(products, "gender+article_type")

    assert all(" · " in name for name in whole.names)
    assert (whole.codes >= 0).all()


def test_a_group_without_queries_has_no_figures() -> None:
    ranking, labels = by_hand()
    nobody = {"unseen": np.zeros(6, bool)}

    (score,) = score_rankings([ranking], labels, np.arange(6), nobody, seed=0, resamples=20)

    assert math.isnan(score.metrics["map"].value)
    assert as_json(score)["metrics"]["map"]["value"] is None


def test_speed_is_measured_in_turns(services: Services) -> None:
    quick, slow = (services.embedders.named(f"mean-colour?grid={grid}") for grid in (1, 16))
    with services.db.read() as session:
        uris = [product.uri for product in read_products(session)[:16]]
    opened = {
        name: [one.image for one in services.image_opener.open(uris, embedder.input_size)]  # type: ignore[union-attr]
        for name, embedder in (("quick", quick), ("slow", slow))
    }

    rates = images_per_second({"quick": quick, "slow": slow}, opened)

    assert rates["quick"] > rates["slow"] > 0


# --- the command and its page --------------------------------------------------------------------


@pytest.fixture
def run(services: Services, run_command: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("LOOKALIKE_EMBEDDER", SPECS[0])
    return partial(run_command, "evaluate")


class Page(HTMLParser):
    """What a page holds, as far as a test wants to know."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def with_class(self, name: str) -> int:
        return sum(name in (attrs.get("class") or "").split() for _, attrs in self.tags)


def test_the_command_prints_tables_and_writes_figures_and_page(run: Run, tmp_path: Path) -> None:
    figures, page = tmp_path / "figures.json", tmp_path / "new" / "page.html"

    options = [part for spec in SPECS for part in ("--embedder", spec)]
    shown = run(*options, "--json", str(figures), "--html", str(page), "--timed", "4").stdout

    assert "By base_colour+article_type" in shown
    written = json.loads(figures.read_text())
    assert [one["spec"] for one in written["contenders"]] == list(SPECS)
    assert written["contenders"][0]["speed"] == pytest.approx(1)
    value = written["scores"][0]["metrics"]["map"]["value"]
    assert f"{value:.3f}" in shown
    assert f"{value:.3f}" in page.read_text()
    curves = written["calibrations"]
    assert [it["embedder"] for it in curves] == list(SPECS)
    for curve in curves:
        assert f"{curve['error']:.3f}" in shown
        assert f"error {curve['error']:.3f}" in page.read_text()
    drawn = Page(page.read_text())
    assert drawn.with_class("plot") == 2 * len(SPECS)
    circles = [tag for tag, _ in drawn.tags if tag == "circle"]
    assert len(circles) == sum(len(it["bins"]) for it in curves)


def test_the_page_needs_nothing_from_outside(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    run("--html", str(file), "--timed", "0")

    written = file.read_text()
    page = Page(written)
    assert not {"script", "link", "iframe"} & {tag for tag, _ in page.tags}
    sources = [attrs["src"] or "" for _, attrs in page.tags if "src" in attrs]
    targets = [attrs["href"] or "" for _, attrs in page.tags if "href" in attrs]
    assert sources
    assert all(source.startswith("data:image/webp;base64,") for source in sources)
    assert all(target.startswith("#") for target in targets)
    assert not re.search(r"url\(|@import|https?:", written)


def test_no_table_and_no_page_shows_a_figure_that_is_no_number(
    run: Run, services: Services, tmp_path: Path
) -> None:
    """Where each product is the only one of its label, no query has a figure."""
    alone = "UPDATE products SET base_colour = sku"
    services.db.write(lambda session: session.execute(text(alone)))
    page = tmp_path / "page.html"

    by = ("--by", "base_colour,article_type", "--html", str(page), "--timed", "0")
    both = [part for spec in SPECS for part in ("--embedder", spec)]
    shown = run(*by, *both).stdout

    assert "By base_colour: 0 queries" in shown
    assert not re.search(r"\bnan\b", shown + page.read_text("utf-8"))


def test_the_report_shows_eight_digits_of_a_digest(run: Run, tmp_path: Path) -> None:
    """Such as that of an adapted embedder's statistics: 64 digits are no name for people."""
    digest, page = "0f" * 32, tmp_path / "page.html"
    fitted = tmp_path / f"{digest}.npz"
    components = np.eye(12, 144, dtype=np.float16)
    Pca(mean=np.zeros(144, np.float16), components=components, provenance={}).save(fitted)

    spec = f"raw-pixels?height=8&width=6&pca={fitted}"
    run("--embedder", spec, "--html", str(page), "--timed", "0", "--by", "article_type")

    shown = re.sub(r'title="[^"]*"', "", page.read_text("utf-8"))
    assert digest not in shown
    assert f"{digest[:8]}….npz" in shown


def test_the_page_shows_queries_with_framed_neighbours(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    run("--html", str(file), "--timed", "0", "--by", "article_type", "--k", "3")

    page = Page(file.read_text())
    rows = [attrs["alt"] or "" for tag, attrs in page.tags if tag == "img"]
    hits, misses = (sum(row.count(f"; {word} ") for row in rows) for word in ("hit", "miss"))
    assert len(rows) == page.with_class("line") == sum("query: " in row for row in rows) > 6
    assert hits + misses == 3 * len(rows)
    assert min(hits, misses) > 0


def test_names_from_the_catalogue_cannot_write_into_the_page(
    run: Run, services: Services, tmp_path: Path
) -> None:
    services.db.write(
        lambda session: session.execute(
            text("UPDATE products SET display_name = '<script>x</script>', gender = '<b>M</b>'")
        )
    )
    file = tmp_path / "page.html"
    run("--html", str(file), "--timed", "0", "--by", "gender")

    assert "<script>" not in file.read_text()
    assert "<b>M</b>" not in file.read_text()
    assert "&lt;b&gt;M&lt;/b&gt;" in file.read_text()


def test_the_command_runs_while_another_process_owns_the_index(
    run: Run, services: Services
) -> None:
    services.owner.acquire()

    printed: Any = json.loads(run("--json", "-", "--timed", "0", "--queries", "5").stdout)

    assert printed["queries"] == {"all": 5}


def test_an_unseen_category_may_be_a_number(run: Run, services: Services) -> None:
    with services.db.read() as session:
        years = label(read_products(session), "year").names
    options = ["--json", "-", "--timed", "0", "--by", "year", "--held-out", "0"]

    by_name = json.loads(run(*options, "--unseen", years[0]).stdout)
    by_fraction = json.loads(run(*options, "--unseen", "0.9").stdout)

    assert by_name["unseen"] == [years[0]]
    assert len(by_fraction["unseen"]) > 1


def test_a_wrong_label_is_one_line(run: Run) -> None:
    ran = CliRunner().invoke(cli.app, ["evaluate", "--by", "fabric"])

    assert isinstance(ran.exception, NotEvaluable)
    assert "there are gender, master_category" in ran.exception.message
