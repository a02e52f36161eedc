"""What is counted, under OpenTelemetry's names where it has one.

Counting costs a few microseconds and never fails. The values of each label are few: a route is its
template, an outcome one of our error codes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.metrics import MetricWrapperBase

REGISTRY: Final = CollectorRegistry()

METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
OTHER_METHOD: Final = "_OTHER"  # OpenTelemetry's name for all others
HTTP_SECONDS: Final = (
    *(0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75),
    *(1.0, 2.5, 5.0, 7.5, 10.0),
)
"""The bounds that OpenTelemetry advises for the durations of HTTP requests."""

FRESHNESS_SECONDS: Final = (0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 21_600, 86_400)
STEP_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
BATCH_IMAGES: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)

PRIORITIES: Final = ("single", "import", "reindex")
"""Names of the queue's priorities, the most urgent first."""

REQUESTS: Final = Histogram(
    "http_server_request_duration_seconds",
    "Duration of HTTP requests by route, method and status; the route is empty where none matched.",
    ("http_route", "http_request_method", "http_response_status_code"),
    buckets=HTTP_SECONDS,
    registry=REGISTRY,
)
REFUSED: Final = Counter(
    "lookalike_refused_requests",
    "Requests that were refused before the app saw them: late, malformed, too large, too many.",
    ("http_response_status_code",),
    registry=REGISTRY,
)
UNSHARED: Final = Counter(
    "lookalike_rate_limit_unshared",
    "Requests whose rate limit was decided while Redis did not answer, by what was done: counted "
    "by this process (local), allowed (open), refused (closed); attempt: a wrong key not counted.",
    ("decision",),
    registry=REGISTRY,
)
UNLOGGED_ANSWERS: Final = Counter(
    "lookalike_unlogged_recommendations",
    "Answers with recommendations that could not be logged: clicks on them have no reason.",
    registry=REGISTRY,
)
FRESHNESS: Final = Histogram(
    "lookalike_freshness_seconds",
    "From the change of a product until the active index shows it.",
    ("priority",),
    buckets=FRESHNESS_SECONDS,
    registry=REGISTRY,
)
BATCH_SIZES: Final = Histogram(
    "lookalike_embed_batch_images",
    "Images in one forward pass.",
    buckets=BATCH_IMAGES,
    registry=REGISTRY,
)
BATCH_SECONDS: Final = Histogram(
    "lookalike_embed_batch_duration_seconds",
    "Duration of one forward pass.",
    buckets=STEP_SECONDS,
    registry=REGISTRY,
)
DECODED: Final = Counter(
    "lookalike_decoded_images",
    "Images that decoders were given, by outcome: `ok` or the code of the error.",
    ("outcome",),
    registry=REGISTRY,
)
DECODE_SECONDS: Final = Histogram(
    "lookalike_decode_duration_seconds",
    "Duration of decoding one image, without the wait for a decoder.",
    buckets=STEP_SECONDS,
    registry=REGISTRY,
)
INSTRUMENTS: Final[tuple[MetricWrapperBase, ...]] = (
    REQUESTS,
    REFUSED,
    UNSHARED,
    FRESHNESS,
    BATCH_SIZES,
    BATCH_SECONDS,
    DECODED,
    DECODE_SECONDS,
)


_requests: dict[tuple[str | None, str, int], Histogram] = {}
"""The series of requests that have occurred: looking one up in REQUESTS takes longer."""


def count_request(*, route: str | None, method: str, status: int, seconds: float) -> None:
    """Count one HTTP request; `route` is its template, None where no route matched."""
    series = _requests.get((route, method, status))
    if series is None:
        known = method if method in METHODS else OTHER_METHOD
        series = REQUESTS.labels(route or "", known, str(status))
        if known == method:  # or clients could fill the memory
            _requests[route, method, status] = series
    series.observe(seconds)


def count_refused(status: int) -> None:
    """Count one request that never reached the app."""
    REFUSED.labels(str(status)).inc()


def count_unshared(decision: str) -> None:
    """Count one request whose rate limit the shared counts have not decided."""
    UNSHARED.labels(decision).inc()


def count_searchable(waits: Iterable[tuple[int, float]]) -> None:
    """Count products that the active index shows now, as (priority, seconds since the change)."""
    for priority, seconds in waits:
        FRESHNESS.labels(PRIORITIES[priority]).observe(max(0.0, seconds))


def count_batch(*, images: int, seconds: float) -> None:
    """Count one forward pass."""
    BATCH_SIZES.observe(images)
    BATCH_SECONDS.observe(seconds)


def count_decoded(outcome: str, *, seconds: float) -> None:
    """Count one image that a decoder was given; `outcome` is `ok` or the error's code."""
    DECODED.labels(outcome).inc()
    DECODE_SECONDS.observe(seconds)
