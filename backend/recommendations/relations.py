"""What the looks of a product tell of it: its neighbours, and what these go with, as one array.

The array is what is kept ready of a product (`ready`), and what a list is ranked by. It holds the
part of the formula that does not depend on the product's own pairs, as for a cold product.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Final, overload

import numpy as np
from numpy.typing import NDArray

from backend.recommendations import formula
from backend.recommendations.formula import ColdScores
from backend.recommendations.listed_products import Because, ListedProduct, Reason
from backend.recommendations.pairs import Partners

MOST: Final = 200
"""Related products that are kept of one: those with the highest scores."""

_ROW: Final = np.dtype(
    [
        ("product", "<i8"),
        ("look", "<f4"),
        ("inherited", "<f4"),
        ("through", "<i8"),  # the neighbour that adds most of what is inherited
        ("added", "<f4"),
    ]
)


class Relations:
    """Related products, each with what it has in common with one product."""

    def __init__(self, rows: NDArray[Any]) -> None:
        self._rows = rows

    @classmethod
    def of(cls, scores: ColdScores, *, keep: Collection[int] = ()) -> Relations:
        """Keep those with the best scores, and those of the products `keep`."""
        order = (-(scores.look + scores.inherited)).argsort(kind="stable")  # ids are in their order
        best, rest = order[:MOST], np.sort(order[MOST:])
        if keep and len(rest):
            known = np.array(sorted(keep))
            wanted = np.flatnonzero(np.isin(scores.product[rest], known))
            best = np.concatenate((best, rest[wanted]))
        rows = np.empty(len(best), _ROW)
        for name in ColdScores._fields:
            rows[name] = getattr(scores, name)[best]
        return cls(rows)

    @classmethod
    def unpack(cls, packed: bytes) -> Relations:
        """Read what `pack` has returned."""
        return cls(np.frombuffer(packed, _ROW))

    def pack(self) -> bytes:
        """Return the array as bytes, little-endian, 28 for each product."""
        return self._rows.tobytes()

    @property
    def is_empty(self) -> bool:
        """Whether no product is related."""
        return not len(self._rows)

    def scores(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return the products, and the score of each for a cold product."""
        total = self._rows["look"] + self._rows["inherited"]
        return self._rows["product"], total.astype(np.float64)

    def parts(self, product: int) -> tuple[float, float, int, float]:
        """Return what a product's score consists of for a cold product: 0 for one not related.

        That is: its look, what it inherits, and the neighbour that adds most of this, and how much.
        """
        at = self._places.get(product)
        if at is None:
            return 0.0, 0.0, 0, 0.0
        _, look, inherited, through, added = self._rows[at].item()
        return look, inherited, through, added

    def with_looks(self, looks: Mapping[int, float]) -> Relations:
        """Return these and further products, of which only their looks count: {product: look}."""
        new = [(it, look, 0.0, 0, 0.0) for it, look in looks.items() if it not in self._places]
        return Relations(np.concatenate([self._rows, np.array(new, _ROW)])) if new else self

    @cached_property
    def _places(self) -> dict[int, int]:
        return {product: at for at, product in enumerate(self._rows["product"].tolist())}


NONE: Final = Relations(np.zeros(0, _ROW))


class Related(Sequence[ListedProduct]):
    """What goes with a product, best first. Reasons are told of those only that are read."""

    def __init__(
        self,
        product_id: int,
        own: Partners,
        relations: Relations,
        *,
        exclude: Collection[int],
        most: int,
    ) -> None:
        self._product_id, self._own, self._relations = product_id, own, relations
        self._cold = formula.coldness(own)
        self._has_none = relations.is_empty
        ids, scores = np.fromiter(own, np.int64, len(own)), np.fromiter(own.values(), np.float64)
        scores /= scores + 1.0  # `formula.share` of each
        if not self._has_none:
            others, cold = relations.scores()
            ids, place = np.unique(np.concatenate((ids, others)), return_inverse=True)
            total = np.bincount(place, weights=np.concatenate((scores, self._cold * cold)))
            scores = total.astype(np.float64, copy=False)
            order = (-scores).argsort(kind="stable")  # the ids are in their order
        else:
            order = np.lexsort((ids, -scores))
        left_out = {product_id, *exclude}
        many = most + len(left_out)
        best = ids[order[: min(many, np.count_nonzero(scores > 0))]].tolist()
        self._best = [it for it in best if it not in left_out][:most]

    def __len__(self) -> int:
        return len(self._best)

    def only_looks(self, other: int) -> bool:
        """Tell whether no shopper's act speaks for a product, only its looks."""
        return other not in self._own and not self._relations.parts(other)[1]

    @overload
    def __getitem__(self, at: int) -> ListedProduct: ...

    @overload
    def __getitem__(self, at: slice) -> list[ListedProduct]: ...

    def __getitem__(self, at: int | slice) -> ListedProduct | list[ListedProduct]:
        if isinstance(at, slice):
            return [self._chosen(it) for it in self._best[at]]
        return self._chosen(self._best[at])

    def __iter__(self) -> Iterator[ListedProduct]:
        return map(self._chosen, self._best)

    def _chosen(self, other: int) -> ListedProduct:
        own, cold = formula.share(self._own.get(other, 0.0)), self._cold
        if self._has_none:
            return ListedProduct(other, own, Reason.TOGETHER, [Because(self._product_id, 1.0)])
        look, inherited, through, part = self._relations.parts(other)
        look, inherited = cold * look, cold * inherited
        total = own + look + inherited
        best = max(own, look, inherited)
        reason = Reason.INHERITED if best > look else Reason.LOOK
        added = [(own + look, self._product_id)]
        if part:
            added.append((cold * part, through))
            added.sort(key=_part, reverse=True)
        because = [Because(it, round(part / total, 4)) for part, it in added if part > 0]
        return ListedProduct(other, total, Reason.TOGETHER if best == own else reason, because)


def _part(added: tuple[float, int]) -> float:
    return added[0]
