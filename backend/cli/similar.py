"""`lookalike similar SKU`: similar items in the terminal, as JSON, or as an image."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import typer
from rich.markup import escape
from rich.table import Table

from backend.cli.api_client import ApiClient
from backend.cli.common import AsJson, out, print_json, services, settings
from backend.cli.query_options import (
    Colour,
    ImageNumber,
    Limit,
    Photo,
    Region,
    Sheet,
    Skus,
    Text,
    TextWeight,
    Where,
    pair,
)
from backend.cli.shaping import (
    Boost,
    Diversity,
    Exclude,
    Explain,
    GroupBy,
    MinMatch,
    MinScore,
    Placement,
    Relax,
    Restrict,
    parameters_of,
)
from backend.images.local_files import is_remote

if TYPE_CHECKING:
    from backend.bootstrap import Services
    from backend.settings import Settings


def similar(
    skus: Skus = None,
    limit: Limit = None,
    where: Where = None,
    image: ImageNumber = None,
    colour: Colour = None,
    photo: Photo = None,
    box: Region = None,
    text: Text = "",
    text_weight: TextWeight = None,
    placement: Placement = None,
    group_by: GroupBy = None,
    restrict: Restrict = None,
    boost: Boost = None,
    diversity: Diversity = None,
    exclude: Exclude = None,
    min_score: MinScore = None,
    min_match: MinMatch = None,
    relax: Relax = None,
    explain: Explain = False,
    sheet: Sheet = None,
    as_json: AsJson = False,
) -> None:
    """Show the products that look like a product or a photo, best first, with their similarities.

    If a server is running, the command asks it over HTTP.
    """
    asked = _Asked(skus or [], photo, text)
    options = parameters_of(
        image=image,
        colour=colour,
        box=box,
        text_weight=text_weight,
        placement=placement,
        group_by=group_by,
        restrict=restrict,
        boost=boost,
        diversity=diversity,
        exclude=exclude,
        min_score=min_score,
        min_match=min_match,
        relax=relax,
        explain=explain,
    )
    with ExitStack() as stack:
        found = stack.enter_context(services(_writable(settings(), stack)))
        answers = asked.answers(found, limit, [*map(pair, where or []), *options])
        if sheet:
            save_sheet(found, answers, sheet)
    _print(answers, sheet, as_json=as_json)


@dataclass(frozen=True)
class _Asked:
    """What the products are compared with. Raises BadParameter where that is nothing, or both."""

    skus: Sequence[str]
    photo: str | None
    text: str  # alone, or beside the others

    def __post_init__(self) -> None:
        if not (self.skus or self.text or self.photo):
            raise typer.BadParameter("name a SKU, or give --photo or --text")
        if self.skus and self.photo:
            raise typer.BadParameter("give SKUs or a photo", param_hint="--photo")

    def answers(
        self, found: Services, limit: int | None, options: Sequence[tuple[str, str]]
    ) -> dict[str, dict[str, Any]]:
        """Return the answers by what was asked for: skus, a photo, or a text alone."""
        if not (self.skus or self.photo):
            return {self.text: ask_words(found, self.text, limit=limit, options=options)}
        options = [*options, *parameters_of(text=self.text)]
        if self.photo:
            return {self.photo: ask_photo(found, self.photo, limit=limit, options=options)}
        return {sku: ask(found, sku, limit=limit, options=options) for sku in self.skus}


def _print(answers: Mapping[str, dict[str, Any]], sheet: Path | None, *, as_json: bool) -> None:
    """Print each answer as a table; as JSON one answer alone, or several by what was asked."""
    if as_json:
        print_json(next(iter(answers.values())) if len(answers) == 1 else answers)
        return
    for name, answer in answers.items():
        show(name, answer)
    _warn_about_coverage(answers.values())
    if sheet:
        out.print(escape(f"Contact sheet: {sheet}"))


def _warn_about_coverage(answers: Iterable[dict[str, Any]]) -> None:
    from backend.search.coverage import COMMAND

    share = min(answer["meta"].get("coverage", 1) for answer in answers)
    if share < 1:
        out.print(
            f"The index holds {share:.0%} of the catalogue: `lookalike index` indexes what is "
            f"waiting, `{COMMAND}` refills an index that was lost."
        )


def _writable(found: Settings, stack: ExitStack) -> Settings:
    """Return settings with a copy of the embedded index, if its folder can only be read.

    The engine has to write its log beside the index. Where a server answers, it is asked instead.
    """
    from backend.vectors.edge.owner import Owner

    folder = found.data_dir
    is_writable = not folder.exists() or os.access(folder, os.W_OK, effective_ids=True)
    if is_writable or found.qdrant_url or Owner(folder).url:
        return found
    copy = Path(stack.enter_context(TemporaryDirectory(prefix="lookalike-")))
    if found.index_dir.exists():
        shutil.copytree(found.index_dir, copy / found.index_dir.name)
    elsewhere = {"database_url": found.database, "image_store": found.image_store_url}
    return found.model_copy(update={"data_dir": copy, **elsewhere})


def ask(
    found: Services, sku: str, *, limit: int | None, options: Sequence[tuple[str, str]] = ()
) -> dict[str, Any]:
    """Ask what looks like a product; `options` are further parameters of the query string."""
    path = f"/v1/products/{quote(sku, safe='')}/similar"
    return ApiClient(found).ask(path, [*_limit(limit), *options])


def ask_words(
    found: Services, text: str, *, limit: int | None, options: Sequence[tuple[str, str]] = ()
) -> dict[str, Any]:
    """Ask what looks as a text says; `options` as for `ask`."""
    parameters = [*_limit(limit), *options]
    return ApiClient(found).ask("/v1/similar", parameters, body={"text": text})


def ask_photo(
    found: Services, photo: str, *, limit: int | None, options: Sequence[tuple[str, str]] = ()
) -> dict[str, Any]:
    """Ask what looks like an image in a file or at an address; `options` as for `ask`."""
    parameters, client = [*_limit(limit), *options], ApiClient(found)
    if is_remote(photo):
        return client.ask("/v1/similar", parameters, body={"image_uri": photo})
    try:
        data = Path(photo).read_bytes()
    except OSError as error:
        reason = f"{photo} cannot be read: {error.strerror}"
        raise typer.BadParameter(reason, param_hint="--photo") from None
    return client.ask("/v1/similar", parameters, file=data)


def _limit(limit: int | None) -> list[tuple[str, str]]:
    return [] if limit is None else [("limit", str(limit))]


def show(sku: str, answer: dict[str, Any]) -> None:
    """Print one response as a table."""
    columns = ("sku", "article type", "colour", "gender", "name")
    is_moved = any(map(_moved, answer["items"]))
    added = ["added"] if is_moved else []
    table = Table("score", *added, *_parts(answer), *columns, title=escape(f"Like {sku}"))
    for item in answer["items"]:
        product = item["product"]
        parts = [f"{it['similarity']:.3f}" for it in item.get("explain", {}).get("parts", [])]
        names = ("article_type", "base_colour", "gender", "display_name")
        shown = [escape(str(product.get(name) or "-")) for name in names]
        moved = [_moved(item)] if is_moved else []
        table.add_row(f"{item['score']:.3f}", *moved, *parts, escape(item["sku"]), *shown)
    out.print(table)


def _moved(item: Mapping[str, Any]) -> str:
    """Say what rules and boosts have done to an item: why the scores are in another order."""
    boost, rule = item.get("boost"), item.get("pinned_by")
    words = [f"{boost:+.3f}"] if boost else []
    return " ".join([*words, f"pinned by rule {rule}"] if rule else words)


def _parts(answer: dict[str, Any]) -> list[str]:
    """Return the headings of the columns that explain the scores: part and weight."""
    for item in answer["items"]:
        if explained := item.get("explain"):
            return [f"{it['weight']:.2f} {it['name']}" for it in explained["parts"]]
    return []


def save_sheet(found: Services, answers: Mapping[str, dict[str, Any]], path: Path) -> None:
    """Save the responses as a contact sheet: queries on the left, neighbours on the right."""
    from backend.cli import sheets
    from backend.lab.contact_sheet import save

    save(sheets.draw(found, answers, title="Similar items"), path)
