"""The query vector of a product: from what SQL stores to what the index is asked with."""

from __future__ import annotations

from backend.catalogue import image_vectors
from backend.search.query_product import QueryProduct
from backend.vectors import Vector


def vector_of(asked: QueryProduct) -> Vector:
    """Return the vector to search with, (size,) float32."""
    return image_vectors.unpack(asked.vector)
