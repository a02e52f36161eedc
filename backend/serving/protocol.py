"""One connection: uvicorn's protocol, with limits and deadlines, and answers to what is malformed.

uvicorn waits for the rest of a header for ever, keeps any number of header fields, and answers in
plain text. Everything here happens in the event loop, before a thread is taken.
"""

from __future__ import annotations

import sys
from enum import Enum, auto
from typing import Any, Final, NoReturn

import httptools

from backend.api.problem_codes import HTTP
from backend.api.problems import RequestError
from backend.serving.deadlines import TimedConnection
from backend.serving.refusals import id_of, raw_answer, refuse
from backend.serving.upgrades import parse_body

LINGER_SECONDS: Final = 2.0
"""How long a refused client may go on sending. A reset would take the answer from it."""

BAD_REQUEST: Final = "this is no HTTP/1.1 request: {0}"


class _Reading(Enum):
    NOTHING = auto()
    HEAD = auto()
    BODY = auto()


class Connection(TimedConnection):
    """Reads requests from one connection and hands them to the gateway."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.url = b""
        self.headers = []
        self._reading = _Reading.NOTHING
        self._head_bytes = 0
        self._field_bytes = 0
        self._began_now = False
        self._data = b""
        self._heard = False
        self._refused = False
        self._refusal: RequestError | None = None

    # --- reading -----------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Read a part of a request."""
        if self._refused:
            return
        self._heard, self._began_now, self._data = True, False, data
        super().data_received(data)
        if self._refused or self.transport.is_closing():
            return
        if self._reading is _Reading.HEAD:
            self._head_bytes += 0 if self._began_now else len(data)
            if self._head_bytes > self.limits.header + self.limits.target:
                self.send_400_response("")
            self.await_head()
        elif self._reading is _Reading.NOTHING and self.is_idle:
            self.await_head()  # empty lines between requests

    def eof_received(self) -> bool:  # type: ignore[override]
        """Answer a client that has sent its whole request, and refuse one that has not."""
        if self._refused or self.scheme == "https":
            return False
        if self._reading is not _Reading.NOTHING:
            self._refuse(_bad_request("it ends too early"))
            return not self.transport.is_closing()
        if self.is_idle:
            return False
        self.cycle.keep_alive = False
        return True

    def on_message_begin(self) -> None:
        """Begin with the header of a request."""
        super().on_message_begin()
        self._reading = _Reading.HEAD
        self._head_bytes, self._field_bytes, self._began_now = 0, 0, True

    def on_url(self, url: bytes) -> None:
        """Read a part of the path and query."""
        super().on_url(url)
        if len(self.url) > self.limits.target:
            self._fail(414, f"the path and query may have at most {self.limits.target:,} bytes")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Read one header field."""
        super().on_header(name, value)
        self._field_bytes += len(name) + len(value) + 4
        if self._field_bytes > self.limits.header or len(self.headers) > self.limits.fields:
            self._refusal = self._header_too_large()
            raise ValueError

    def on_headers_complete(self) -> None:
        """Check the header, and start with the request."""
        self.cancel_head_timer()
        self._reading = _Reading.BODY
        self._check_head()
        self._take_host()
        super().on_headers_complete()
        self.asked = True
        if self.stopping or self.parser.should_upgrade():  # what follows is not read
            self.cycle.keep_alive = False

    def on_message_complete(self) -> None:
        """End a request."""
        if self.parser.should_upgrade() and self._has_body():
            return
        self._reading = _Reading.NOTHING
        super().on_message_complete()

    def _has_body(self) -> bool:
        length = self._values(b"content-length")
        return bool(self._values(b"transfer-encoding")) or (bool(length) and int(length[0]) > 0)

    def _unsupported_upgrade_warning(self) -> None:
        """Ignore an `Upgrade` to another protocol (RFC 9110, 7.8), and read the body."""
        error = sys.exception()
        if self._reading is not _Reading.BODY or error is None:
            return
        try:
            self.parser = parse_body(self, self.headers)
            self.parser.feed_data(self._data[error.args[0] :])
        except httptools.HttpParserError:
            self.send_400_response("")

    def _check_head(self) -> None:
        """Refuse what the parser lets through, and the app could not tell."""
        version = self.parser.get_http_version()
        if version not in ("1.0", "1.1"):
            self._fail(400, BAD_REQUEST.format(f"its version is {version}"))
        hosts = self._values(b"host")
        if len(hosts) > 1 or (version == "1.1" and not hosts):
            self._fail(400, BAD_REQUEST.format("it needs one Host header"))
        codings = self._values(b"transfer-encoding")
        if codings and (version == "1.0" or [each.lower() for each in codings] != [b"chunked"]):
            self._fail(400, BAD_REQUEST.format("the one transfer coding that is known is chunked"))
        expected = self._values(b"expect")
        if any(each.lower() != b"100-continue" for each in expected):
            self._fail(417, "the one expectation that can be met is 100-continue")
        if version == "1.0":  # it knows no interim answers (RFC 9110, 10.1.1)
            self.expect_100_continue = False

    def _take_host(self) -> None:
        """Let the host of an absolute address count, and not the header (RFC 9112, 3.2.2)."""
        if self.url.startswith((b"/", b"*")):
            return
        asked = httptools.parse_url(self.url)
        host = b"[%b]" % asked.host if b":" in asked.host else asked.host
        host += b":%d" % asked.port if asked.port else b""
        others = [each for each in self.headers if each[0] != b"host"]
        self.headers[:] = [(b"host", host), *others]

    def _values(self, name: bytes) -> list[bytes]:
        return [value.strip() for key, value in self.headers if key == name]

    # --- refusing ----------------------------------------------------------------------------

    def _fail(self, status: int, detail: str) -> NoReturn:
        """End the parser's work; `send_400_response` is called next."""
        self._refusal = _problem(status, detail)
        raise ValueError

    def send_400_response(self, msg: str) -> None:
        """Answer what the parser refused, or one of our callbacks."""
        self._reading = _Reading.HEAD if self._reading is _Reading.NOTHING else self._reading
        if self._refusal:
            return self._refuse(self._refusal)
        if self._head_bytes > self.limits.header:
            return self._refuse(self._header_too_large())
        if isinstance(sys.exception(), httptools.HttpParserInvalidURLError):
            return self._refuse(_bad_request("percent-encode its path"))
        return self._refuse(_bad_request("it is malformed"))

    def _header_too_large(self) -> RequestError:
        limits = self.limits
        return _problem(
            431, f"a header may have {limits.fields} fields and {limits.header:,} bytes in all"
        )

    def _refuse(self, error: RequestError) -> None:
        """Answer with a problem document, and close when the client has had time to read it."""
        if self._refused:
            return
        self._refused = True
        self.end_timers()
        if self.pipeline:
            self.transport.abort()
        elif not self.waits:  # an earlier request: its answer comes first, and is the last one
            self.cycle.keep_alive = False
        else:
            self._give_up()
            self.transport.write(self._answer(error))
            self._close_gently()

    def _give_up(self) -> None:
        """Tell the gateway that the rest of a body will not come."""
        if not self.is_idle:
            self.cycle.disconnected = True
            self.cycle.message_event.set()

    def _answer(self, error: RequestError) -> bytes:
        headers, body = refuse(
            error,
            request_id=id_of(self.headers),
            method=self.parser.get_method().decode("latin-1") if self.url else None,
            path=self.url.partition(b"?")[0].decode("latin-1"),
            client=self.client[0] if self.client else None,
        )
        return raw_answer(error, self.server_state.default_headers + headers, body)

    def _close_gently(self) -> None:
        """Close our side, and go on reading for a moment: a reset would discard the answer."""
        self.flow.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()
            self.loop.call_later(LINGER_SECONDS, self.transport.abort)
        else:
            self.close()

    def head_is_late(self) -> None:
        """Answer 408, or close a connection on which nothing was asked."""
        if self._heard and self._reading is _Reading.HEAD:
            seconds = f"{self.limits.seconds:g} s"
            self._refuse(_problem(408, f"the header did not arrive within {seconds}"))
        else:
            super().head_is_late()


def _bad_request(reason: str) -> RequestError:
    return _problem(400, BAD_REQUEST.format(reason))


def _problem(status: int, detail: str) -> RequestError:
    return RequestError(status, HTTP[status], detail)
