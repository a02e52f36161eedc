"""The JSON of requests and answers: pydantic models, by subject.

A model both checks a body and is the schema in the OpenAPI document, so the two agree: `product`,
`similar_requests`, `similar_items`, `facet`, `generation`, `operation`, `problem`; `document` has
their base classes. `body` and `query` read a request, `written_items` and `written_products` write
an answer, `filters` has the grammar of filters, `pages` the cursors.
"""

from __future__ import annotations

from typing import Any, TypeAlias

Json: TypeAlias = dict[str, Any]
"""A JSON object."""
