"""Reading a request: its body, its forms and the values in them. Nothing here trusts what it is given."""

from __future__ import annotations

from starlette.requests import Request

from kg import formats
from kg.errors import BadRequest, TooLarge, UnsupportedMedia
from kg.terms import expand


def wants_page(request: Request) -> bool:
    """Whether a browser asks: HTML by parameter, or preferred in Accept with no format by parameter."""
    wanted = request.query_params.get("format", "")
    return wanted == "html" or (not wanted and formats.prefers_page(request.headers.get("accept", "")))


async def read_body(request: Request, limit: int) -> bytes:
    """The whole body. Raises: TooLarge."""
    parts = bytearray()
    async for chunk in request.stream():
        parts += chunk
        if len(parts) > limit:
            raise TooLarge(f"The body is larger than {limit:,} bytes.", "Send it in parts.")
    return bytes(parts)


def read_seconds(text: str) -> float | None:
    try:
        seconds = float(text) if text else None
    except ValueError:
        seconds = 0.0
    if seconds is not None and not seconds > 0:
        raise BadRequest(f"timeout={text!r} is not a time.", "Give seconds above 0.")
    return seconds


def read_iri(text: str) -> str:
    iri = expand(text)
    if iri is None:
        raise BadRequest(f"{text!r} is no absolute IRI.", "Give one such as https://w3id.org/parley/source/….")
    return iri


def read_text(body: bytes) -> str:
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        raise BadRequest("The body is not UTF-8.", "Send it as UTF-8.") from None


def read_flag(name: str, text: str) -> bool:
    if text not in ("", "true", "false"):
        raise BadRequest(f"{name}={text!r} is neither true nor false.", f"Give {name}=true, or leave it out.")
    return text == "true"


async def read_protocol(request: Request, name: str, limit: int) -> dict[str, list[str]]:
    """The parameters of a POST of the SPARQL protocol, from its URL and its form, or with its body as parameter `name`.

    Raises:
        BadRequest, TooLarge: the body cannot be read.
        UnsupportedMedia: it is neither a form nor the text itself.
    """
    media = request.headers.get("content-type", "").split(";")[0].strip().lower()
    fields = [*request.query_params.multi_items()]
    if media == "application/x-www-form-urlencoded":
        fields += read_form(await read_body(request, limit))
    elif media == f"application/sparql-{name}":
        fields.append((name, read_text(await read_body(request, limit))))
    else:
        raise UnsupportedMedia(
            f"No {name} can be read from {media or 'a body without Content-Type'}.",
            f"Send application/x-www-form-urlencoded or application/sparql-{name}.",
        )
    return {key: [v for k, v in fields if k == key] for key in dict(fields)}


def read_form(body: bytes) -> list[tuple[str, str]]:
    from urllib.parse import parse_qsl

    try:
        return parse_qsl(body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=1000)
    except ValueError:
        raise BadRequest("The form cannot be read.", "Encode it as UTF-8, percent-encoded.") from None
