"""Feeds in JSON, and the bodies that add or change one."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, Field
from typing_extensions import TypeAliasType

from backend.api.schemas.document import Document, RequestBody
from backend.catalogue.pruning import DEFAULT_LIMIT
from backend.catalogue.texts import storable
from backend.feeds.options import DEFAULT_SECONDS, FORMATS, MOST_SECONDS, NAME, FeedOptions

FeedOutcome = TypeAliasType(
    "FeedOutcome",
    Literal[
        "running",
        "imported",
        "unchanged",
        "prune-refused",
        "ended-early",
        "failed",
        "interrupted",
    ],
)


class FeedRunDocument(Document):
    """One run of a feed, with its outcome."""

    outcome: FeedOutcome
    reason: str | None = Field(description="why it failed, ended early, or removed nothing")
    job: int | None
    started_at: datetime
    finished_at: datetime | None
    seconds: float | None
    bytes: int | None = Field(description="of the file, unpacked")
    read_as: str | None = Field(description="the platform and the form that were recognised")
    counts: dict[str, int] | None = Field(
        description="added, changed, unchanged, removed, rejected; null if nothing was imported"
    )
    warnings_by_kind: dict[str, Any] = Field(description="count and first warnings of each kind")
    rejects: list[dict[str, Any]] = Field(description="the first rows that gave no product")


class FeedDocument(Document):
    """A feed that is imported by itself."""

    name: str
    location: str = Field(
        description="an address without the values of its query, or a path on the server"
    )
    every_seconds: int = Field(description="0: only on request")
    options: dict[str, Any]
    paused: bool
    due_at: datetime | None = Field(description="null: paused, or only on request")
    failures: int = Field(description="runs since the last good one; each delays the next more")
    job: int | None = Field(description="the job of the run that is under way or requested")
    last_run: FeedRunDocument | None


class FeedDetail(FeedDocument):
    """A feed with its history."""

    runs: list[FeedRunDocument] = Field(description="the newest first")


class FeedPage(Document):
    """Feeds, in the order in which they were added."""

    items: list[FeedDocument]
    next_cursor: str | None


# --- bodies: `backend.feeds.feeds` refuses wrong values, also those of a command ------------------


def _is_web_address(text: str) -> str:
    if not text.lower().startswith(("https://", "http://")):
        raise ValueError(
            "must be an https:// or http:// address; only the command line may name a file of the "
            "server"
        )
    return storable(text)


_Text: TypeAlias = Annotated[str, AfterValidator(storable)]
_Url: TypeAlias = Annotated[
    str, AfterValidator(_is_web_address), Field(json_schema_extra={"format": "uri"})
]
_Every: TypeAlias = Annotated[int, Field(json_schema_extra={"minimum": 0, "maximum": MOST_SECONDS})]


class FeedOptionsBody(RequestBody):
    """How the feed is read; what is absent is recognised. The same as the options of `import`."""

    format: Annotated[_Text, Field(json_schema_extra={"enum": [*FORMATS]})] | None = None
    map: dict[_Text, _Text] = Field({}, description="our field: the shop's column")
    image: _Text | None = Field(None, description="template of the path of an image")
    delimiter: _Text | None = None
    encoding: Annotated[_Text, Field(json_schema_extra={"minLength": 1})] | None = None
    decimal: Annotated[_Text, Field(json_schema_extra={"enum": [".", ","]})] | None = None
    numeric: list[_Text] = Field([], description="columns of attributes that are numbers")
    prune: bool = Field(False, description="remove products that the feed does not hold")
    prune_at_most: _Text = Field(
        DEFAULT_LIMIT.text, description="20% or 500: if more would be removed, none is"
    )

    def options(self) -> FeedOptions:
        """Return the options; their values are not checked yet."""
        return FeedOptions(**self.model_dump())


class FeedBody(RequestBody):
    """A feed to be added."""

    url: _Url
    name: Annotated[_Text, Field(json_schema_extra={"pattern": f"^{NAME.pattern}$"})] | None = (
        Field(None, description="absent: after the host")
    )
    every_seconds: _Every = Field(DEFAULT_SECONDS, description="0: only on request")
    options: FeedOptionsBody | None = None


class FeedChange(RequestBody):
    """What is to be changed of a feed; `options` are replaced as a whole."""

    url: _Url | None = None
    every_seconds: _Every | None = Field(None, description="0: only on request")
    paused: bool | None = None
    options: FeedOptionsBody | None = None


class FeedRunBody(RequestBody):
    """Whether to import a feed that has not changed."""

    force: bool = False
