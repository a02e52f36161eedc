"""Contact sheets of products: the pictures are opened as the worker opens them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

    from backend.bootstrap import Services
    from backend.catalogue.models import Product
