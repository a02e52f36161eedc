"""What Schemathesis reports and is right as it is, with the reason."""

from __future__ import annotations

from typing import Final

CHECKS: Final = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "use_after_free",
    "ensure_resource_availability",
    "ignored_auth",
    "unsupported_method",
    "allow_header_conformance",
    "missing_required_header",
)
"""The checks that run."""

NOT_CHECKED: Final = {
    "positive_data_acceptance": (
        "A body that fits the schema may still be refused with 422: a schema says nothing of rules "
        "between members (one of sku, image_uri and text), of names that exist only in this "
        "installation (placements, cursors, fields, allowed hosts), of a filter's budget over all "
        "clauses, or of text that cannot be seen. Each such answer is a problem document that "
        "names the fault, which the other checks compare with its description."
    ),
    "object_level_authorization": (
        "It needs two users who own different things. Here a key has scopes, and all keys of a "
        "scope see the same shop."
    ),
}
"""Checks that do not run, and why not."""

CONFIGURATION: Final = """
[checks.negative_data_rejection]
expected-statuses = [
    400, 401, 403, 404, 405, 406, 408, 409, 412, 413, 414, 415, 417, 421, 422, 428, 429, 431, 503
]
"""
"""What counts as a refusal: beside what Schemathesis takes for one also 412 (`If-Match` without a
product to match), 414 and further ones of the description, but no 5xx except 503."""

_EACH = (
    "What is wrong with one item concerns that item alone: the answer is 200, says so at its place "
    "and has a problem of its own for it; the other items are done."
)
_LINES = (
    "Lines are read by the job: the answer is 202, and the job's report has the number and the "
    "reason of each line that was rejected."
)
_REJECTED = "negative_data_rejection"

ACCEPTED: Final[dict[tuple[str, str], str]] = {
    ("POST /v1/events:batch", _REJECTED): _EACH,
    ("POST /v1/products:batch", _REJECTED): _EACH,
    ("POST /v1/products:patch", _REJECTED): _EACH,
    ("POST /v1/products:import", _REJECTED): _LINES,
    ("DELETE /v1/admin/generations/{id}", "use_after_free"): (
        "Its index is removed; the row stays, so that one can still read what the generation was."
    ),
}
"""(operation, check) -> why this finding is right as it is."""
