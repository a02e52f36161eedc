"""The shopper that a path names."""

from __future__ import annotations

from backend.api.problems import invalid_request
from backend.api.schemas.problem import ProblemFault
from backend.events.record import MOST_TEXT


def check_shopper(user: str) -> str:
    """Return the shopper's id. Raises a 422 where it is longer than an event's can be.

    It is never cut: the first part may be the id of another shopper.
    """
    if len(user) <= MOST_TEXT:
        return user
    detail = f"must have at most {MOST_TEXT} characters"
    raise invalid_request([ProblemFault(code="invalid-value", detail=detail, parameter="user")])
