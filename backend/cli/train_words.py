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
    as_json: AsJson = False,
) -> None:
    """Learn from names and labels what words look like, for queries such as `red floral dress`.

    It needs the extra `text`, and products that are indexed: no image is opened. What is learnt
    holds for the active generation, and a running server uses it from the next query. The figures
    are of products that were left out.
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
            quality = learn_words(found.db, model.encode, recipe=recipe, report=report)
    if as_json:
        print_json(quality)
        return
    for name, value in quality.items():
        out.print(f"{name}: {value}", highlight=False)
