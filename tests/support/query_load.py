"""Queries all the time, and checks of what was answered."""

from __future__ import annotations

import math
import random
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import requests

from support.catalogue_editor import Absence
from support.installation import Installation

FILTERS = (
    "",
    "gender=Women",
    "gender=Women&master_category=Apparel&year_gte=2011",
    "base_colour_not=White&season=Fall,Summer",
)
TOLERANCE = {"sku": 0.002, "image": 0.02}
"""Between a score and the cosine of two stored vectors; an image is embedded once more."""


@dataclass(frozen=True)
class Answered:
    """One question: when it was sent and answered (seconds since the epoch), and with what."""

    phase: str
    kind: str  # sku or image
    sku: str
    sent: float
    received: float
    status: int  # 0: nobody answered
    body: Mapping[str, Any]

    @property
    def ms(self) -> float:
        return 1000 * (self.received - self.sent)


class QueryLoad:
    """Threads that ask about products, and about their images, at a steady rate."""

    def __init__(self, shop: Installation, images: Sequence[Path], *, per_second: float) -> None:
        self.phase = "before"
        self.answers: list[Answered] = []
        self._shop = shop
        self._images = images
        self._over = threading.Event()
        self._may_ask = threading.Event()
        self._may_ask.set()
        self._asking = [threading.Lock() for _ in range(3)]
        self._threads = [
            threading.Thread(target=self._ask, args=(number, kind, rate))
            for number, (kind, rate) in enumerate(
                [("sku", per_second / 2), ("sku", per_second / 2), ("image", per_second / 10)]
            )
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._may_ask.set()
        self._over.set()
        for thread in self._threads:
            thread.join()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Wait for the answers under way, and ask nothing meanwhile."""
        self._may_ask.clear()
        for lock in self._asking:
            with lock:
                pass
        try:
            yield
        finally:
            self._may_ask.set()

    def _ask(self, number: int, kind: str, per_second: float) -> None:
        chance = random.Random(number)
        session = requests.Session()
        while not self._over.is_set():
            self._may_ask.wait()
            with self._asking[number]:
                self.answers.append(self._ask_once(session, kind, chance))
            self._over.wait(chance.expovariate(per_second))
        session.close()

    def _ask_once(self, session: requests.Session, kind: str, chance: random.Random) -> Answered:
        phase, path, asked = self.phase, chance.choice(self._images), chance.choice(FILTERS)
        url = f"{self._shop.url}/v1"
        sent = time.time()
        try:
            if kind == "sku":
                found = session.get(f"{url}/products/{path.stem}/similar?{asked}", timeout=30)
            else:
                found = session.post(
                    f"{url}/similar?{asked}",
                    data=path.read_bytes(),
                    headers={"Content-Type": "image/jpeg"},
                    timeout=30,
                )
            status, body = found.status_code, found.json()
        except requests.RequestException as error:
            status, body = 0, {"detail": repr(error)}
        return Answered(phase, kind, path.stem, sent, time.time(), status, body)


# --- the checks ---------------------------------------------------------------------------------


@dataclass
class ActivePeriod:
    """When a generation may have been the active one: until another's promotion was over."""

    generation: int
    since: float
    until: float = math.inf


def failures(answers: Iterable[Answered]) -> list[str]:
    """Return the questions that had no answer."""
    return [
        f"{one.phase}, by {one.kind}: {one.status} {one.body.get('detail')}"
        for one in answers
        if one.status != 200
    ]


def inactive_answers(answers: Iterable[Answered], periods: Sequence[ActivePeriod]) -> list[str]:
    """Return the answers of a generation that was not active while the question was out."""
    return [
        f"{one.phase}: generation {one.body['generation']}"
        for one in answers
        if one.status == 200
        and not any(
            period.generation == one.body["generation"]
            and one.sent < period.until
            and one.received > period.since
            for period in periods
        )
    ]


def wrong_scores(
    answers: Iterable[Answered],
    vectors: Mapping[int, Mapping[str, npt.NDArray[np.float32]]],
) -> tuple[int, list[str]]:
    """Count the scores that could be checked, and return those from another space.

    `vectors` holds, by generation, the vectors of products whose images nobody edited.
    """
    checked, wrong = 0, []
    for one in answers:
        if one.status != 200:
            continue
        known = vectors[one.body["generation"]]
        for item in one.body["items"]:
            if item["sku"] in known:
                checked += 1
                cosine = float(known[one.sku] @ known[item["sku"]])
                if abs(cosine - item["score"]) > TOLERANCE[one.kind]:
                    wrong.append(f"{one.kind} {one.sku}: {item} instead of {cosine:.4f}")
    return checked, wrong


def removed_but_shown(answers: Iterable[Answered], absences: Sequence[Absence]) -> list[str]:
    """Return the removed products that were shown after the removal was acknowledged."""
    gone: dict[str, list[Absence]] = {}
    for absence in absences:
        gone.setdefault(absence.sku, []).append(absence)
    return [
        f"{one.phase}: {item['sku']}"
        for one in answers
        if one.status == 200
        for item in one.body["items"]
        if any(
            absence.since < one.sent and one.received < absence.until
            for absence in gone.get(item["sku"], [])
        )
    ]


def latencies(answers: Sequence[Answered], *, first: str) -> str:
    """Return a table: p50 and p99 by phase and kind, as ratios to the first phase."""
    lines = ["phase                          by        asked      p50      p99   to before"]
    for kind in ("sku", "image"):
        base = _percentiles(answers, first, kind)
        for phase in dict.fromkeys(one.phase for one in answers):
            here = _percentiles(answers, phase, kind)
            count = sum(1 for one in answers if (one.phase, one.kind) == (phase, kind))
            ratios = " ".join(f"{h / b:5.1f}x" for h, b in zip(here, base, strict=True))
            lines.append(
                f"{phase:30} {kind:8} {count:6} {here[0]:6.1f} ms {here[1]:6.1f} ms {ratios}"
            )
    return "\n".join(lines)


def _percentiles(answers: Iterable[Answered], phase: str, kind: str) -> tuple[float, float]:
    times = [one.ms for one in answers if (one.phase, one.kind) == (phase, kind)] or [math.nan]
    p50, p99 = np.percentile(times, [50, 99])
    return float(p50), float(p99)
