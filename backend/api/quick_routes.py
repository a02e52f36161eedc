"""Paths with one variable segment, matched without a walk through all rules.

What werkzeug has matched once is remembered by all other segments of the path. Only what no other
rule could match is remembered.
"""

from __future__ import annotations

import re
from typing import Any, Final, TypeAlias

from werkzeug.routing import Map, Rule

Place: TypeAlias = tuple[str, str, str]
"""Method, the path before the variable segment, the one segment behind it."""

Matched: TypeAlias = tuple[Rule, dict[str, Any]]

MOST: Final = 256

_PLAIN: Final = re.compile(r"[A-Za-z0-9_-]+")
"""Values that are the same encoded and decoded."""


class QuickRoutes:
    """The rules of one map that were matched, by their places. Threads may share it.

    The map gets no further rule after the first request.
    """

    def __init__(self, rules: Map) -> None:
        self._rules = rules
        self._known: dict[Place, tuple[Rule, str]] = {}
        self._words: frozenset[str] = frozenset()

    def find(self, method: str, path: str) -> Matched | None:
        """Return the rule of a path and its values; None where that is not known."""
        head, value, last = _parts(path)
        known = self._known.get((method, head, last))
        if known is None or value in self._words or not _PLAIN.fullmatch(value):
            return None
        return known[0], {known[1]: value}

    def learn(self, method: str, path: str, rule: Rule) -> None:
        """Remember what werkzeug has found for a path, if each other plain value leads there."""
        head, value, last = _parts(path)
        is_alone = len(rule.arguments) == 1 and not (rule.defaults or rule.redirect_to)
        if not is_alone or not _PLAIN.fullmatch(value) or len(self._known) >= MOST:
            return
        [name] = rule.arguments
        if rule.rule == f"{head}/<{name}>/{last}" and not self._others(rule):
            self._words = _words(self._rules)
            self._known[method, head, last] = rule, name

    def _others(self, rule: Rule) -> bool:
        """Tell whether another rule could match a path of this one, by a variable segment."""
        mine = rule.rule.split("/")
        others = [it for it in self._rules.iter_rules() if it is not rule]
        return any(_may_match(it, mine, rule.methods or set()) for it in others)


def _may_match(other: Rule, mine: list[str], methods: set[str]) -> bool:
    theirs = other.rule.split("/")
    if not methods & (other.methods or methods):
        return False
    pairs = zip(theirs, mine, strict=False)
    for part, own in pairs:
        if part.startswith("<path:"):
            return True
        if part != own and "<" not in part:
            return False
    return len(theirs) == len(mine)


def _words(rules: Map) -> frozenset[str]:
    parts = (part for rule in rules.iter_rules() for part in rule.rule.split("/"))
    return frozenset(part for part in parts if "<" not in part)


def _parts(path: str) -> tuple[str, str, str]:
    """Return what stands before the last segment but one, this segment, and the last one."""
    before, _, last = path.rpartition("/")
    head, _, value = before.rpartition("/")
    return head, value, last
