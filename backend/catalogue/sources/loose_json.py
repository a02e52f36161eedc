"""JSON as other programs write it: comments, commas at the end, Python's dicts, JavaScript.

Nothing here is tried before a strict decoder has failed.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Collection
from contextlib import suppress
from typing import Any, Final

from backend.catalogue.sources.json5 import strict_json

_STRING: Final = r'"(?:[^"\\]|\\.)*"'
_COMMENT: Final = r"/\*.*?\*/|//[^\n]*|#[^\n]*"
_STRING_OR_COMMENT: Final = re.compile(rf"({_STRING})|{_COMMENT}", re.DOTALL)
_STRING_OR_COMMA: Final = re.compile(rf"({_STRING})|,(?=\s*[}}\]])", re.DOTALL)
_STRING_OR_BRACE: Final = re.compile(
    rf"{_STRING}|'(?:[^'\\]|\\.)*'|`[^`]*`|{_COMMENT}|[{{}}]", re.DOTALL
)
BETWEEN: Final = re.compile(
    r"[\s,\x1e]*(?:(?:/\*.*?\*/|//[^\n]*\n|#[^\n]*\n)[\s,\x1e]*)*", re.DOTALL
)
"""What may stand between two items."""
ABOVE: Final = re.compile(
    rf"(?:\s|(?:{_COMMENT})\s|\)\]\}}'[^\n]*\n|(?:export\s+)?(?:(?:var|let|const)\s+)?[\w.$]+"
    r"(?:\s*:\s*[\w<>\[\]., ]+?)?\s*=(?=\s*[\[{{])|export\s+default(?=\s*[\[{{])"
    r"|[\w.$]+\((?=\s*[\[{]))*",
    re.DOTALL,
)
"""What may stand above a document: comments, `var products =`, `callback(`, and Google's guard."""
_NEXT_ITEM: Final = re.compile(r"\}\s*,\s*(?=\{)")
_MOST_TRIED: Final = 1_000
LONGEST_LITERAL: Final = 1_000_000  # characters

decoder: Final = json.JSONDecoder(strict=False)  # a text may hold line ends and tabs


def without_comments(text: str) -> str:
    """Return JSON with a blank for each comment."""
    return _STRING_OR_COMMENT.sub(lambda found: found[1] or " ", text)


def decoded(text: str) -> Any:
    """Return the value of a text. Raises ValueError, which says what is wrong with it."""
    try:
        return decoder.decode(text)
    except json.JSONDecodeError as error:
        bare = _STRING_OR_COMMA.sub(lambda found: found[1] or "", without_comments(text))
        for read, it in ((decoder.decode, bare), (_literal, text), (_json5, text)):
            with suppress(ValueError):
                return read(it)
        raise ValueError(error.msg) from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _json5(text: str) -> Any:
    """Return an object of JavaScript. Raises ValueError."""
    return decoder.decode(strict_json(text))


def _literal(text: str) -> Any:
    """Return a dict as Python prints it. Raises ValueError."""
    if "'" not in text or len(text) > LONGEST_LITERAL:
        raise ValueError("no literal")
    try:
        return ast.literal_eval(text.strip())
    except (SyntaxError, MemoryError, RecursionError, TypeError) as error:
        raise ValueError(str(error)) from None


def end_of_object(text: str) -> int | None:
    """Return where the object at the beginning of a text ends; None if its end is not there."""
    depth = 0
    for found in _STRING_OR_BRACE.finditer(text):
        if found[0] == "{":
            depth += 1
        elif found[0] == "}":
            depth -= 1
            if depth <= 0:
                return found.end()
    return None


def next_item(text: str, names: Collection[str]) -> int | None:
    """Return where the item behind a broken one begins; None if nothing shows it.

    It is the first object that can be read and has at least half of `names`, those of the items
    before it: an object within the broken item has others.
    """
    for count, found in enumerate(_NEXT_ITEM.finditer(text)):
        if not names or count == _MOST_TRIED:
            return None
        try:
            value, _ = decoder.raw_decode(text, found.end())
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict) and len(value.keys() & names) * 2 >= len(names):
            return found.end()
    return None
