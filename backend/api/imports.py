"""`/v1/products:import`: many products as lines of JSON, stored by a job."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import IO, Final

from flask import Flask, g, request
from sqlalchemy.orm import Session
from werkzeug.exceptions import RequestEntityTooLarge

from backend import jobs
from backend.access.scope import Scope
from backend.api import openapi, parameters
from backend.api.context import below_root, request_notes, services, this_request
from backend.api.jobs import document
from backend.api.problems import RequestError, invalid_request
from backend.api.schemas import Json
from backend.api.schemas.body import check_coding
from backend.api.schemas.operation import JobDocument
from backend.api.schemas.problem import ProblemFault
from backend.api.schemas.query import QueryReader, read_id
from backend.api.scopes import requires_scope
from backend.database.models import Job
from backend.errors import UnknownJob
from backend.jobs import inputs

PATH: Final = "/v1/products:import"
MEDIA_TYPE: Final = "application/x-ndjson"
OCTETS: Final = "application/octet-stream"
"""For generated clients, some of which know no other type for lines."""

_ABOUT: Final = "a line of JSON for each product, as `ProductBody`"
LINES: Final[Json] = {
    MEDIA_TYPE: {
        "schema": {"type": "string", "description": _ABOUT},
        "example": '{"sku": "0001", "price": 19.9}\n{"sku": "0002", "in_stock": false}\n',
    },
    OCTETS: {"schema": {"type": "string", "format": "binary", "description": _ABOUT}},
}

api = openapi.blueprint("imports", tag="products")


@dataclass
class Upload:
    """A body that was read to the disk: its packed parts, one after the other."""

    file: IO[bytes]
    sizes: list[int]
    length: int  # bytes, before they were packed
    lines: int
    digest: str

    def parts(self) -> Iterator[bytes]:
        """Yield the packed parts."""
        self.file.seek(0)
        for size in self.sizes:
            yield self.file.read(size)


@api.post(
    "/products:import",
    operation_id="importProducts",
    description="Each line is an item as `POST /v1/products:batch` takes it, stored as by a PUT. "
    "The body is kept, and a job stores its products: its result has counts, and the number and "
    "the reason of each line that was rejected.",
    openapi_extensions=openapi.inputs(content=LINES),
    responses={202: JobDocument, **openapi.refusals(400, 413, 415)},
)
@requires_scope(Scope.INGEST)
def import_products() -> tuple[Json, HTTPStatus, dict[str, str]]:
    """Store very many products, as lines of JSON."""
    QueryReader.of_request().finish()
    upload: Upload = g.upload
    if not upload.lines:
        fault = ProblemFault(code="invalid-value", detail="holds no line", pointer="")
        raise invalid_request([fault])

    def request_job(session: Session) -> Job:
        job = jobs.add(session, jobs.IMPORT)
        job.arguments = {"input": job.id, "lines": upload.lines, "bytes": upload.length}
        inputs.store(session, job, upload.parts())
        return job

    job = services().db.write(request_job)
    services().notify()
    place = {"Location": below_root(f"/v1/imports/{job.id}")}
    return document(job), HTTPStatus.ACCEPTED, place


@api.get(
    "/imports/<id>",
    operation_id="getProductImport",
    openapi_extensions=openapi.inputs(parameters.JOB_ID),
    responses={200: JobDocument, **openapi.refusals(404)},
)
@requires_scope(Scope.INGEST)
def get_import(id: str) -> Json:
    """Read how far an import of products is, and its result."""
    QueryReader.of_request().finish()
    number = read_id(id)
    job = None if number is None else jobs.read(services().db, number)
    if job is None or job.verb != jobs.IMPORT:
        raise UnknownJob(f"there is no import {id!r}")
    return document(job)


def register_uploads(app: Flask) -> None:
    """Read the bodies of imports to the disk. Call it after authentication."""
    app.before_request(_spool)
    app.teardown_request(_close)


def _spool() -> None:
    """Read a body part by part, pack it, and keep it in a temporary file; ends with 413 or 415."""
    if (
        this_request().method != "POST"
        or request.endpoint != f"{api.name}.{import_products.__name__}"
    ):
        return
    if request.mimetype not in (MEDIA_TYPE, OCTETS):
        got = request.mimetype or "nothing"
        detail = f"the content type must be {MEDIA_TYPE}; got {got}"
        raise RequestError(415, "unsupported-media-type", detail)
    check_coding()
    request.max_content_length = services().settings.max_upload_bytes
    file = g.upload_file = tempfile.TemporaryFile()  # noqa: SIM115  # `_close` closes it
    digest, sizes, total, lines, last = hashlib.sha256(), [], 0, 0, b"\n"
    while part := request.stream.read(inputs.PART):
        digest.update(part)
        sizes.append(file.write(inputs.pack(part)))
        total, lines, last = total + len(part), lines + part.count(b"\n"), part[-1:]
    if request.content_length is not None and total < request.content_length:
        raise RequestEntityTooLarge  # whoever passed the body on has cut it off
    lines += last != b"\n"
    g.upload = Upload(file, sizes, total, lines, digest.hexdigest())


def _close(_error: BaseException | None) -> None:
    file: IO[bytes] | None = vars(request_notes()).pop("upload_file", None)
    if file is not None:
        file.close()
