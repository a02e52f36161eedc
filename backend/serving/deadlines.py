"""A connection that ends: uvicorn's protocol, with a limit to what a client may keep waiting.

uvicorn has no limit for a client that does not take its answer, also when it stops.
"""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from backend.serving.limits import HttpLimits

LAST_SECONDS: Final = 1.0
"""How long a stopping server waits for the first request of a connection that it has accepted."""


class TimedConnection(HttpToolsProtocol):
    """Gives every state of a connection a deadline. Subclasses call `await_head` and so on."""

    limits: ClassVar[HttpLimits] = HttpLimits()

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.asked = False  # whether there is a cycle
        self.stopping = False
        self._head_timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None

    @property
    def is_idle(self) -> bool:
        """Whether nobody works on a request of this connection."""
        return not self.asked or self.cycle.response_complete

    @property
    def waits(self) -> bool:
        """Whether the client has to act next."""
        return self.is_idle or self.cycle.more_body

    def head_is_late(self) -> None:
        """Act when a header did not arrive in time."""
        if self.is_idle:
            self.close()

    # --- connecting --------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Give the client some time for its first header."""
        super().connection_made(transport)
        self.await_head()
        if len(self.connections) > self.limits.connections:
            self._make_room()

    def _make_room(self) -> None:
        """Close a connection that waits for its client; without one, this connection."""
        others = (one for one in self.connections if isinstance(one, TimedConnection))
        waiting = (one for one in others if one is not self and one.waits)
        next(waiting, self).transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timers."""
        self.end_timers()
        super().connection_lost(exc)

    # --- deadlines ---------------------------------------------------------------------------

    def await_head(self) -> None:
        """Begin to wait for a header, unless that has begun."""
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(self.limits.seconds, self._end_head)

    def _end_head(self) -> None:
        self._head_timer = None
        self.head_is_late()

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection."""
        self.close()

    def on_response_complete(self) -> None:
        """Go on with the next request, or see that the answer leaves."""
        super().on_response_complete()
        if self.transport.is_closing() and self.transport.get_write_buffer_size():
            self._await_write()

    def pause_writing(self) -> None:
        """Give the client some time to take what is written."""
        super().pause_writing()
        self._await_write()

    def resume_writing(self) -> None:
        """Go on writing."""
        super().resume_writing()
        if not self.transport.is_closing() and self._write_timer:
            self._write_timer.cancel()
            self._write_timer = None

    def _await_write(self) -> None:
        if self._write_timer is None:
            size = self.transport.get_write_buffer_size()
            seconds = self.limits.seconds + size / self.limits.bytes_per_second
            self._write_timer = self.loop.call_later(seconds, self.transport.abort)

    def close(self) -> None:
        """Close the connection, also if the client does not take what is written."""
        self.transport.close()
        self._await_write()

    def cancel_head_timer(self) -> None:
        """Stop waiting for a header: it is complete."""
        if self._head_timer:
            self._head_timer.cancel()
            self._head_timer = None

    def end_timers(self) -> None:
        """Wait for nothing more."""
        self.cancel_head_timer()
        if self._write_timer:
            self._write_timer.cancel()
            self._write_timer = None

    # --- stopping ----------------------------------------------------------------------------

    def shutdown(self) -> None:
        """Answer what was asked, and close. A new connection may still ask once."""
        self.stopping = True
        if not self.asked and not self.transport.is_closing():
            self.loop.call_later(LAST_SECONDS, self._close_if_idle)
        else:
            super().shutdown()

    def _close_if_idle(self) -> None:
        if self.is_idle and not self.transport.is_closing():
            self.transport.abort()
