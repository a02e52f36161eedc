"""The errors of the domain. The API turns them into problem documents in `backend.api.problems`.

A class's docstring is its default message. Programs may rely on its `code`.
"""

from __future__ import annotations

from typing import Any


class LookalikeError(Exception):
    """Something went wrong."""

    code = "error"

    def __init__(self, message: str | None = None, **context: Any) -> None:
        self.message = message or (type(self).__doc__ or "").splitlines()[0]
        self.context = context
        super().__init__(self.message)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle with the context: decoders raise these in another process."""
        return _rebuild, (type(self), self.message, self.context)


def _rebuild(kind: type[LookalikeError], message: str, context: dict[str, Any]) -> LookalikeError:
    return kind(message, **context)


class ConfigurationError(LookalikeError):
    """The settings contradict each other or lack something."""

    code = "configuration"


# --- the catalogue ----------------------------------------------------


class UnknownProduct(LookalikeError):
    """There is no product with this sku."""

    code = "unknown-product"


class InvalidProduct(LookalikeError):
    """The product has a field that cannot be stored; `errors` lists field and reason."""

    code = "invalid-product"


class UnreadableCatalogue(LookalikeError):
    """The catalogue's file cannot be read at all (missing, not a CSV, no sku column)."""

    code = "unreadable-catalogue"


# --- feeds ------------------------------------------------------------


class UnknownFeed(LookalikeError):
    """There is no feed of this name."""

    code = "unknown-feed"


class FeedExists(LookalikeError):
    """There is a feed of this name already."""

    code = "feed-exists"


class InvalidFeed(LookalikeError):
    """The feed cannot be read as asked; `errors` lists field and reason."""

    code = "invalid-feed"


class ForbiddenFeed(LookalikeError):
    """The feed lies on a host that is not allowed, or the host refuses it."""

    code = "forbidden-feed"


class FeedUnavailable(LookalikeError):
    """The feed cannot be fetched now; trying again may help.

    `context` may hold `retry_after`, the seconds that the host asks to wait.
    """

    code = "feed-unavailable"


# --- placements, rules and experiments --------------------------------


class UnknownPlacement(LookalikeError):
    """There is no placement of this name."""

    code = "unknown-placement"


class InvalidPlacement(LookalikeError):
    """The placement cannot be stored."""

    code = "invalid-placement"


class UnknownRule(LookalikeError):
    """There is no rule with this id."""

    code = "unknown-rule"


class InvalidRule(LookalikeError):
    """The rule cannot be stored."""

    code = "invalid-rule"


class UnknownExperiment(LookalikeError):
    """There is no experiment of this name."""

    code = "unknown-experiment"


class InvalidExperiment(LookalikeError):
    """The experiment cannot be stored."""

    code = "invalid-experiment"


# --- queries for similar products -------------------------------------


class InvalidFilter(LookalikeError):
    """The filter names an unknown field or holds a value of the wrong type."""

    code = "invalid-filter"


class FilterTooLarge(InvalidFilter):
    """The filter has more values, clauses or bytes than allowed; the message names the limit."""

    code = "filter-too-large"


class FilterTooCostly(InvalidFilter):
    """The filter would keep the embedded index busy for too long."""

    code = "filter-too-costly"


class NoColour(LookalikeError):
    """The vectors of this index have no block for colour, so `colour` cannot be used."""

    code = "no-colour"


class WordsUnavailable(LookalikeError):
    """Queries in words are not possible here; the message says what to install or to run."""

    code = "words-unavailable"


class InvalidVector(LookalikeError):
    """A vector has the wrong size, is not finite, or is all zeros."""

    code = "invalid-vector"


class NotSearchable(LookalikeError):
    """The product has no vector yet; `state` and `reason` say why."""

    code = "not-searchable"


# --- shoppers and lists -----------------------------------------------


class InvalidEvent(LookalikeError):
    """The event cannot be stored."""

    code = "invalid-event"


class UnknownRecommendation(LookalikeError):
    """No list with this id was made in the last day, or it is not kept."""

    code = "unknown-recommendation"


class NoExample(LookalikeError):
    """None of the examples is a product with a vector."""

    code = "no-example"


