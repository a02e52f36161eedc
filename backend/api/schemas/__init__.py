"""What JSON may come in and what goes out: pydantic models, by subject.

A model is the schema in the OpenAPI document and the check of a body, so the two are one text:
`product`, `similar_items`, `generation`, `operation`, `problem`, on the base of `document`.
`body` and `query` read a request, `filters` has the grammar of filters, `pages` the cursors.
"""

from __future__ import annotations

from typing import Any, TypeAlias

Json: TypeAlias = dict[str, Any]
"""A JSON object."""
