"""`lookalike index`, `verify` and `optimize`: fill the index, check it, make it fast."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from rich.markup import escape
from rich.table import Table

from backend.cli.common import AsJson, err, out, print_json, services
from backend.cli.following import follow_job, run_job
from backend.cli.status import print_status

if TYPE_CHECKING:
    from backend.bootstrap import Services


def index(
    as_json: AsJson = False,
    renew: Annotated[
        bool,
        typer.Option(
            "--renew",
            help="First embed again the images whose colours this release reads differently.",
        ),
    ] = False,
) -> None:
    """Embed every image and write every point, until nothing is pending.

    If a server is running, the server does the work and this command shows the progress. It also
    waits for products that are retried later, and for the leases of a killed process, but not for
    images that are still to come. A complete index of at least 1,000 products is then adapted to
    the shop, unless LOOKALIKE_ADAPT is off. Exit code 0 when nothing else is pending, even if some
    products are in quarantine.
    """
    from backend.generations import active_or_none
    from backend.status import status as read_status
    from backend.vectors.server.addresses import warn_about_plain_key

    with services(is_long=True) as found:
        warn_about_plain_key(found.settings.qdrant_url, found.settings.qdrant_api_key)
        with found.db.read() as session:
            active = active_or_none(session)
        found.indexes.check(active)  # a wrong key is said before an image is opened
        if renew:
            _renew(found)
        run_job(found, "index", {}, what="Indexing")
        _adapt(found)
        now = read_status(found.db, found.indexes.look_at_shard)
    print_status(now, as_json=as_json)
    raise typer.Exit(0 if now["pending"] == now["awaited"] else 1)


def _adapt(found: Services) -> None:
    """Follow the adaptation that a complete index starts by itself, if it is time for one."""
    from backend import reindex
    from backend.cli.adapt import say_outcome

    requested = None
    if found.settings.adapt == "auto":
        requested = reindex.request_adaptation(found.db)
    job = requested or reindex.unfinished_adaptation(found.db)
    if job is None:
        return
    err.print("Trying to adapt the embedder to this catalogue (docs/adaptation.md).")
    found.notify()
    with suppress(typer.Exit):  # the index is complete without it; the reason was printed
        say_outcome(follow_job(found, job.id, what="Adapting").result or {})


def _renew(found: Services) -> None:
    """Request the images that are decoded differently now than when they were embedded."""
    from backend.images.decode import mark_changed
    from backend.images.decoder_pool import DecoderPool
    from backend.indexing.renewal import renew_changed

    pool = DecoderPool(found.settings.decoders, limits=found.limits, decode=mark_changed)
    with pool:
        count = renew_changed(found.db, found.image_opener.by(pool))
    found.notify()
    err.print(f"{count} products with images in other colours are embedded again.")


def verify(
    fix: Annotated[bool, typer.Option("--fix", help="Repair the differences.")] = False,
    full: Annotated[
        bool, typer.Option("--full", help="Compare every vector, not a sample of 1%.")
    ] = False,
    replicas: Annotated[
        bool, typer.Option("--replicas", help="Compare a Qdrant cluster's nodes instead.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Compare the index of every live generation with SQL, product by product.

    Claims and payloads are compared for all products, vectors for a sample. `--fix` writes
    again what is missing or differs, from stored vectors; it deletes what should not be there, and
    refills an index that was emptied. It does not retry quarantined products. Exit code 1 when
    there are differences and `--fix` is not given.
    """
    if replicas:
        if fix:
            raise typer.BadParameter(
                "--replicas only compares nodes; `verify --fix` compares with SQL"
            )
        _verify_replicas(full=full, as_json=as_json)
    arguments = {"fix": fix, "full": full}
    with services() as found:
        result = run_job(found, "verify", arguments, what="Verifying").result or {}
    if as_json:
        print_json(result)
    else:
        print_drift(result)
    raise typer.Exit(1 if result.get("drift") and not fix else 0)


def _verify_replicas(*, full: bool, as_json: bool) -> NoReturn:
    """Compare what each node answers; exit code 1 when they differ or a replica is inactive."""
    from backend import generations

    with services() as found:
        with found.db.read() as session:
            live = generations.live(session)
        reports = {one.id: found.indexes.compare_replicas(one, full=full) for one in live}
    if as_json:
        each = [{"generation": id_, **report.summary()} for id_, report in reports.items()]
        print_json({"generations": each})
    else:
        for id_, report in reports.items():
            _print_replicas(id_, report.summary())
    raise typer.Exit(0 if all(report.agrees for report in reports.values()) else 1)


def _print_replicas(generation: int, found: dict[str, Any]) -> None:
    kinds = "".join(f", {count:,} in the {kind}" for kind, count in found["kinds"].items())
    out.print(
        f"Generation {generation}: {found['vectors_compared']:,} vectors compared, "
        f"{found['different']:,} points differ between the nodes{kinds}"
    )
    table = Table("node", "points", box=None)
    for node, count in found["points"].items():
        table.add_row(escape(node), f"{count:,}")
    out.print(table)
    if found["examples"]:
        out.print(f"The first: {', '.join(map(str, found['examples']))}")
    for replica in found["inactive"]:
        out.print(escape(replica))


def print_drift(result: dict[str, Any]) -> None:
    """Print what verify found: each kind of drift that occurs, with the first few ids."""
    from backend.indexing.drift import KINDS

    for one in result["generations"]:
        out.print(
            f"Generation {one['generation']} ({one['state']}): {one['checked']:,} products, "
            f"{one['compared']:,} vectors compared, {one['drift']:,} differences{_waiting(one)}"
        )
        table = Table("kind", "products", "first", "what it means", box=None)
        for kind in KINDS.values():
            if one[kind.key]:
                first = escape(", ".join(map(str, one["examples"][kind.key][:3])))
                table.add_row(kind.key, f"{one[kind.key]:,}", first, kind.meaning)
        if table.rows:
            out.print(table)
    if not result["generations"]:
        out.print("There is no index generation yet, so there is nothing to compare.")
    if result["drift"]:
        out.print("Repaired." if result["fixed"] else "`lookalike verify --fix` repairs this.")
    if any(map(_waiting, result["generations"])):
        out.print("Run it again when `lookalike status` shows nothing pending.")


def _waiting(one: dict[str, Any]) -> str:
    """Say how many products were not compared; a worker of an earlier release does not tell."""
    count = one.get("waiting", 0)
    return f"; {count:,} products wait to be written and were not compared" if count else ""


def optimize(
    generation: Annotated[
        int | None, typer.Option(help="The generation's id; the active one by default.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Build an HNSW graph for the embedded index, which makes searches of many products fast.

    A separate process builds it; the server goes on answering queries and accepting writes. From
    LOOKALIKE_OPTIMIZE_POINTS products on, the server also does this by itself.
    """
    arguments = {} if generation is None else {"generation": generation}
    with services() as found:
        result = run_job(found, "optimize", arguments, what="Optimizing").result or {}
    if as_json:
        print_json(result)
        return
    table = Table(show_header=False, box=None)
    for name, value in result.items():
        table.add_row(name, f"{value:,}" if isinstance(value, int) else str(value))
    out.print(table)
