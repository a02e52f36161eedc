"""What a setting may be; wrong, contradicting and unknown ones are named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from backend import variables
from backend.errors import ConfigurationError
from backend.settings import Settings, read_settings


@pytest.mark.parametrize(
    "servers",
    [
        {},
        {"qdrant_url": "http://localhost:6333"},
        {
            "broker_url": "redis://localhost",
            "database_url": "postgresql://localhost/lookalike",
            "image_store": "file:///images",
        },
    ],
)
def test_a_process_that_owns_the_index_or_works_stays_for_good_or_is_one_of_its_own(
    settings: Settings, servers: dict[str, str]
) -> None:
    with pytest.raises(ConfigurationError, match=r"LOOKALIKE_MAX_REQUESTS.*QDRANT_URL"):
        read_settings(_env_file=None, **servers, max_requests=1000)
    several = read_settings(_env_file=None, **servers, max_requests=1000, api_processes=2)
    assert several.separates_work
    assert not read_settings(_env_file=None, **servers).separates_work


def test_where_servers_do_all_the_work_no_process_is_separate(settings: Settings) -> None:
    servers = {
        "qdrant_url": "http://localhost:6333",
        "broker_url": "redis://localhost",
        "database_url": "postgresql://localhost/lookalike",
        "image_store": "file:///images",
    }
    assert not read_settings(_env_file=None, **servers, api_processes=2).separates_work


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ("", ()),
        ("pattern", ("pattern",)),
        ("pattern, fit,", ("pattern", "fit")),
        ('["pattern", "a, b"]', ("pattern", "a, b")),
        ("[]", ()),
    ],
)
@pytest.mark.parametrize("name", ["facets", "image_hosts"])
def test_a_list_is_names_with_commas_or_json(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, name: str, value: str, read: tuple[str]
) -> None:
    monkeypatch.setenv(f"LOOKALIKE_{name.upper()}", value)
    assert getattr(read_settings(_env_file=None), name) == read


@pytest.mark.parametrize(
    ("variable", "value", "allowed"),
    [
        ("LOOKALIKE_PORT", "http", "must be a whole number, at least 0 and at most 65535"),
        ("LOOKALIKE_PORT", "65536", "must be a whole number, at least 0 and at most 65535"),
        ("LOOKALIKE_MESSAGE_SECONDS", "0", "must be a number, more than 0"),
        ("LOOKALIKE_LOG_LEVEL", "loud", "must be 'debug', 'info', 'warning' or 'error'"),
        ("LOOKALIKE_FACETS", '["a', 'must be names as a,b or as JSON: ["a", "b"]'),
        ("LOOKALIKE_RATE_LIMIT", "x", "must be such as 50/second"),
    ],
)
def test_a_wrong_value_is_named_by_its_variable_with_what_is_allowed(
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    value: str,
    allowed: str,
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigurationError) as refused:
        read_settings(_env_file=None)
    assert refused.value.message.startswith(f"{variable}={value!r} {allowed}")


def test_all_wrong_values_are_named_at_once_and_no_secret_is_shown(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOOKALIKE_THREADS", "0")
    monkeypatch.setenv("LOOKALIKE_HANG_SECONDS", "soon")
    with pytest.raises(ConfigurationError) as refused:
        read_settings(_env_file=None, qdrant_api_key=["secret"])
    told = refused.value.message
    assert "LOOKALIKE_THREADS=" in told
    assert "LOOKALIKE_HANG_SECONDS=" in told
    assert "QDRANT_API_KEY must be a valid string" in told
    assert "secret" not in told


def test_an_unknown_variable_is_named_with_the_nearest_setting(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("LOOKALIKE_THREAD=4\nAPI_PORT=8000\nLOOKALIKE_KNOCK_SECONDS=9\n")
    monkeypatch.setenv("LOOKALIKE_QQQQ", "1")
    monkeypatch.setenv("LOOKALIKE_PORT", "1")
    assert variables.unknown(Settings) == {
        "LOOKALIKE_QQQQ": None,
        "LOOKALIKE_THREAD": "LOOKALIKE_THREADS",
    }


def test_a_command_warns_of_an_unknown_variable(
    monkeypatch: pytest.MonkeyPatch, run_command: Callable[..., Result]
) -> None:
    monkeypatch.setenv("LOOKALIKE_FACET", "fit")
    said = run_command("migrate")
    assert "LOOKALIKE_FACET is no setting; the nearest is LOOKALIKE_FACETS" in said.stderr


def test_a_host_of_feeds_and_images_is_named_once() -> None:
    settings = read_settings(_env_file=None, feed_hosts="a.example", image_hosts="a.example,b")
    assert settings.hosts_of_feeds == ("a.example", "b")


@pytest.mark.parametrize("device", ["nonsense", "gpu", "cuda:", "cuda:x", "-7"])
def test_a_device_that_does_not_exist_is_refused_at_the_start(device: str) -> None:
    with pytest.raises(ConfigurationError, match=r"LOOKALIKE_DEVICE=.* must be auto, cpu, cuda"):
        read_settings(_env_file=None, device=device)


@pytest.mark.parametrize("device", ["auto", "cpu", "cuda", "cuda:1", "mps"])
def test_each_device_of_the_description_is_taken(device: str) -> None:
    assert read_settings(_env_file=None, device=device).device == device


@pytest.mark.parametrize("url", ["mysql://user:secret@host/shop", "localhost:5432", "lookalike.db"])
def test_a_database_that_the_code_does_not_know_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"DATABASE_URL.*postgresql://") as refused:
        read_settings(_env_file=None, database_url=url)
    assert "secret" not in refused.value.message


@pytest.mark.parametrize("url", ["ftp://qdrant", "grpc://a:6334,http://b"])
def test_an_address_of_qdrant_by_another_scheme_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"QDRANT_URL.*http://qdrant:6333"):
        read_settings(_env_file=None, qdrant_url=url)


@pytest.mark.parametrize(
    "url", ["http://qdrant", "qdrant", "qdrant:6333", "HTTPS://a:1/path?grpc_port=2, b"]
)
def test_an_address_of_qdrant_may_be_a_host(url: str) -> None:
    assert read_settings(_env_file=None, qdrant_url=url).qdrant_url == url
