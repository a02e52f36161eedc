"""`lookalike train words`: learn how the catalogue's words map to its images."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from backend.cli.common import AsJson, bar, out, print_json, services


def words(
    epochs: Annotated[int, typer.Option(min=1, help="How often all products are shown.")] = 15,
    seed: int = 0,
    ship: Annotated[
        bool,
        typer.Option(
            "--ship",
            help="Learn by sentences alone, from all products, without a network to train, and "
            "write the file that ships with the embedder.",
        ),
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Store it even where it is not better.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Learn from names and labels what words look like, for queries such as `red floral dress`.

    It needs the extra `text`, and products that are indexed: no image is opened. What is learnt
    holds for the active generation, and a running server uses it from the next query. The figures
    are of products that were left out. The result is stored if more of their names find their
    product than with what is in use.
    """
    from backend.embedders import minilm
    from backend.lab.training.word_run import learn_shipped, learn_words
    from backend.lab.training.words import WordRecipe

    model = minilm.shipped()
    recipe = WordRecipe(epochs=epochs, seed=seed)
    with services() as found, bar("learning") as report:
        if ship:
            file = learn_shipped(found.db, model.encode, report=report)
            quality: dict[str, Any] = {"file": str(file), "bytes": file.stat().st_size}
        else:
            quality = learn_words(found.db, model.encode, recipe=recipe, force=force, report=report)
    if as_json:
        print_json(quality)
        return
    _print(quality)


def _print(quality: dict[str, Any]) -> None:
    """Print each figure, with the one before in brackets, and what has become of it."""
    before = quality.pop("before", {})
    kept = quality.pop("kept", None)
    for name, value in quality.items():
        was = f" (before: {before[name]})" if name in before and name != "queries" else ""
        out.print(f"{name}: {value}{was}", highlight=False)
    if kept:
        out.print("It is stored, and a running server uses it from the next query.")
    elif kept is not None:
        out.print("It is no better than what is in use, which stays; --force stores it.")
