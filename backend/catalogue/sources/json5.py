"""Objects of JavaScript, such as JSON5 and `export default [{sku: 'A1',}]`, written as JSON.

See https://spec.json5.org. Nothing is computed: what is no value stays, and is then an error.
"""

from __future__ import annotations

import json
import re
from typing import Final

_TOKEN: Final = re.compile(
    r"""(?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`(?:[^`\\$]|\\.)*`)
    |(?P<comment>//[^\n]*|/\*.*?\*/|\#[^\n]*)
    |(?P<comma>,(?=(?:\s|//[^\n]*\n|/\*.*?\*/)*[}\]]))
    |(?P<word>[^\W\d][\w$]*|\$[\w$]*)(?P<colon>(?=\s*:))?
    |(?P<number>[+-]?(?:0[xX][0-9a-fA-F]+|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?))(?P<key>(?=\s*:))?""",
    re.DOTALL | re.VERBOSE,
)
_ESCAPED: Final = re.compile(r"\\(\r\n|u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|.)", re.DOTALL)
_LETTERS: Final = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "0": "\0"}
_WORDS: Final = {"undefined": "null", "None": "null", "True": "true", "False": "false"}


def strict_json(text: str) -> str:
    """Return a text of JSON5 as JSON; what is none of its tokens stays as it is."""
    return _TOKEN.sub(_written, text)


def _written(token: re.Match[str]) -> str:
    if token["text"]:
        return json.dumps(_unescaped(token["text"][1:-1]), ensure_ascii=False)
    if word := token["word"]:
        return json.dumps(word) if token["colon"] is not None else _WORDS.get(word, word)
    if number := token["number"]:
        return json.dumps(number) if token["key"] is not None else _number(number)
    return " "  # a comment, or a comma at the end


def _number(text: str) -> str:
    bare = text.lstrip("+")
    if re.match("-?0[xX]", bare):
        return str(int(bare, 16))
    bare = re.sub(r"^(-?)\.", r"\g<1>0.", bare)
    return re.sub(r"\.(?!\d)", "", bare)


def _unescaped(text: str) -> str:
    return _ESCAPED.sub(_letter, text) if "\\" in text else text


def _letter(escaped: re.Match[str]) -> str:
    it = escaped[1]
    if it in ("\n", "\r", "\r\n"):
        return ""  # the text goes on in the next line
    return chr(int(it[1:], 16)) if len(it) > 1 else _LETTERS.get(it, it)
