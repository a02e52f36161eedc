"""Reads `.env.example` and the names of the settings, for the tests that compare them."""

from __future__ import annotations

import re

from pydantic import AliasChoices

from backend.settings import Settings
from support.places import ROOT

EXAMPLE = ROOT / ".env.example"
COMPOSE = "docker compose"
"""The section of what compose alone reads."""

SECTION = re.compile(r"\s*# --- (.+) ---$")
VARIABLE = re.compile(r"#?([A-Z][A-Z0-9_]*)=(.*)$")


def name_of(field: str) -> str:
    """Return the environment variable of a field of the settings; not its former names."""
    alias = Settings.model_fields[field].validation_alias
    if isinstance(alias, AliasChoices):
        alias = alias.choices[0]
    return str(alias) if alias else f"LOOKALIKE_{field.upper()}"


def documented() -> dict[str, list[str]]:
    """Return the example's variables by section, in its order."""
    sections: dict[str, list[str]] = {}
    for line in EXAMPLE.read_text(encoding="utf-8").splitlines():
        if heading := SECTION.match(line):
            sections[heading[1]] = []
        elif variable := VARIABLE.match(line):
            sections[list(sections)[-1]].append(variable[1])
    return sections
