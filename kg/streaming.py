"""Answers of the graph as HTTP responses."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.responses import Response, StreamingResponse

from kg.formats import Format
from kg.limits import TRUNCATED
from kg.pool import Answer


def cut_headers(answer: Answer) -> dict[str, str]:
    """The header that says so if an answer has its first rows alone."""
    return {TRUNCATED: f"rows={answer.head['truncated']}"} if "truncated" in answer.head else {}


def stream(answer: Answer, form: Format, tag: Mapping[str, str] | None = None) -> Response:
    """An answer as it comes, with the headers that tag it, if it is of the version that they were made for."""
    version = answer.head["version"]
    headers = {"Parley-Version": str(version), **cut_headers(answer)}
    if tag and tag["ETag"].startswith(f'W/"{version}-'):
        headers |= tag
    if isinstance(answer.body, bytes):
        return Response(answer.body, media_type=form.content_type, headers=headers)
    return StreamingResponse(answer.body, media_type=form.content_type, headers=headers)
