"""Edits a shop's catalogue over REST while something happens to the shop."""

from __future__ import annotations

import math
import random
import time
from dataclasses import dataclass
from typing import Any

import requests

from support.image_files import random_image
from support.installation import Installation
from support.repeated import Repeated
from support.servers import load_per_processor

LIVE = 150  # skus that are written, priced and removed


@dataclass
class Absence:
    """From the answer to a DELETE until the sku was written anew."""

    sku: str
    since: float
    until: float = math.inf


class CatalogueEditor(Repeated):
    """Writes, prices and removes products over REST, one at a time; remembers what the shop has."""

    def __init__(self, shop: Installation, chance: random.Random, *, pause: float = 0.0) -> None:
        self.shop = shop
        self.chance = chance
        self.absences: list[Absence] = []
        self.has: dict[str, tuple[float, int]] = {}  # sku -> price, seed of its image
        self.removed: set[str] = set()
        self.writes = 0
        super().__init__(self._write, pause=pause)

    @property
    def count(self) -> int:
        return len(self.has)

    def _write(self) -> None:
        self._write_one()
        self.writes += 1

    def _write_one(self) -> None:
        sku = f"live-{self.chance.randrange(LIVE)}"
        act = self.chance.random()
        if sku in self.has and act < 0.3:
            self._send("DELETE", sku)
            self.absences.append(Absence(sku, since=time.time()))
            del self.has[sku]
            self.removed.add(sku)
        elif sku in self.has and act < 0.6:
            price = self.chance.randrange(1, 1000)
            self._send("PATCH", sku, json={"price": price})
            self.has[sku] = (price, self.has[sku][1])
        else:
            price, seed = self.chance.randrange(1, 1000), self.chance.randrange(10**6, 10**7)
            self._end_absence(sku)
            self._send("PUT", sku, json={"price": price})
            self._send("PUT", f"{sku}/image", data=random_image(seed))
            self.has[sku] = (price, seed)
            self.removed.discard(sku)

    def _end_absence(self, sku: str) -> None:
        for absence in reversed(self.absences):
            if absence.sku == sku:
                absence.until = min(absence.until, time.time())
                return

    def _send(self, method: str, path: str, **body: Any) -> None:
        """Repeat a request until it is answered: all of these may be done twice."""
        began = time.monotonic()
        while time.monotonic() < began + 60 * load_per_processor():
            try:
                url = f"{self.shop.url}/v1/products/{path}"
                answer = requests.request(method, url, timeout=10 * load_per_processor(), **body)
            except requests.RequestException:
                answer = None
            if answer is not None and answer.ok:
                return
            if answer is not None and method == "DELETE" and answer.status_code == 404:
                return  # it was done, and then the server died
            assert answer is None or answer.status_code >= 500, answer.text
            time.sleep(0.1)
        raise AssertionError(f"{method} {path} was not answered for minutes")
