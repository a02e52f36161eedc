"""The model card of a tuned network: how it was made, on what data, and how good it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import timm
import torch

from backend.lab.training.run_folder import CARD, RunFolder
from backend.lab.training.tuning_data import TuningData
from backend.lab.training.tuning_recipe import TuningRecipe
from backend.lab.training.validation import Scores, best

READABLE: Final = "MODEL-CARD.md"


def make_card(
    recipe: TuningRecipe,
    data: TuningData,
    *,
    baselines: Mapping[str, Scores],
    history: Sequence[Mapping[str, Any]],
    commands: Sequence[str],
    notes: str,
) -> dict[str, Any]:
    """Return how a network was made and how good it is, as JSON values."""
    chosen = best(history)
    return {
        "commands": commands,
        "notes": notes,
        "recipe": recipe.plain(),
        "data": {
            "training": len(data.training),
            "held_out": len(data.held_out),
            "unseen": len(data.unseen),
            "near_duplicates_left_out": data.duplicates,
            "without_usable_picture": data.unusable,
        },
        "baselines": baselines,
        "best_epoch": chosen["epoch"],
        "scores": chosen["scores"],
        "scores_of_the_tuned_part": chosen["alone"],
        "epochs": history,
        "versions": {"torch": torch.__version__, "timm": timm.__version__},
    }


def write_card(folder: RunFolder, card: Mapping[str, Any]) -> None:
    """Write the card into the run's folder, as JSON and as Markdown."""
    folder.write_json(CARD, card)
    folder.write_text(READABLE, readable(card))


def readable(card: Mapping[str, Any]) -> str:
    """Return a card as Markdown."""
    return "\n".join(_lines(card)) + "\n"


def _lines(card: Mapping[str, Any]) -> Iterator[str]:
    recipe, data = card["recipe"], card["data"]
    yield from ("# A network tuned on a catalogue", "")
    yield f"- Starts from `{recipe['backbone']}`, whose weights keep their own licence."
    yield f"- Trained on {data['training']:,} products, by {_labels(recipe)}."
    yield f"- Validated with {data['held_out']:,} products that it was not trained on, and"
    yield f"  {data['unseen']:,} of whole categories that it was not trained on: {_unseen(recipe)}."
    yield f"- Left out of training: {data['near_duplicates_left_out']:,} products with a cosine of"
    yield f"  {recipe['near_duplicate']} or more to a validation product, by the starting features."
    yield from (f"- Data: {card['notes'] or 'source and licence are not given'}", "")
    yield from ("Made by", "", *(f"    {command}" for command in card["commands"]), "")
    yield from ("## mAP@5, held-out products as queries and index", "")
    yield from _table(card)
    yield from ("", "## Limits", "")
    yield "- The validation products chose the best epoch: expect others to score a little lower."
    yield "- If the catalogue has only studio photographs of single products on plain ground, it is"
    yield "  not tested on street photographs, several garments in one image, or drawings."
    yield "- It was not trained to distinguish what the labels do not, such as the patterns of two"
    yield "  black shirts; the starting features in the vector are for that."


def _labels(recipe: Mapping[str, Any]) -> str:
    return ", ".join(f"{aim['by']} ({aim['weight']:g})" for aim in recipe["aims"])


def _unseen(recipe: Mapping[str, Any]) -> str:
    unseen = recipe["unseen"]
    return ", ".join(unseen) if isinstance(unseen, list) else f"a fraction of {unseen:g}"


def _table(card: Mapping[str, Any]) -> Iterator[str]:
    rows: dict[str, Scores] = {
        **card["baselines"],
        "tuned part alone": card["scores_of_the_tuned_part"],
        "**as shipped**": card["scores"],
    }
    if not card["scores"]:
        yield "Nothing was held out for validation."
        return
    columns = [(group, by) for group, values in card["scores"].items() for by in values]
    yield "| | " + " | ".join(f"{group}: {by}" for group, by in columns) + " |"
    yield "|---" * (len(columns) + 1) + "|"
    for name, scores in rows.items():
        values = (f"{scores.get(group, {}).get(by, float('nan')):.3f}" for group, by in columns)
        yield f"| {name} | " + " | ".join(values) + " |"
