"""`lookalike similar SKU`: similar items in the terminal, as JSON, or as an image."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
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
    if not (skus or text or photo):
        raise typer.BadParameter("name a SKU, or give --photo or --text")
    if skus and photo:
        raise typer.BadParameter("give SKUs or a photo", param_hint="--photo")
    with ExitStack() as stack:
        found = stack.enter_context(services(_writable(settings(), stack)))
        shaping = parameters_of(
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
        compared = parameters_of(image=image, colour=colour, box=box, text_weight=text_weight)
        if text and (skus or photo):
            compared.append(("text", text))
        options = [*map(pair, where or []), *compared, *shaping]
        answers = _ask_each(found, skus or [], photo, text, limit=limit, options=options)
        if sheet:
            save_sheet(found, answers, sheet)
    if as_json:
        print_json(next(iter(answers.values())) if len(answers) == 1 else answers)
        return
    for sku, answer in answers.items():
        show(sku, answer)
    _warn_about_coverage(answers.values())
    if sheet:
        out.print(escape(f"Contact sheet: {sheet}"))


def _ask_each(
    found: Services,
    skus: Sequence[str],
    photo: str | None,
    text: str,
    *,
    limit: int | None,
    options: Sequence[tuple[str, str]],
) -> dict[str, dict[str, Any]]:
    """Return the answers by what was asked for: skus, a photo, or a text alone."""
    answers = {sku: ask(found, sku, limit=limit, options=options) for sku in skus}
    if photo:
        answers[photo] = ask_photo(found, photo, limit=limit, options=options)
    elif not skus:
        answers[text] = ask_words(found, text, limit=limit, options=options)
    return answers


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
