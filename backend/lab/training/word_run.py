"""`lookalike train words`: learn from a catalogue, measure on what was left out, and store it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from backend import generations
from backend.adaptation.name_alignment import AT_ONCE, Named, align, embed_sentences
from backend.catalogue import image_vectors, word_alignments
from backend.database.engine import Database
from backend.database.models import Generation
from backend.embedders import FloatArray
from backend.embedders.words import Alignment, shipped_file
from backend.errors import NotTrainable
from backend.lab.evaluation.labels import CatalogueProduct, read_products
from backend.lab.evaluation.splits import fraction_of
from backend.lab.training.other_words import ALL_OTHER_WORDS
from backend.lab.training.word_classes import with_classes
from backend.lab.training.word_comparison import before, in_use, score
from backend.lab.training.words import LABELS, NAME, Described, WordRecipe, learn
from backend.lab.types import Positions, Report

HELD_OUT: Final = 0.1
MOST_QUERIES: Final = 2000
FEWEST: Final = 50
"""Products that can be learnt from; with fewer a batch tells nothing apart."""
RANKS: Final = (1, 10)
QUERY_LABELS: Final = LABELS[:3]


def learn_words(
    db: Database,
    encode: Callable[[Sequence[str]], FloatArray],
    *,
    recipe: WordRecipe | None = None,
    force: bool = False,
    report: Report | None = None,
) -> dict[str, Any]:
    """Learn for the active generation, from the vectors in SQL; store it if it is better.

    A tenth of the products, chosen by the digests of their skus, is only measured on. Returns the
    figures; `before` has those of what was in use, and `kept` tells whether the new one took its
    place. `force` stores it in any case. Raises NoGeneration, and NotTrainable when fewer than
    FEWEST products have a vector and a text.
    """
    recipe = recipe or WordRecipe()
    generation, products, matrix = read_described(db)
    held_out = np.array([fraction_of(product.sku) < HELD_OUT for product in products])
    learnt = np.flatnonzero(~held_out)
    described = _described(generation, products, matrix, learnt)
    provenance = {"embedder": generation.embedder, "products": len(learnt), **asdict(recipe)}
    alignment = learn(described, encode, recipe=recipe, report=report, provenance=provenance)

    def judge(judged: Alignment) -> dict[str, Any]:
        return measure(judged, encode, products, matrix, np.flatnonzero(held_out))

    quality = {"products": len(learnt), "words": len(alignment.words), **judge(alignment)}
    known = in_use(db, generation.fingerprint)
    if known is not None:
        named = name_products(generation, products, matrix)
        quality["before"] = before(known, named, encode, learnt_from=learnt, measure=judge)
    is_better = known is None or score(quality) > score(quality["before"])
    quality["kept"] = is_better or force
    if quality["kept"]:
        content = alignment.to_bytes()
        fingerprint = generation.fingerprint
        db.write(lambda session: word_alignments.store(session, fingerprint, content, quality))
    return quality


def learn_shipped(
    db: Database,
    encode: Callable[[Sequence[str]], FloatArray],
    *,
    report: Report | None = None,
) -> Path:
    """Learn by sentences alone, from all products, without torch; write the file that ships.

    Classes stand beside one layer, for shops that use other words. The bag is left out, since the
    words of one catalogue are of little use to another. Raises what `learn_words` does.
    """
    generation, products, matrix = read_described(db)
    named = name_products(generation, products, matrix)
    texts = len({text for kind in (named.names, *named.labels) for text in kind if text})
    done = iter(range(AT_ONCE, texts + AT_ONCE, AT_ONCE))
    tell = report or _keep_silent
    sentences = embed_sentences(named, encode, lambda: tell(min(texts, next(done)), texts))
    sentences |= zip(ALL_OTHER_WORDS, encode(ALL_OTHER_WORDS), strict=True)
    alignment = align(named, sentences, most_words=0)
    alignment = with_classes(alignment, named, sentences, np.arange(len(products)))
    file = shipped_file(generation.fingerprint)
    file.write_bytes(replace(alignment, provenance=_provenance(generation, products)).to_bytes())
    return file


def name_products(
    generation: Generation, products: Sequence[CatalogueProduct], vectors: FloatArray
) -> Named:
    """Return what `read_described` read as names and labels beside vectors."""
    return Named(
        names=[product.name for product in products],
        labels=[[_label(product, fields) for product in products] for fields in LABELS],
        vectors=vectors,
        blocks=generations.blocks_of(generation) or (),
    )


def _provenance(generation: Generation, products: Sequence[CatalogueProduct]) -> dict[str, Any]:
    return {
        "embedder": generation.embedder,
        "products": len(products),
        "learnt": "in closed form, from names and labels by sentences alone, with classes",
    }


def _keep_silent(_done: int, _of: int) -> None:
    """Report nothing."""


def read_described(db: Database) -> tuple[Generation, list[CatalogueProduct], FloatArray]:
    """Return the products that have a vector and a text, and their vectors, (n, size) of length 1.

    Raises NoGeneration, and NotTrainable for fewer than FEWEST.
    """
    with db.read() as session:
        generation = generations.active(session)
        products = read_products(session)
        digests = [product.digest for product in products if product.digest]
        vectors = image_vectors.load(session, generation.fingerprint, digests)
    products = [it for it in products if it.digest in vectors and _texts(it)]
    if len(products) < FEWEST:
        raise NotTrainable(
            f"{len(products)} products have a vector and a name or labels; {FEWEST} are needed"
        )
    matrix = np.stack([_unit(vectors[str(product.digest)]) for product in products])
    return generation, products, matrix


def measure(
    alignment: Alignment,
    encode: Callable[[Sequence[str]], FloatArray],
    products: Sequence[CatalogueProduct],
    vectors: FloatArray,
    queries: Positions,
) -> dict[str, Any]:
    """Return how often names find their products among all, and labels theirs among `queries`.

    `name_recall@k`: the share of the names of `queries` that find their product within k.
    `precision@10 of …`: the share of ten products that have the labels asked for, the mean over
    the values that ten of `queries` have.
    """
    named = [row for row in queries if products[row].name][:MOST_QUERIES]
    found: dict[str, Any] = {"queries": len(named)}
    if named:
        names = [str(products[row].name) for row in named]
        scores = alignment.project(encode(names), names) @ vectors.T
        own = scores[np.arange(len(named)), named]
        ranks = (scores > own[:, None]).sum(axis=1)
        found |= {f"name_recall@{k}": round(float((ranks < k).mean()), 4) for k in RANKS}
    for fields in QUERY_LABELS:
        labels = np.array([_label(products[row], fields) or "" for row in queries])
        values, counts = np.unique(labels, return_counts=True)
        asked = [str(it) for it in values[(counts >= 10) & (values != "")]]
        if asked:
            scores = alignment.project(encode(asked), asked) @ vectors[queries].T
            best = np.argsort(-scores, axis=1)[:, :10]
            precision = (labels[best] == np.array(asked)[:, None]).mean()
            found[f"precision@10 of {'+'.join(fields)}"] = round(float(precision), 4)
    return found


def _described(
    generation: Generation,
    products: Sequence[CatalogueProduct],
    vectors: FloatArray,
    rows: Positions,
) -> Described:
    chosen = [products[row] for row in rows]
    texts: dict[tuple[str, ...], Sequence[str | None]] = {NAME: [it.name for it in chosen]}
    texts |= {fields: [_label(it, fields) for it in chosen] for fields in LABELS}
    blocks = generations.blocks_of(generation) or ()
    return Described(vectors=vectors[rows], texts=texts, blocks=blocks)


def _texts(product: CatalogueProduct) -> bool:
    return bool(product.name) or any(_label(product, fields) for fields in LABELS)


def _label(product: CatalogueProduct, fields: Sequence[str]) -> str | None:
    """Return the values of fields as one text; None where one is missing."""
    values = [product.value(name) for name in fields]
    return " ".join(map(str, values)) if all(values) else None


def _unit(vector: FloatArray) -> FloatArray:
    unit: FloatArray = vector / np.linalg.norm(vector)
    return unit