class CursorExpired(LookalikeError):
    """The list of this cursor cannot go on: ask for its first page again."""

    code = "cursor-expired"


# --- images: permanent unless the class says otherwise ----------------


class ImageError(LookalikeError):
    """The image cannot be used."""

    code = "bad-image"


class NoImage(ImageError):
    """The product has no image."""

    code = "no-image"


class MissingImage(NoImage):
    """The image is not where its address says, or not yet."""


class NotAnImage(ImageError):
    """The bytes are not an image in a supported format."""

    code = "not-an-image"


class ImageTooLarge(ImageError):
    """The image has more bytes, pixels or a longer side than allowed."""

    code = "image-too-large"


class ImageTooSmall(ImageError):
    """The image is too small or too narrow to be embedded."""

    code = "image-too-small"


class InvalidBox(ImageError):
    """The box is no region of the image, or one that is too small."""

    code = "invalid-box"


class CorruptImage(ImageError):
    """The image is truncated or damaged."""

    code = "corrupt-image"


class DecoderDied(ImageError):
    """The image killed its decoder or kept it busy beyond the time limit."""

    code = "decoder-died"


class ForbiddenImage(ImageError):
    """The image lies outside the catalogue's folder, or on a host that is not allowed."""

    code = "forbidden-image"


class ImageUnavailable(ImageError):
    """The image cannot be fetched now; trying again may help (the only transient image error)."""

    code = "image-unavailable"


class DecoderBusy(LookalikeError):
    """No decoder is free to decode the image; trying again may help."""

    code = "decoder-busy"


class DecoderUnavailable(LookalikeError):
    """No process can be started to decode images. The host is at fault, not the image."""

    code = "decoder-unavailable"


class HostUnavailable(ImageUnavailable):
    """The host or store of the image answers for no image at all; see `context["wait"]`."""


# --- embedders --------------------------------------------------------


class UnknownEmbedder(LookalikeError):
    """There is no embedder of this name."""

    code = "unknown-embedder"


class WeightsUnavailable(LookalikeError):
    """The embedder's weights are not on disk and cannot be downloaded."""

    code = "weights-unavailable"


class EmbedderFailed(LookalikeError):
    """The embedder fails whatever the image: its device, or this process, is broken."""

    code = "embedder-failed"


class ModelMismatch(LookalikeError):
    """The query encoder is not the one that the active generation was built with."""

    code = "model-mismatch"


class EmbedderBusy(LookalikeError):
    """No worker embeds images at the moment; trying again may help."""

    code = "embedder-busy"


# --- generations and re-indexes ---------------------------------------


class NoGeneration(LookalikeError):
    """No index generation is active yet: `lookalike index`, a server or worker makes the first."""

    code = "no-generation"


class UnknownGeneration(LookalikeError):
    """There is no generation with this id."""

    code = "unknown-generation"


class InvalidReindex(LookalikeError):
    """The re-index cannot be done as asked."""

    code = "invalid-reindex"


class ReindexRunning(LookalikeError):
    """A re-index is running already."""

    code = "reindex-running"


class WrongState(LookalikeError):
    """The generation's state does not allow this."""

    code = "wrong-state"


class PromotionRefused(LookalikeError):
    """The generation is not good enough to be promoted; the message says which number failed."""

    code = "promotion-refused"


# --- the index --------------------------------------------------------


class IndexLocked(LookalikeError):
    """Another process has the embedded index open; only one can own it."""

    code = "index-locked"


class IndexUnavailable(LookalikeError):
    """The vector store does not answer; trying again may help."""

    code = "index-unavailable"


class IndexDegraded(IndexUnavailable):
    """The vector store lacks replicas for this; the rest goes on, and trying again may help."""

    code = "index-degraded"


class IndexGone(IndexUnavailable):
    """The collection was dropped; the active generation has to be read again."""

    code = "index-gone"


class IndexFull(IndexUnavailable):
    """The disk of the embedded index has no room; what waits is written when there is some."""


class IndexDamaged(IndexUnavailable):
    """The files of the embedded index are damaged; `lookalike verify --fix` fills a new one."""


