"""Cursors are signed by HMAC-SHA256, as those that earlier releases have made."""

from __future__ import annotations

import hmac

import pytest

from backend.api.keyed_hash import hmac_sha256


@pytest.mark.parametrize("length", [0, 1, 32, 63, 64, 65, 200], ids=str)
def test_the_signature_is_that_of_the_library(length: int) -> None:
    key = bytes(range(256))[:length]
    for packed in (b"", b"a", bytes(1000)):
        expected = hmac.digest(key, packed, "sha256")
        assert hmac_sha256(key, packed) == expected
        assert hmac_sha256(key, packed) == expected  # the states with the key were not used up
