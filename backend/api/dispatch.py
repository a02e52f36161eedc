"""Flask's handling of a request, with less work around each view.

The same hooks run in the same order, and errors take the same way. What this leaves out of Flask:
its sessions, which this app does not use; signals that nobody listens to; the look at each hook
whether it is a coroutine; and what it finds out anew for each request and that never changes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from flask import Request, Response, signals
from flask.ctx import AppContext, RequestContext, _AppCtxGlobals
from flask.globals import _cv_app, _cv_request
from flask_openapi3.openapi import OpenAPI
from werkzeug.exceptions import BadHost
from werkzeug.routing import MapAdapter
from werkzeug.sansio.utils import get_host

from backend.api.quick_messages import QuickRequest
from backend.api.quick_routes import QuickRoutes

if TYPE_CHECKING:
    from wsgiref.types import WSGIEnvironment

_UNKNOWN: Final[Any] = object()


class Notes(_AppCtxGlobals):
    """Flask's `g`, whose members are set without a call of Python."""

    __setattr__ = object.__setattr__  # type: ignore[assignment]


class _QuickAppContext(AppContext):
    """Flask's context of an app, for one request."""

    def push(self) -> None:
        self._cv_tokens.append(_cv_app.set(self))
        if signals.appcontext_pushed.receivers:
            signals.appcontext_pushed.send(self.app, _async_wrapper=self.app.ensure_sync)

    def pop(self, exc: BaseException | None = _UNKNOWN) -> None:
        app = self.app
        if app.teardown_appcontext_funcs or _is_heard_at_end() or len(self._cv_tokens) != 1:
            super().pop(sys.exception() if exc is _UNKNOWN else exc)
        else:
            _cv_app.reset(self._cv_tokens.pop())


class _QuickContext(RequestContext):
    """Flask's context of a request, without a session."""

    def push(self) -> None:
        app_context: AppContext | None = _cv_app.get(None)
        if app_context is None or app_context.app is not self.app:
            app_context = self.app.app_context()
            app_context.push()
        else:
            app_context = None
        self._cv_tokens.append((_cv_request.set(self), app_context))
        if self.url_adapter is not None:
            self.match_request()

    def match_request(self) -> None:
        """Find the rule of the request, or the error that there is none."""
        sent = self.request
        routes = cast("QuickApp", self.app).routes
        method, path = sent.environ["REQUEST_METHOD"], sent.environ.get("PATH_INFO", "")
        found = routes.find(method, path)
        if found is not None:
            sent.url_rule, sent.view_args = found
            return
        super().match_request()
        if sent.url_rule is not None:
            routes.learn(method, path, sent.url_rule)

    def pop(self, exc: BaseException | None = _UNKNOWN) -> None:
        exc = sys.exception() if exc is _UNKNOWN else exc
        if len(self._cv_tokens) != 1 or _cv_request.get() is not self:
            super().pop(exc)
            return
        try:
            self.app.do_teardown_request(exc)
            if "files" in self.request.__dict__:
                self.request.close()
        finally:
            token, app_context = self._cv_tokens.pop()
            _cv_request.reset(token)
            self.request.environ["werkzeug.request"] = None  # a circle, as Flask breaks it
            if app_context is not None:
                app_context.pop(exc)


def _is_heard_at_end() -> bool:
    return bool(signals.appcontext_tearing_down.receivers or signals.appcontext_popped.receivers)


class Hooks(NamedTuple):
    """The hooks of the views of one blueprint, in the order in which they are called."""

    before: tuple[Callable[[], Any], ...]
    after: tuple[Callable[[Any], Any], ...]
    teardown: tuple[Callable[[BaseException | None], Any], ...]


