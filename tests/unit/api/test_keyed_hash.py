"""HMAC-SHA256 from a kept state is that of the library."""

from __future__ import annotations

import hmac
import random

import pytest

from backend.api.keyed_hash import hmac_sha256


@pytest.mark.parametrize("length", [0, 1, 32, 64, 65, 200])
def test_it_is_that_of_the_library(length: int) -> None:
    drawn = random.Random(length)
    key = drawn.randbytes(length)
    for size in (0, 1, 55, 64, 300):
        message = drawn.randbytes(size)
        expected = hmac.digest(key, message, "sha256")
        assert hmac_sha256(key, message) == expected
        assert hmac_sha256(key, message) == expected  # the kept state was not used up
