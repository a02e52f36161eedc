"""What one has to know about a tuned network before one uses it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import timm
import torch

from backend.errors import ConfigurationError
from backend.files import replace_file
from backend.lab.training.material import Material
from backend.lab.training.recipe import TuningRecipe
from backend.lab.training.validation import Scores, best

CARD: Final = "card.json"
READABLE: Final = "MODEL-CARD.md"


def card(
    recipe: TuningRecipe,
    material: Material,
    *,
    baselines: Mapping[str, Scores],
    history: Sequence[Mapping[str, Any]],
    commands: Sequence[str],
    notes: str,
) -> dict[str, Any]:
    """Tell how a network was made and how good it is, in plain values."""
    chosen = best(history)
    return {
        "commands": commands,
        "notes": notes,
        "recipe": recipe.plain(),
        "data": {
            "training": len(material.training),
            "held_out": len(material.held_out),
            "unseen": len(material.unseen),
            "near_duplicates_left_out": material.duplicates,
            "without_usable_picture": material.unusable,
        },
        "baselines": baselines,
        "best_epoch": chosen["epoch"],
        "scores": chosen["scores"],
        "scores_of_the_tuned_part": chosen["alone"],
        "epochs": history,
        "versions": {"torch": torch.__version__, "timm": timm.__version__},
    }


def read_card(folder: Path) -> dict[str, Any]:
    """Read the card of a run that has come through an epoch. Raises ConfigurationError."""
    try:
        made: dict[str, Any] = json.loads((folder / CARD).read_text("utf-8"))
    except OSError as error:
        raise ConfigurationError(f"{folder} has no epoch to go on from: {error.strerror}") from None
    return made


def write_card(folder: Path, made: Mapping[str, Any]) -> None:
    """Write the card into the run's folder, as JSON and as a page."""
    texts = {CARD: json.dumps(made, indent=1) + "\n", READABLE: readable(made)}
    for name, text in texts.items():
        replace_file(folder / name, partial(Path.write_text, data=text, encoding="utf-8"))


def readable(made: Mapping[str, Any]) -> str:
    """Write a card as Markdown."""
    return "\n".join(_lines(made)) + "\n"


def _lines(made: Mapping[str, Any]) -> Iterator[str]:
    recipe, data = made["recipe"], made["data"]
    yield from ("# A network tuned on a catalogue", "")
    yield f"- Starts from `{recipe['backbone']}`, whose weights keep their own licence."
    yield f"- Trained on {data['training']:,} products, by {_labels(recipe)}."
    yield f"- Judged by {data['held_out']:,} products that it never saw, and {data['unseen']:,} of "
    yield f"  whole categories that it never saw: {_unseen(recipe)}."
    yield f"- Left out of training: {data['near_duplicates_left_out']:,} products that look like a "
    yield f"  judged one (cosine of the starting features {recipe['near_duplicate']} or more)."
    yield from (f"- Data: {made['notes'] or 'nothing noted on its source and licence'}", "")
    yield from ("Made by", "", *(f"    {command}" for command in made["commands"]), "")
    yield from ("## mAP@5, held-out products as queries and index", "")
    yield from _table(made)
    yield from ("", "## Limits", "")
    yield "- The judged products chose the best epoch: others will read a little lower."
    yield "- Studio photographs of single products on plain ground, if the catalogue has no others;"
    yield "  street photographs, several garments at once and drawings were not looked at."
    yield "- What the labels do not tell apart, such as the pattern of two black shirts, it has not"
    yield "  been taught; the starting features beside it carry that."


def _labels(recipe: Mapping[str, Any]) -> str:
    return ", ".join(f"{aim['by']} ({aim['weight']:g})" for aim in recipe["aims"])


def _unseen(recipe: Mapping[str, Any]) -> str:
    unseen = recipe["unseen"]
    return ", ".join(unseen) if isinstance(unseen, list) else f"a fraction of {unseen:g}"


def _table(made: Mapping[str, Any]) -> Iterator[str]:
    rows: dict[str, Scores] = {
        **made["baselines"],
        "tuned part alone": made["scores_of_the_tuned_part"],
        "**as shipped**": made["scores"],
    }
    if not made["scores"]:
        yield "Nothing was held out to judge by."
        return
    columns = [(group, by) for group, values in made["scores"].items() for by in values]
    yield "| | " + " | ".join(f"{group}: {by}" for group, by in columns) + " |"
    yield "|---" * (len(columns) + 1) + "|"
    for name, scores in rows.items():
        values = (f"{scores.get(group, {}).get(by, float('nan')):.3f}" for group, by in columns)
        yield f"| {name} | " + " | ".join(values) + " |"