class QuickApp(OpenAPI):
    """An app that takes Flask's steps around each view, and no others.

    All of its hooks and views are functions, none a coroutine. Hooks are registered before the
    first request, as Flask demands.
    """

    request_class = QuickRequest
    app_ctx_globals_class = Notes

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._hooks: dict[str | None, Hooks] = {}
        super().__init__(*arguments, **options)
        self.routes = QuickRoutes(self.url_map)

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function itself."""
        return func

    def app_context(self) -> AppContext:
        """Make the context of this app for one request."""
        return _QuickAppContext(self)

    def request_context(self, environ: WSGIEnvironment) -> RequestContext:
        """Make the context of a request."""
        return _QuickContext(self, environ)

    def create_url_adapter(self, request: Request | None) -> MapAdapter | None:
        """Return what matches the path of a request, and makes addresses for its client."""
        if request is None:
            return super().create_url_adapter(None) if self.config["SERVER_NAME"] else None
        environ = request.environ
        path, root = environ.get("PATH_INFO", "/"), environ.get("SCRIPT_NAME", "/")
        is_usual = self.config["SERVER_NAME"] is None and self.config["TRUSTED_HOSTS"] is None
        is_plain = path.isascii() and root.isascii() and "HTTP_UPGRADE" not in environ
        if not (is_usual and is_plain) or self.url_map.host_matching or self.subdomain_matching:
            return super().create_url_adapter(request)
        scheme, query = environ["wsgi.url_scheme"], environ.get("QUERY_STRING", "")
        host, name = _host(scheme, environ.get("HTTP_HOST"), request.server)
        request.__dict__["host"] = host  # where its cached property keeps it
        if not query.isascii():
            query = query.encode("latin-1").decode(errors="replace")
        method = environ["REQUEST_METHOD"]
        return MapAdapter(self.url_map, name, root, "", scheme, path, method, query)

    def full_dispatch_request(self) -> Response:
        """Call hooks and view; an error of theirs becomes an answer."""
        self._got_first_request = True
        context = _cv_request.get()
        try:
            if signals.request_started.receivers:
                signals.request_started.send(self, _async_wrapper=self.ensure_sync)
            answer = self.preprocess_request()
            if answer is None:
                answer = self._call_view(context.request)
        except Exception as error:  # noqa: BLE001  # as Flask does
            answer = self.handle_user_exception(error)
        if type(answer) is not dict or signals.request_finished.receivers:
            return self.finalize_request(answer)
        return self.process_response(cast("Response", self.json.response(answer)))

    def _call_view(self, request: Request) -> Any:
        rule = request.url_rule
        if rule is None or request.method == "OPTIONS" or request.routing_exception is not None:
            return self.dispatch_request()
        return self.view_functions[rule.endpoint](**(request.view_args or {}))

    def preprocess_request(self) -> Any:
        """Call the hooks before a view; the first answer of one is that of the request."""
        if self.url_value_preprocessors:
            return super().preprocess_request()
        for before in self._hooks_of(_cv_request.get().request).before:
            answer = before()
            if answer is not None:
                return answer
        return None

    def process_response(self, response: Response) -> Response:
        """Call the hooks after a view."""
        context = _cv_request.get()
        hooks: tuple[Any, ...] = self._hooks_of(context.request).after
        for after in (*context._after_request_functions, *hooks):
            response = after(response)
        return response

    def do_teardown_request(self, exc: BaseException | None = _UNKNOWN) -> None:
        """Call the hooks at the end of a request."""
        exc = sys.exception() if exc is _UNKNOWN else exc
        for teardown in self._hooks_of(_cv_request.get().request).teardown:
            teardown(exc)
        if signals.request_tearing_down.receivers:
            signals.request_tearing_down.send(self, _async_wrapper=self.ensure_sync, exc=exc)

    def _hooks_of(self, request: Request) -> Hooks:
        rule = request.url_rule
        place = None if rule is None else rule.endpoint.rpartition(".")[0]
        found = self._hooks.get(place)
        if found is None:
            found = self._find_hooks(request.blueprints)
            if self._got_first_request:
                self._hooks[place] = found
        return found

    def _find_hooks(self, blueprints: list[str]) -> Hooks:
        inwards, outwards = (None, *reversed(blueprints)), (*blueprints, None)
        before = [it for name in inwards for it in self.before_request_funcs.get(name, ())]
        after = [it for name in outwards for it in self.after_request_funcs.get(name, ())[::-1]]
        end = [it for name in outwards for it in self.teardown_request_funcs.get(name, ())[::-1]]
        return Hooks(tuple(before), tuple(after), tuple(end))


@lru_cache(maxsize=256)
def _host(scheme: str, header: str | None, server: tuple[str, int | None]) -> tuple[str, str]:
    """Return the host that a request names, and the same as names are matched.

    Raises what werkzeug raises for one that is malformed.
    """
    host = get_host(scheme, header, server)
    name, separator, port = host.lower().partition(":")
    try:
        return host, f"{name.encode('idna').decode('ascii')}{separator}{port}"
    except UnicodeError as error:
        raise BadHost from error
