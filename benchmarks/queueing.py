"""The queue of `scaling.py`: Erlang's formula, a simulation of it, and days of mixed work.

Nothing is measured here, and nothing is printed. Rates are images a second, times seconds.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count

import numpy as np

HOUR = 3600
DAY = 24 * HOUR


def erlang_b(load: float) -> Iterator[float]:
    """Yield the share of arrivals that find all of 0, 1, 2, … servers busy and leave again.

    The usual recursion; `load` is the arrival rate divided by the rate of one server.
    """
    blocked = 1.0
    for servers in count(1):
        yield blocked
        blocked = load * blocked / (servers + load * blocked)


def erlang_c(servers: int, load: float) -> float:
    """Return the share of arrivals that have to wait in an M/M/c queue; 1 from full load on."""
    if load >= servers:
        return 1.0
    blocked = next(value for at, value in enumerate(erlang_b(load)) if at == servers)
    return _waiting(servers, load, blocked)


def _waiting(servers: int, load: float, blocked: float) -> float:
    return blocked / (1 - load / servers * (1 - blocked))


def mean_wait(arrivals: float, rate: float, servers: int) -> float:
    """Return the mean seconds in the queue, of an M/M/c queue that is not overloaded."""
    return erlang_c(servers, arrivals / rate) / (servers * rate - arrivals)


def servers_for(arrivals: float, rate: float, *, within: float, late: float) -> int:
    """Return the fewest servers with which at most a share `late` waits longer than `within` s."""
    load = arrivals / rate
    for servers, blocked in enumerate(erlang_b(load)):
        if servers <= load:
            continue
        spare = servers * rate - arrivals
        if _waiting(servers, load, blocked) * math.exp(-spare * within) <= late:
            return servers
    raise AssertionError("more servers always shorten the wait")


def simulate_queue(
    arrivals: float,
    rate: float,
    servers: int,
    *,
    count: int,
    rng: np.random.Generator,
    steady: bool = False,
) -> np.ndarray:
    """Return the seconds that each of `count` arrivals waited, first come first served.

    Arrivals are a Poisson process. A service takes 1 / rate seconds, exactly (`steady`) or on
    average (exponential). The first tenth, in which the queue fills, is left out.
    """
    came = rng.exponential(1 / arrivals, count).cumsum()
    took = np.full(count, 1 / rate) if steady else rng.exponential(1 / rate, count)
    free = [0.0] * servers
    waits = np.empty(count)
    for at, (now, seconds) in enumerate(zip(came.tolist(), took.tolist(), strict=True)):
        start = max(now, free[0])
        heapq.heapreplace(free, start + seconds)
        waits[at] = start - now
    return waits[count // 10 :]


@dataclass(frozen=True, kw_only=True)
class Workload:
    """What the workers of one installation have to do; rates are images a second."""

    rate: float
    workers: int
    singles: float  # on average over the day; twice as many at the peak, none at night
    feed: int  # images of a feed that comes once a day, at six
    reindex: int  # images of a re-index that begins with the simulation
    outage: tuple[float, float] = (0, 0)  # hours in which half of the workers are away


@dataclass
class Priority:
    """One priority: how much has come and is done, and what waited longest."""

    came: list[float] = field(default_factory=lambda: [0.0])
    done: float = 0.0
    emptied: float | None = None  # when the last of it was done; None while some waits
    longest: float = 0.0
    _oldest: int = 0

    def step(self, now: float, new: float, capacity: float, seconds: float) -> float:
        """Take what has come and do what can be done of it; return the capacity that is left."""
        self.came.append(self.came[-1] + new)
        taken = min(capacity, self.came[-1] - self.done)
        self.done += taken
        while self._oldest < len(self.came) - 1 and self.came[self._oldest + 1] <= self.done:
            self._oldest += 1
        waiting = self.came[-1] - self.done
        if waiting > 0.5:
            self.longest = max(self.longest, (len(self.came) - 2 - self._oldest) * seconds)
            self.emptied = None
        elif self.emptied is None and self.came[-1] > 0:
            self.emptied = now + seconds
        return capacity - taken


def simulate_days(
    load: Workload, *, days: float, rng: np.random.Generator, seconds: float = 60.0
) -> Mapping[str, Priority]:
    """Run writes, a feed and a re-index by strict priority; steps of `seconds`.

    What is shorter than a step cannot be seen. A claim under way is not interrupted: it adds the
    one to three seconds that a claim takes.
    """
    classes = {"single": Priority(), "feed": Priority(), "re-index": Priority()}
    for at in range(round(days * DAY / seconds)):
        now = at * seconds
        new = (
            float(rng.poisson(load.singles * by_day(now) * seconds)),
            float(load.feed if now % DAY == 6 * HOUR else 0),
            float(load.reindex if at == 0 else 0),
        )
        away = load.outage[0] * HOUR <= now < load.outage[1] * HOUR
        left = load.rate * load.workers * seconds * (0.5 if away else 1)
        for kind, it in zip(new, classes.values(), strict=True):
            left = it.step(now, kind, left, seconds)
    return classes


def by_day(now: float) -> float:
    """Return the share of the mean rate at a time of the day: 0 at midnight, 2 at noon."""
    return 1 - math.cos(2 * math.pi * now / DAY)


def drained(backlog: float, arrivals: float, rate: float, workers: int) -> float:
    """Return the seconds until a backlog is done beside steady arrivals; inf if it never is."""
    spare = workers * rate - arrivals
    return backlog / spare if spare > 0 else math.inf
