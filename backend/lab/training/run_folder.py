"""The folder of a training run: what it began with, its checkpoint, and its card.

Each file is replaced in one rename, so that a killed run leaves files that can be resumed from.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch

from backend.embedders.weights import read_tensors
from backend.errors import ConfigurationError
from backend.files import replace_file

RECIPE: Final = "recipe.json"
PRODUCTS: Final = "products.json"
CARD: Final = "card.json"


@dataclass(frozen=True)
class RunFolder:
    """Reads and writes the files of one run."""

    path: Path
    checkpoint: str  # the name of the checkpoint's file

    def read_checkpoint(self) -> dict[str, Any] | None:
        """Return what `save_checkpoint` saved last; None before the first time.

        Raises WeightsUnavailable for a damaged file.
        """
        path = self.path / self.checkpoint
        return read_tensors(path) if path.exists() else None

    def save_checkpoint(self, content: Mapping[str, Any]) -> None:
        """Replace the checkpoint."""
        self.save_tensors(self.checkpoint, content)

    def save_tensors(self, name: str, content: Mapping[str, Any]) -> None:
        """Replace a file that `torch.load` reads."""
        replace_file(self.path / name, lambda draft: torch.save(dict(content), draft))

    def read_json(self, name: str) -> Any:
        """Return the content of a JSON file; None where there is none.

        Raises ConfigurationError for a file that cannot be read.
        """
        path = self.path / name
        try:
            return json.loads(path.read_text("utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from None

    def write_json(self, name: str, content: object, *, indent: int | None = 1) -> None:
        """Replace a JSON file."""
        self.write_text(name, json.dumps(content, indent=indent) + "\n")

    def write_text(self, name: str, text: str) -> None:
        """Replace a text file."""
        replace_file(self.path / name, lambda draft: draft.write_text(text, "utf-8"))

    def check_recipe(self, begun: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
        """Raise ConfigurationError unless the run was begun with the recipe that is wanted now."""
        differing = differing_options(begun, wanted)
        if differing:
            raise ConfigurationError(
                f"{self.path} holds a run with {'; '.join(differing)}: name another folder, or go "
                "on with the same options"
            )


def differing_options(begun: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """Describe each option of `wanted` that another recipe has with another value."""
    return [
        f"{name} {begun.get(name)}, not {value}"
        for name, value in wanted.items()
        if begun.get(name) != value
    ]
