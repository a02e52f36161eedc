"""Settings that were renamed go on working under their former names."""

from __future__ import annotations

import pytest

from backend.settings import Settings, read_settings


def read() -> Settings:
    return read_settings(_env_file=None)


def test_the_former_name_of_a_setting_still_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOOKALIKE_KNOCK_SECONDS", "7")
    assert read().message_seconds == 7


def test_the_present_name_wins_over_the_former_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOOKALIKE_KNOCK_SECONDS", "7")
    monkeypatch.setenv("LOOKALIKE_MESSAGE_SECONDS", "8")
    assert read().message_seconds == 8


def test_a_keyword_sets_it_too() -> None:
    assert read_settings(_env_file=None, message_seconds=9).message_seconds == 9
