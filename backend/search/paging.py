"""Where a list goes on: what its pages have shown, and what they were found by.

A further page is the answer to the same query without the products that were shown. So no product
occurs twice, and none is missed that stays, whatever changes between two pages: a cursor holds the
shown products themselves, and not a place in an order that may change.

The bytes of a position: the generation, then the basis (a byte that says which; the image's digest;
or the vector as float16, and the lengths of blocks as JSON; each after its length in bytes), then
the ids of the shown products, in order, each as the distance to the one before. Numbers are
written in groups of seven bits, the lowest first. So a product costs two bytes in a catalogue of
millions, and one in a small catalogue.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from itertools import islice
from typing import Final

from backend.catalogue.image_vectors import pack, unpack
from backend.vectors import Vector

MOST_SHOWN: Final = 1_000
"""Products that the pages of one list show at most. A page searches for all that were shown, too,
and a cursor holds their ids, so the last page costs most."""


@dataclass(frozen=True, kw_only=True)
class Basis:
    """What the pages of a list are found by: the vector of a product's image, or a query's own.

    Of a product's image, a position keeps the `digest` only: where it is read, `vector` is None.
    `lengths` are those of blocks, as `colour_weight.weigh` takes them.
    """

    vector: Vector | None = None
    digest: str | None = None
    lengths: Mapping[str, float] | None = None


@dataclass(frozen=True, kw_only=True)
class Position:
    """What the pages of a list have shown (ids of products), and how they were found.

    A list that no vector was asked for has no basis.
    """

    generation_id: int
    shown: frozenset[int] = frozenset()
    basis: Basis | None = None

    def after(self, ids: Iterable[int]) -> Position | None:
        """Return the position after some more products, None after the last ones."""
        more = frozenset(ids)
        shown = self.shown | more
        if not more or len(shown) >= MOST_SHOWN:
            return None
        return Position(generation_id=self.generation_id, shown=shown, basis=self.basis)

    @property
    def left(self) -> int:
        """How many products the following pages may show."""
        return MOST_SHOWN - len(self.shown)


class _Kind(IntEnum):
    NOTHING = 0
    IMAGE = 1
    VECTOR = 2


def to_bytes(position: Position) -> bytes:
    """Return a position as `from_bytes` reads it."""
    packed = bytearray()
    _write(packed, position.generation_id)
    _write_basis(packed, position.basis)
    before = 0
    for id_ in sorted(position.shown):
        distance, before = id_ - before, id_
        while distance > 127:  # as `_write` does, without a call for each product
            packed.append(128 | distance & 127)
            distance >>= 7
        packed.append(distance)
    return bytes(packed)


def from_bytes(packed: bytes) -> Position:
    """Read a position; raises ValueError for bytes that `to_bytes` did not make."""
    left = iter(packed)
    generation_id = _read(left)
    basis = _read_basis(left)
    shown, id_ = set(), 0
    for distance in _read_all(left):
        id_ += distance
        shown.add(id_)
    return Position(generation_id=generation_id, shown=frozenset(shown), basis=basis)


def _write_basis(packed: bytearray, basis: Basis | None) -> None:
    if basis is None:
        packed.append(_Kind.NOTHING)
    elif basis.digest is not None:
        packed.append(_Kind.IMAGE)
        _write_part(packed, basis.digest.encode())
    elif basis.vector is not None:
        packed.append(_Kind.VECTOR)
        _write_part(packed, pack(basis.vector))
        _write_part(packed, json.dumps(basis.lengths and dict(basis.lengths)).encode())


def _read_basis(left: Iterator[int]) -> Basis | None:
    kind = _Kind(next(left, -1))
    if kind is _Kind.NOTHING:
        return None
    if kind is _Kind.IMAGE:
        return Basis(digest=_read_part(left).decode())
    return Basis(vector=unpack(_read_part(left)), lengths=json.loads(_read_part(left)))


def _write_part(packed: bytearray, part: bytes) -> None:
    _write(packed, len(part))
    packed += part


def _read_part(left: Iterator[int]) -> bytes:
    count = _read(left)
    part = bytes(islice(left, count))
    if len(part) < count:
        raise ValueError("it ends too early")
    return part


def _write(packed: bytearray, number: int) -> None:
    while number > 127:
        packed.append(128 | number & 127)
        number >>= 7
    packed.append(number)


def _read(left: Iterator[int]) -> int:
    for number in _read_all(left):
        return number
    raise ValueError("it ends too early")


def _read_all(left: Iterator[int]) -> Iterator[int]:
    """Yield the numbers that follow."""
    number = shift = 0
    for byte in left:
        number |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            yield number
            number = shift = 0
