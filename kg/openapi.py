"""What the description of the API (OpenAPI) says of answers: their statuses, their media types, and the problem
documents. The routes say the rest themselves."""

from __future__ import annotations

from typing import Any, Final

from fastapi import FastAPI

from kg import formats
from kg.graph import Graph
from kg.limits import TRUNCATED

_TEXT: Final = {"schema": {"type": "string"}}
_OBJECT: Final = {"schema": {"type": "object"}}
_OBJECTS: Final = {"schema": {"type": "array", "items": {"type": "object"}}}
_PAGE: Final = {"text/html": _TEXT}
_JSON: Final = {"application/json": _OBJECT}
_LIST: Final = {"application/json": _OBJECTS}
_ROWS: Final = {form.media[0]: _OBJECT if form.name == "json" else _TEXT for form in formats.ROWS}
_GRAPHS: Final = {
    form.media[0]: {"schema": {"type": ["array", "object"]}} if form.name == "jsonld" else _TEXT
    for form in formats.GRAPHS
}
_DATASETS: Final = {form.media[0]: _TEXT for form in formats.DATASETS}

#: What each route answers with, if it does not say so itself, and the statuses that not every route can give.
_ANSWERS: Final[dict[str, tuple[dict[str, Any], tuple[int, ...]]]] = {
    "GET /sparql": ({**_ROWS, **_GRAPHS, **_PAGE}, (304, 406, 502)),
    "POST /sparql": ({**_ROWS, **_GRAPHS, **_PAGE}, (406, 413, 415, 502)),
    "GET /graphs": ({**_LIST, **_GRAPHS, **_DATASETS, **_PAGE}, (304, 404, 406)),
    "GET /graphs/{path}": ({**_GRAPHS, **_PAGE}, (304, 406)),
    "GET /questions": ({**_LIST, **_PAGE}, (304,)),
    "GET /questions/{name}": ({**_ROWS, **_PAGE}, (304, 406)),
    "GET /rate": (_JSON, (304, 404)),
    "GET /id/{path}": ({**_GRAPHS, **_PAGE}, (304, 406)),
    "GET /source/{path}": ({**_GRAPHS, **_PAGE}, (304, 406)),
    "GET /ontology": ({**_GRAPHS, **_PAGE}, (304, 404, 406)),
    "GET /shapes": ({formats.GRAPHS[0].media[0]: _TEXT, **_PAGE}, (304,)),
    "GET /context.jsonld": ({formats.GRAPHS[3].media[0]: _OBJECT}, ()),
    "GET /.well-known/void": ({**_GRAPHS, **_PAGE}, (304, 406)),
    "GET /metrics": ({"text/plain": _TEXT}, ()),
    "GET /health": (_JSON, ()),
    "GET /history": (_LIST, (304,)),
}
_MEANINGS: Final = {
    304: "The client has this answer, as If-None-Match says",
    400: "The request cannot be read, or is not allowed",
    404: "There is nothing of that name",
    406: "No format that the Accept header allows",
    413: "The body is too large",
    415: "The body is of a type or a coding that is not taken",
    429: "Too many requests are waiting; try again",
    500: "The server failed",
    502: "An endpoint that the query calls gives no answer",
    503: "Stopped at the limit of time, of memory or of the size of an answer",
}
#: The routes whose answers may be cut, and what then says so.
_MAY_BE_CUT: Final = ("GET /sparql", "POST /sparql", "GET /questions/{name}")
_CUT: Final = {
    TRUNCATED: {
        "description": "`rows=N`: these are the first N rows or triples, and there are more. Without it all are here.",
        "schema": {"type": "string", "pattern": "^rows=[0-9]+$"},
    }
}
_ANYWHERE: Final = (400, 429, 500, 503)
_PROBLEM: Final = {
    "type": "object",
    "description": "An error (RFC 9457).",
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What is wrong, and what would be right."},
        "hint": {"type": "string", "description": "What would be right."},
        "file": {"type": "string", "description": "Of facts that do not parse."},
        "line": {"type": ["integer", "null"], "description": "Where they do not, from 1."},
        "report": {"type": "object", "description": "Of facts that do not conform."},
    },
    "required": ["type", "title", "status", "detail"],
}
#: What FastAPI says of parameters that it refuses, which are a 400 here.
_NOT_OURS: Final = ("HTTPValidationError", "ValidationError")


def install(app: FastAPI, graph: Graph) -> None:
    """Have the application describe its answers."""
    describe = app.openapi

    def described() -> dict[str, Any]:
        if app.openapi_schema is None:
            _complete(describe(), graph)
        assert app.openapi_schema is not None
        return app.openapi_schema

    app.openapi = described  # type: ignore[method-assign]


def _complete(schema: dict[str, Any], graph: Graph) -> None:
    """Add to the description, in place."""
    schemas = schema.setdefault("components", {}).setdefault("schemas", {})
    for name in _NOT_OURS:
        schemas.pop(name, None)
    schemas["Problem"] = _PROBLEM
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            _answers(f"{method.upper()} {path}", operation["responses"])
    _ask(schema["paths"]["/questions/{name}"]["get"], graph)


def _answers(route: str, responses: dict[str, Any]) -> None:
    content, statuses = _ANSWERS.get(route, ({}, ()))
    if "#/components/schemas/HTTPValidationError" in str(responses.get("422")):
        del responses["422"]
    if content:
        responses["200"]["content"] = content
    if route in _MAY_BE_CUT:
        responses["200"]["headers"] = {**_CUT}
    for status in (*_ANYWHERE, *statuses, *((404,) if "{" in route else ())):
        problem: dict[str, Any] = {} if status < 400 else {"content": {"application/problem+json": {}}}
        responses.setdefault(str(status), {"description": _MEANINGS[status], **problem})
    for response in responses.values():
        if "application/problem+json" in response.get("content", {}):
            response["content"]["application/problem+json"] = {"schema": {"$ref": "#/components/schemas/Problem"}}
            if route.startswith("GET"):
                response["content"].update(_PAGE)


def _ask(operation: dict[str, Any], graph: Graph) -> None:
    """Name the questions, their own parameters, and the links from page to page."""
    name = next(p for p in operation["parameters"] if p["name"] == "name")
    if names := [question.name for question in graph.questions.all]:
        name["schema"] = {"type": "string", "enum": names}
    operation["parameters"].append(
        {
            "name": "parameters",
            "in": "query",
            "description": "The question's own parameters, each by its name; GET /questions has them.",
            "style": "form",
            "explode": True,
            "schema": {"type": "object", "additionalProperties": {"type": "string"}},
        }
    )
    operation["responses"]["200"]["headers"]["Link"] = {
        "description": "With a limit: the pages `first`, `prev` and `next`.",
        "schema": {"type": "string"},
    }
