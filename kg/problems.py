"""Every error as a problem document (RFC 9457), or as a page for a browser."""

from __future__ import annotations

import logging
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Match

from kg.conditions import NotModified
from kg.errors import ParleyError, Refused, UnsupportedMedia
from kg.incoming import wants_page
from kg.replies import report_form, written
from kg.tracing import current

_LOG = logging.getLogger(__name__)

#: What an answer with a status says besides; of 415 it is the codings that would be unpacked.
_HEADERS = {
    401: {"WWW-Authenticate": "Bearer"},
    415: {"Accept-Encoding": "gzip"},
    429: {"Retry-After": "5"},
    503: {"Retry-After": "5"},
}


def install(app: FastAPI) -> None:
    """Have the application answer its errors this way."""
    app.exception_handler(ParleyError)(on_parley_error)
    app.exception_handler(NotModified)(_on_not_modified)
    app.exception_handler(HTTPException)(_on_http_exception)
    app.exception_handler(RequestValidationError)(_on_validation_error)
    app.exception_handler(Exception)(_on_fault)


def _answer(request: Request, status: int, title: str, detail: str, **members: Any) -> Response:
    if request.method == "GET" and wants_page(request):
        page: Response = request.app.state.pages.problem(status, title, detail)
        return page
    headers = _HEADERS.get(status, {})
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail, **members}
    if current().id:
        body["request"] = current().id
    return JSONResponse(body, status, headers, media_type="application/problem+json")


async def on_parley_error(request: Request, error: Exception) -> Response:
    """The answer to a request that failed in a way that we know."""
    assert isinstance(error, ParleyError)
    if error.status == 500:
        _LOG.error("%s", f"{error}\n{error.origin}".strip())
        if error.origin:  # a fault that nobody thought of: what it says is for the log
            return await _on_fault(request, error)
    if isinstance(error, Refused):
        form = report_form(request, request.query_params.get("format", ""))
        if form.name != "json":
            return Response(written(error.report, form), error.status, media_type=form.content_type)
    response = _answer(request, error.status, error.title, str(error), hint=error.hint, **error.details())
    if isinstance(error, UnsupportedMedia):
        response.headers.update(_taken(request))
    return response


async def _on_not_modified(_: Request, error: Exception) -> Response:
    assert isinstance(error, NotModified)
    return Response(status_code=304, headers={"ETag": error.tag})


async def _on_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    hint = "See /docs for what is here." if error.status_code == 404 else ""
    headers = dict(error.headers or {})
    if error.status_code == 405:
        headers["Allow"] = ", ".join(_methods(request))
        if request.method == "OPTIONS":  # no route has it, so that each is asked for its methods here
            return Response(status_code=204, headers={**headers, **_taken(request)})
        hint = f"Use one of: {headers['Allow']}."
    response = _answer(request, error.status_code, str(error.detail), f"{error.detail}. {hint}".strip(), hint=hint)
    response.headers.update(headers)
    return response


def _methods(request: Request) -> list[str]:
    """The methods of the path. The router names those of the first route with this path alone."""
    methods = {method for route in _routes(request) for method in getattr(route, "methods", None) or {"GET"}}
    return sorted(methods | {"OPTIONS"} | ({"HEAD"} if "GET" in methods else set()))


def _taken(request: Request) -> dict[str, str]:
    """The types of the bodies that the path takes, as its routes describe them, in the headers for it."""
    taken = {}
    for route in _routes(request):
        described = getattr(route, "openapi_extra", None) or {}
        types = ", ".join(described.get("requestBody", {}).get("content", {}))
        for method in {"POST", "PATCH"} & set(getattr(route, "methods", None) or ()) if types else ():
            taken[f"Accept-{method.capitalize()}"] = types
    return taken


def _routes(request: Request) -> list[BaseRoute]:
    return [route for route in request.app.routes if route.matches(request.scope)[0] is not Match.NONE]


async def _on_validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    parts = [f"{'.'.join(str(p) for p in e['loc'][1:])}: {e['msg']}" for e in error.errors()]
    return _answer(request, 400, "Bad request", "; ".join(parts), hint="See /docs for the parameters.")


async def _on_fault(request: Request, _: Exception) -> Response:
    # The server's log has the traceback; the client gets none of it.
    return _answer(request, 500, "Internal error", "The server failed at this request. Its log says why.")
