"""Where a product's picture comes from: a file, the image store, or an allowed host."""

from __future__ import annotations
