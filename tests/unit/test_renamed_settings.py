"""Settings that contradict one another are refused."""

from __future__ import annotations

import pytest

from backend.errors import ConfigurationError
from backend.settings import Settings, read_settings


@pytest.mark.parametrize("knobs", [{"api_processes": 2}, {"max_requests": 1000}])
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
def test_a_process_that_owns_the_index_or_works_stays_alone_and_for_good(
    settings: Settings, knobs: dict[str, int], servers: dict[str, str]
) -> None:
    with pytest.raises(ConfigurationError, match=r"LOOKALIKE_API_PROCESSES.*QDRANT_URL"):
        read_settings(_env_file=None, **servers, **knobs)
