"""A real browser: Debian's Chromium, found by PATH; tests are skipped where there is none."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, Request, expect, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
DESKTOP: dict[str, Any] = {"viewport": {"width": 1440, "height": 900}}
PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844},
    "is_mobile": True,
    "has_touch": True,
}
PATIENCE_MS = 30_000
RULES = {"runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]}}
"""What axe checks: WCAG 2.1, levels A and AA."""


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start Chromium until the block ends; skip the test where it is not installed."""
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.skip(f"none of {', '.join(NAMES)} is installed")
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        # Without a sandbox and with shared memory on disk: as root, and in containers.
        arguments = ["--no-sandbox", "--disable-dev-shm-usage"]
        browser = playwright.chromium.launch(executable_path=path, args=arguments)
        try:
            yield browser
        finally:
            browser.close()


class Visitor:
    """A page in a browser that notes what no page may do: errors, and requests to other hosts."""

    def __init__(self, page: Page, base: str) -> None:
        self.page, self._base = page, base
        self.faults: list[str] = []
        self.requests: list[Request] = []
        page.set_default_timeout(PATIENCE_MS)
        page.on("console", lambda it: self._note(it.text) if it.type == "error" else None)
        page.on("pageerror", lambda error: self._note(str(error)))
        page.on("request", self._check)

    def go(self, path: str) -> None:
        self.page.goto(self._base + path)
        self.settle()

    def settle(self) -> None:
        """Wait until nothing is asked of the server any more."""
        self.page.wait_for_load_state("networkidle")

    def violations(self) -> list[str]:
        """What axe finds wrong for those who cannot see, hear or use a mouse."""
        found = Axe().run(self.page, options=RULES).response["violations"]
        return [f"{it['id']}: {it['nodes'][0]['html'][:200]}" for it in found]

    @property
    def is_too_wide(self) -> bool:
        """Whether the page has to be moved sideways."""
        wide: bool = self.page.evaluate(
            "document.documentElement.scrollWidth > document.documentElement.clientWidth"
        )
        return wide

    def _note(self, text: str) -> None:
        self.faults.append(f"{self.page.url}: {text}")

    def _check(self, request: Request) -> None:
        self.requests.append(request)
        ours = urlsplit(self._base)
        asked = urlsplit(request.url)
        if asked.scheme not in ("blob", "data") and asked.netloc != ours.netloc:
            self._note(f"a request to {request.url}")


@contextmanager
def visit(browser: Browser, base: str, **options: Any) -> Iterator[Visitor]:
    """Visit a server as somebody new; at the end nothing may have gone wrong."""
    context = browser.new_context(**options)
    try:
        visitor = Visitor(context.new_page(), base)
        yield visitor
        assert visitor.faults == []
    finally:
        context.close()