class IndexRefused(ConfigurationError):
    """The vector store refuses what it is asked to do; trying the same again does not help."""

    code = "index-refused"


class IndexLimited(IndexUnavailable):
    """A limit of the Qdrant collection's strict mode is in the way; `setting` names it."""

    code = "index-limited"


# --- the database -----------------------------------------------------


class DatabaseUnavailable(LookalikeError):
    """The database does not answer; trying again may help."""

    code = "database-unavailable"


class DatabaseBusy(LookalikeError):
    """The database has no connection or memory left; trying again may help."""

    code = "database-busy"


class DatabaseFileFailed(DatabaseUnavailable):
    """A file of the database cannot be used; a disk that fails or a limit may be the reason."""


class DatabaseUnwritable(DatabaseFileFailed):
    """The file of the database cannot grow: a failing disk, a quota or a limit; reading goes on."""


class DatabaseTooSlow(DatabaseBusy):
    """The database ended what took longer than one of its time limits; trying again may help."""


class DatabaseForbidden(ConfigurationError):
    """The user of DATABASE_URL lacks a privilege in the database."""

    code = "database-unavailable"


class DatabaseLocked(LookalikeError):
    """Another process holds the database's lock; trying again may help."""

    code = "database-locked"


class DatabaseFull(LookalikeError):
    """The disk of the database is full; nothing can be written until an operator makes room."""

    code = "database-full"


class DatabaseReadOnly(LookalikeError):
    """The database cannot be written to; reading goes on."""

    code = "database-read-only"


class DatabaseNotMigrated(LookalikeError):
    """The database lacks a migration; `lookalike migrate` makes it."""

    code = "database-not-migrated"


class DatabaseDamaged(LookalikeError):
    """The database is damaged; `lookalike restore` takes a backup into use."""

    code = "database-damaged"


# --- values that the database cannot store or compare -----------------


class TooManyParameters(LookalikeError):
    """The request makes a query with more parts than the database takes."""

    code = "too-many-parameters"


class NulByte(LookalikeError):
    """A text holds a NUL byte, which the database cannot store."""

    code = "nul-byte"


class BadEncoding(LookalikeError):
    """A text is not Unicode, so the database cannot store or compare it."""

    code = "bad-encoding"


class NumberTooLarge(LookalikeError):
    """A number is larger than the database can store or compare."""

    code = "number-too-large"


# --- jobs and the host ------------------------------------------------


class UnknownJob(LookalikeError):
    """There is no job with this id."""

    code = "unknown-job"


class DiskFull(LookalikeError):
    """A disk is full; nothing can be written until an operator makes room."""

    code = "disk-full"


# --- backups ----------------------------------------------------------


class UnusableBackup(LookalikeError):
    """The backup is damaged, incomplete, or of a newer version of the program."""

    code = "unusable-backup"


class WouldOverwrite(LookalikeError):
    """Something that exists already would be overwritten."""

    code = "would-overwrite"


# --- evaluation -------------------------------------------------------


class NotTrainable(LookalikeError):
    """There is too little to learn from."""

    code = "not-trainable"


class NotEvaluable(LookalikeError):
    """The evaluation has nothing to compare: no such label or category, or too few products."""

    code = "not-evaluable"


# --- repeated requests ------------------------------------------------


class IdempotencyKeyReused(LookalikeError):
    """The `Idempotency-Key` was sent before, with another request."""

    code = "idempotency-key-reused"


class IdempotencyKeyInUse(LookalikeError):
    """A request with this `Idempotency-Key` is being worked on."""

    code = "idempotency-key-in-use"


# --- authentication ---------------------------------------------------


class MissingKey(LookalikeError):
    """An API key is needed."""

    code = "missing-key"


class InvalidKey(LookalikeError):
    """The API key is unknown, revoked or expired."""

    code = "invalid-key"


class InsufficientScope(LookalikeError):
    """The scope of the API key does not allow this."""

    code = "insufficient-scope"


class InvalidKeyRequest(LookalikeError):
    """The API key cannot be made or revoked as asked."""

    code = "invalid-key-request"
