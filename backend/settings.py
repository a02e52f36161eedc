"""Every setting: `DATABASE_URL BROKER_URL QDRANT_URL QDRANT_API_KEY`, the others `LOOKALIKE_…`.

The first three decide how the code runs. If none is set, everything is embedded: SQLite, a worker
thread, an in-process shard. There is no mode flag.
"""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path
from typing import Literal, Self
from urllib.parse import parse_qs, urlsplit

from pydantic import AliasChoices, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from backend import variables
from backend.errors import ConfigurationError
from backend.setting_types import DatabaseUrl, Device, MaybeRate, Names, Origins, QdrantUrl, Rate
from backend.variables import PREFIX


class Settings(BaseSettings):
    """The settings of one process, read from the environment and an `.env` file beside it."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_file=".env",
        extra="ignore",
        populate_by_name=True,
        frozen=True,
    )

    # --- what runs where ---
    database_url: DatabaseUrl = Field(
        None,
        validation_alias="DATABASE_URL",
        repr=False,
        description="SQLAlchemy URL; absent: an SQLite file",
    )
    broker_url: str | None = Field(
        None,
        validation_alias="BROKER_URL",
        repr=False,
        description="Redis for Celery; absent: a worker thread",
    )
    qdrant_url: QdrantUrl = Field(
        None, validation_alias="QDRANT_URL", description="Qdrant server; absent: an embedded shard"
    )
    qdrant_api_key: str | None = Field(
        None,
        validation_alias="QDRANT_API_KEY",
        repr=False,
        description="the API key of the Qdrant server",
    )
    data_dir: Path = Field(Path("data"), description="the folder of all embedded state")
    image_store: str | None = Field(
        None, description="fsspec URL of the image store; absent: inside the data folder"
    )
    namespace: str | None = Field(
        None,
        pattern=r"^[a-z][a-z0-9_]{0,30}$",
        description="name of this installation where several share their servers; absent: none",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="the lowest level that is logged"
    )

    # --- embedding ---
    embedder: str = Field(
        "lookalike-blocks",
        description="name, with ?option=value&…; absent: an index keeps its own; new ones get this",
    )
    adapt: Literal["auto", "off"] = Field(
        "auto",
        description="auto: the embedder is adapted to an indexed catalogue; off: only on request",
    )
    device: Device = Field("auto", description="auto, cpu, cuda, cuda:1, mps")
    precision: Literal["auto", "bf16", "fp32"] = Field(
        "auto", description="auto: bf16 where the processor computes it faster, else fp32"
    )
    batch_size: int = Field(0, ge=0, le=4096, description="images per forward pass; 0: by device")
    engine: Literal["auto", "torch"] = Field(
        "auto", description="auto: OpenVINO where it is installed and a CPU computes, else torch"
    )
    networks_dir: Path | None = Field(
        None, description="the folder of exported networks; absent: in the user's cache"
    )
    torch_threads: int | None = Field(
        None,
        ge=0,
        le=256,
        description="threads of a forward pass, in any engine; 0: one per processor; absent: the "
        "same, and 1 with BROKER_URL",
    )
    decoders: int = Field(1, ge=1, le=64, description="decoder processes")
    decode_seconds: float = Field(10, gt=0, description="time limit of decoding one image")

    # --- the database ---
    db_pool_size: int = Field(5, ge=1, description="connections that a process keeps open")
    db_pool_overflow: int = Field(10, ge=0, description="more connections, at a peak")
    db_connect_seconds: int = Field(10, ge=2, description="time limit of one new connection")

    # --- the queue ---
    poll_seconds: float = Field(1, gt=0, description="how often an idle worker looks for due rows")
    lease_seconds: float = Field(120, gt=0, description="how long a claim is valid")
    max_failures: int = Field(3, ge=1, description="attempts, or crashes, before quarantine")
    retry_seconds: float = Field(5, ge=0, description="first delay; each failure doubles it")
    reconcile_seconds: float = Field(
        60, gt=0, description="how often the next few products are compared with the index"
    )

    # --- Celery workers (BROKER_URL) ---
    message_seconds: float = Field(
        30,
        gt=0,
        validation_alias=AliasChoices("LOOKALIKE_MESSAGE_SECONDS", "LOOKALIKE_KNOCK_SECONDS"),
        description="how long a wake-up message is valid",
    )
    hang_seconds: float = Field(
        120,
        gt=0,
        description="a worker without a heartbeat for longer is killed and restarted",
    )
    stop_seconds: float = Field(
        60, gt=0, description="how long a worker may go on with its batch after SIGTERM"
    )
    interactive_seconds: float = Field(
        2, gt=0, description="how long a query by image waits for a worker"
    )
    report_seconds: float = Field(60, gt=0, description="how often progress is counted and logged")
    task_events: bool = Field(False, description="Celery's events and remote control, for flower")

    # --- images ---
    max_image_bytes: int = Field(20_000_000, gt=0, description="size limit of one image file")
    max_image_pixels: int = Field(50_000_000, gt=0, description="most pixels that are decoded")
    max_image_side: int = Field(20_000, gt=0, description="longest side, pixels")
    min_image_side: int = Field(8, gt=0, description="shortest side, pixels")
    image_hosts: Names = Field(
        (), description="hosts that images may be fetched from, a,b or JSON; empty: none"
    )
    fetch_seconds: float = Field(10, gt=0, description="time limit of one remote image")
    image_wait_hours: float = Field(
        24, ge=0, description="how long an image may be missing before its product's quarantine"
    )
    image_grace_hours: float = Field(
        168, ge=1, description="how long an image is kept that no product names any more"
    )

    # --- feeds ---
    feed_hosts: Names = Field(
        (), description="hosts of feeds, a,b or JSON; those of images count too"
    )
    max_feed_bytes: int = Field(
        2_000_000_000, gt=0, description="size limit of one feed, also when it is unpacked"
    )
    feed_seconds: float = Field(1800, gt=0, description="time limit of fetching one feed")

    # --- shoppers ---
    event_days: int = Field(
        365, ge=1, le=3650, description="how many days the events of shoppers are kept"
    )
    answers_kept: int = Field(
        100_000,
        ge=0,
        le=10_000_000,
        description="answers with recommendations that are kept for a day, to be shown again and "
        "to know why a clicked product was listed; 0: none",
    )

    # --- the index ---
    facets: Names = Field(
        (), description="attributes that get a payload index and a facet count, a,b or JSON"
    )
    check_attributes: bool = Field(
        False,
        description="filters by an attribute that no product has are refused, unless a request has "
        "check_attributes=false",
    )
    optimize_points: int = Field(
        20_000,
        ge=1,
        description="an embedded index of at least so many products gets an HNSW graph",
    )
    optimize_dirty: float = Field(
        0.1,
        gt=0,
        le=1,
        description="it gets a new graph when more than this share of products was written since",
    )
    optimize_threads: int = Field(
        1, ge=0, le=256, description="threads that build a graph; 0: one per processor"
    )
    recall_sample: float = Field(
        0.01, ge=0, le=1, description="share of searches that are compared with exact search"
    )
    ready_coverage: float = Field(
        0.5,
        ge=0,
        le=1,
        description="least share of the products with a vector that a ready index holds; 0: any",
    )

    # --- re-indexing ---
    standby_hours: float = Field(
        24, ge=0, description="how long the previous index is kept up to date, for a rollback"
    )
    drop_seconds: float = Field(
        300, ge=0, description="how long a retired index is kept for requests that still use it"
    )
    promote_samples: int = Field(
        300, ge=10, le=10_000, description="products queried by the checks"
    )
    promote_wait_seconds: float = Field(
        60, gt=0, description="a generation is not promoted while a row has waited longer"
    )
    promote_recall: float = Field(0.95, ge=0, le=1, description="lowest recall@10 allowed")
    promote_map_drop: float = Field(0.01, ge=0, le=1, description="largest drop of mAP@5 allowed")
    promote_overlap: float = Field(
        0.95, ge=0, le=1, description="lowest overlap@10 with an active index of the same embedder"
    )
    promote_coverage: float = Field(
        0.99,
        ge=0,
        le=1,
        description="lowest share of the active index's products allowed",
    )

    # --- the Qdrant server (QDRANT_URL) ---
    qdrant_grpc_port: int = Field(6334, ge=1, le=65535, description="the server's gRPC port")
    qdrant_on_disk: bool = Field(False, description="keep vectors and payload on disk")
    qdrant_quantization: Literal["int8"] | None = Field(
        None,
        description="int8: a quarter of the memory; results are rescored with full vectors",
    )
    qdrant_shards: int | None = Field(None, ge=1, description="absent: the server's default")
    qdrant_replicas: int | None = Field(None, ge=1, description="absent: the server's default")
    qdrant_alias: str = Field(
        "lookalike", min_length=1, description="alias of the active collection, for other programs"
    )

    # --- serving ---
    host: str = Field("127.0.0.1", description="the address that `serve` listens on")
    port: int = Field(8000, ge=0, le=65535, description="the port of `serve`")
    threads: int = Field(8, ge=1, le=256, description="request threads per API process")
    api_processes: int = Field(
        1,
        ge=1,
        le=64,
        description="processes that answer; one more works and owns an embedded index",
    )
    max_requests: int = Field(
        0, ge=0, description="requests after which an API process is replaced; 0: never"
    )
    max_batch: int = Field(1000, ge=1, description="products in one POST /v1/products:batch")
    max_upload_bytes: int = Field(
        200_000_000, ge=1000, le=2_000_000_000, description="size of one POST /v1/products:import"
    )
    idempotency_hours: int = Field(
        24, ge=1, le=720, description="how long the answer to an Idempotency-Key is kept"
    )
    manual_dir: Path = Field(
        Path("build/manual"), description="the folder of the built manual, shown at /manual"
    )
    metrics_host: str = Field("127.0.0.1", description="address of the ports for /metrics")
    metrics_port: int | None = Field(
        None, ge=1, le=65535, description="a port of its own for /metrics, without keys"
    )
    worker_metrics_port: int | None = Field(
        None, ge=1, le=65535, description="the same port for a worker with another data folder"
    )
    proxies: int = Field(
        0, ge=0, le=10, description="reverse proxies in front, whose X-Forwarded-… is trusted"
    )
    require_keys: bool | None = Field(
        None, description="require API keys; absent: if other hosts can reach the server"
    )
    cors_origins: Origins = Field(
        (), description="origins whose pages may call the API from a browser, a,b or JSON"
    )
    web: bool = Field(
        True, description="whether the server has web pages, such as the gallery at /"
    )
    key_attempts: Rate = Field("20/minute", description="wrong keys allowed per address")
    rate_limit: MaybeRate = Field(
        None, description="requests per key (or address), such as 50/second;1000/minute"
    )
    rate_limit_without_redis: Literal["local", "open", "closed"] = Field(
        "local",
        description="while Redis does not answer: each process counts (local), no request is "
        "limited (open), or all are refused (closed)",
    )
    ready_without_redis: bool = Field(
        False,
        description="whether /readyz is 200 while Redis is away, since all but shoppers' images "
        "goes on; for a load balancer in front of several API processes",
    )

    @model_validator(mode="after")
    def _refuse_impossible_combinations(self) -> Self:
        """Refuse combinations of settings that cannot work, and say why."""
        if self.broker_url:
            self._check_celery()
        if self.max_requests and self.api_processes == 1:
            self._check_replacing()
        if self.qdrant_api_key and not self.qdrant_url:
            raise ValueError("QDRANT_API_KEY is set without QDRANT_URL")
        return self

    def _check_celery(self) -> None:
        if not self.database_url:
            raise ValueError(
                "BROKER_URL is set without DATABASE_URL: Celery workers share their queue "
                "through PostgreSQL, not through a SQLite file"
            )
        if self.database_url.startswith("sqlite"):
            raise ValueError("Celery (BROKER_URL) needs PostgreSQL; DATABASE_URL names SQLite")
        if not str(self.broker_url).startswith(("redis://", "rediss://")):
            raise ValueError("BROKER_URL must name a Redis server: redis://… or rediss://…")
        proof = parse_qs(urlsplit(str(self.broker_url)).query).get("ssl_cert_reqs", ["required"])
        if proof[-1] not in ("required", "optional", "none"):
            raise ValueError("ssl_cert_reqs in BROKER_URL must be required, optional or none")
        if not self.image_store:
            raise ValueError(
                "BROKER_URL is set without LOOKALIKE_IMAGE_STORE: API and workers have to reach "
                "the same images, on a shared volume (file:///…) or in a bucket (s3://…)"
            )
        if self.hang_seconds <= 2 * self.decode_seconds:
            raise ValueError("LOOKALIKE_HANG_SECONDS has to exceed twice LOOKALIKE_DECODE_SECONDS")

    def _check_replacing(self) -> None:
        if not (self.qdrant_url and self.broker_url):
            raise ValueError(
                "LOOKALIKE_MAX_REQUESTS needs QDRANT_URL and BROKER_URL, or "
                "LOOKALIKE_API_PROCESSES above 1: otherwise the one API process also owns the "
                "index or indexes the products"
            )

    @property
    def separates_work(self) -> bool:
        """Whether `serve` runs a process that works, and owns an embedded index, beside the API."""
        return self.api_processes > 1 and not (self.qdrant_url and self.broker_url)

    @property
    def named_embedder(self) -> str | None:
        """The embedder that LOOKALIKE_EMBEDDER names; None where it is not set."""
        return self.embedder if "embedder" in self.model_fields_set else None

    @property
    def database(self) -> str:
        """The database's URL, the embedded default included; psycopg 3 for PostgreSQL."""
        if not self.database_url:
            return f"sqlite:///{self.data_dir.absolute() / 'lookalike.sqlite'}"
        url = self.database_url
        for plain in ("postgres://", "postgresql://"):
            if url.startswith(plain):
                url = "postgresql+psycopg://" + url.removeprefix(plain)
        if self.namespace and url.startswith("postgresql"):
            return _in_schema(url, self.namespace)
        return url

    @property
    def pass_threads(self) -> int:
        """The threads of a forward pass; 0: one per processor. Celery has a worker for each."""
        if self.torch_threads is not None:
            return self.torch_threads
        return 1 if self.broker_url else 0

    @property
    def exposed(self) -> bool:
        """Whether other hosts can reach the server."""
        return self.proxies > 0 or not _is_loopback(self.host)

    @property
    def locked(self) -> bool:
        """Whether a request needs an API key."""
        return self.exposed if self.require_keys is None else self.require_keys

    @property
    def image_store_url(self) -> str:
        """The image store's fsspec URL, the embedded default included."""
        if not self.image_store:
            return f"file://{self.data_dir.absolute() / 'images'}"
        if not self.namespace:
            return self.image_store
        return f"{self.image_store.rstrip('/')}/{self.namespace}"

    @property
    def redis_prefix(self) -> str:
        """What the names of all keys in Redis begin with."""
        return f"{self.namespace}:" if self.namespace else ""

    @property
    def qdrant_prefix(self) -> str:
        """What the names of all collections and aliases on a Qdrant server begin with."""
        return f"{self.namespace}-" if self.namespace else ""

    def evaluation_file(self, kind: str) -> Path:
        """Return where the last evaluation is kept for the operator's page, as `json` or `html`."""
        return self.data_dir.absolute() / "reports" / f"evaluation.{kind}"

    @property
    def metrics_dir(self) -> Path:
        """The folder in which the processes of this host add up what they count."""
        return self.data_dir.absolute() / "metrics"

    @property
    def hosts_of_feeds(self) -> tuple[str, ...]:
        """The hosts that feeds may be fetched from."""
        return tuple(dict.fromkeys(self.feed_hosts + self.image_hosts))

    @property
    def index_dir(self) -> Path:
        """The folder of the embedded shards."""
        return self.data_dir.absolute() / "index"


def _in_schema(url: str, name: str) -> str:
    """Have connections to PostgreSQL use the tables of one schema."""
    from sqlalchemy import make_url  # noqa: PLC0415

    parsed = make_url(url)
    options = [*_texts(parsed.query.get("options")), f"-csearch_path={name}"]
    return parsed.update_query_dict({"options": " ".join(options)}).render_as_string(
        hide_password=False
    )


def _texts(value: str | tuple[str, ...] | None) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else value or ()


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:  # a name, which may resolve to anything
        return host == "localhost"


def read_settings(**overrides: object) -> Settings:
    """Read the settings; `overrides` win over the environment.

    Raises ConfigurationError that names each wrong variable and says what is allowed.
    """
    try:
        return Settings(**overrides)  # type: ignore[arg-type]
    except ValidationError as error:
        wrong = [variables.describe(Settings, one) for one in error.errors()]
        raise ConfigurationError("; ".join(wrong)) from None
