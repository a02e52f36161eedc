"""JSON answers are those of the standard library, whoever writes them."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from flask import Flask

from backend.api.json_answers import JsonProvider

VALUES: dict[str, Any] = {
    "order": {"b": 1, "a": {"d": None, "c": True}},
    "text": 'grün 🧥 \u2028 </script> "\\',
    "numbers": [0, -1, 1.5, 1e-7, 1e300, 0.1 + 0.2, 2**53],
    "beyond-64-bits": 2**70,
    "half-a-surrogate-pair": "\ud800",
    "keys-that-are-no-texts": {1: "a"},
}


@pytest.mark.parametrize("name", VALUES)
def test_an_answer_reads_as_what_the_standard_library_writes(name: str) -> None:
    app = Flask("test")
    app.json = JsonProvider(app)
    with app.app_context():
        answer = app.json.response({name: VALUES[name]})
    assert answer.content_type == "application/json"
    assert answer.data.endswith(b"}\n")
    assert json.loads(answer.data) == json.loads(json.dumps({name: VALUES[name]}))
    assert list(json.loads(answer.data)) == [name]


def test_members_stay_in_order_and_letters_are_not_escaped() -> None:
    app = Flask("test")
    app.json = JsonProvider(app)
    with app.app_context():
        answer = app.json.response({"b": "grün", "a": 1})
    assert answer.data == '{"b":"grün","a":1}\n'.encode()


@pytest.mark.parametrize("beside", [1, 2**70], ids=["orjson", "standard-library"])
def test_json_that_is_stored_is_written_as_it_is(beside: int) -> None:
    app = Flask("test")
    app.json = JsonProvider(app)
    with app.app_context():
        answer = app.json.response({"a": orjson.Fragment('{"size": 42.5}'), "b": beside})
    assert json.loads(answer.data) == {"a": {"size": 42.5}, "b": beside}
