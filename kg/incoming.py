"""Reading a request: its body, its forms and the values in them. Nothing here trusts what it is given."""

from __future__ import annotations

import asyncio
import re
import zlib
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass

from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from kg import formats
from kg.errors import BadRequest, TooLarge, UnsupportedMedia
from kg.formats import Format
from kg.limits import LARGEST, Limits
from kg.terms import expand

#: Bytes that the body of a query or an update may have.
MAX_QUERY_BYTES = 4_000_000
#: Tells zlib that the data have the head and the tail of gzip.
_GZIP = 16 + zlib.MAX_WBITS
_PACK_AGAIN = "Send it whole, as `gzip` makes it."
#: Files that may come in one request.
_MOST_FILES = 1000
#: Bytes of a form that are taken apart at a time.
_PIECE = 1 << 20
_COUNT = re.compile(r"[0-9]{1,19}")


def wants_page(request: Request) -> bool:
    """Whether a browser asks: HTML by parameter, or preferred in Accept with no format by parameter."""
    wanted = request.query_params.get("format", "")
    return wanted == "html" or (not wanted and formats.prefers_page(request.headers.get("accept", "")))


async def read_body(request: Request, limit: int) -> bytes:
    """The whole body, unpacked if it is compressed. Neither what is received nor what it unpacks to may pass the limit.

    Raises:
        TooLarge: it is larger, or announced to be; then nothing of it is read.
        UnsupportedMedia: it is compressed in a way that is not taken.
        BadRequest: it is not what its Content-Encoding says.
    """
    packed = _is_packed(request)
    if int(request.headers.get("content-length", "0")) > limit:
        raise _too_large(limit)
    parts, received, members = bytearray(), 0, _Members()
    async for chunk in request.stream():
        received += len(chunk)
        if packed and chunk:  # in a thread: a small chunk may unpack to a thousand times its size
            chunk = await asyncio.to_thread(members.unpack, chunk, limit + 1 - len(parts))
        parts += chunk
        if max(received, len(parts)) > limit:
            raise _too_large(limit)
    if packed:
        members.end()
    return bytes(parts)


def _is_packed(request: Request) -> bool:
    given = ",".join(request.headers.getlist("content-encoding"))
    codings = [coding for part in given.split(",") if (coding := part.strip().lower()) not in ("", "identity")]
    if codings not in ([], ["gzip"], ["x-gzip"]):
        raise UnsupportedMedia(f"A body with Content-Encoding {given} is not taken.", "Send it as it is, or as gzip.")
    return bool(codings)


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"The body is larger than {limit:,} bytes.", "Send it in parts.")


class _Members:
    """Unpacks gzip as it comes: members one after the other, each with its own checksum."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(wbits=_GZIP)

    def unpack(self, chunk: bytes, most: int) -> bytes:
        """What the chunk adds; no more than so many bytes, after which the rest is not looked at."""
        unpacked = bytearray()
        try:
            while chunk and len(unpacked) < most:
                if self._member.eof:
                    self._member = zlib.decompressobj(wbits=_GZIP)
                unpacked += self._member.decompress(chunk, most - len(unpacked))
                chunk = self._member.unused_data
        except zlib.error as error:
            raise BadRequest(f"The body is not gzip, or is damaged: {error}.", _PACK_AGAIN) from None
        return bytes(unpacked)

    def end(self) -> None:
        if not self._member.eof:
            raise BadRequest("The body ends before its gzip data do.", _PACK_AGAIN)


def read_seconds(text: str) -> float | None:
    try:
        seconds = float(text) if text else None
    except ValueError:
        seconds = 0.0
    if seconds is not None and not seconds > 0:
        raise BadRequest(f"timeout={text!r} is not a time.", "Give seconds above 0.")
    return seconds


def read_limits(rows: str, size: str) -> Limits:
    """The limits that a request gives as `max-rows` and `max-bytes`; what is empty is not given."""
    return Limits(_read_count("max-rows", rows), _read_count("max-bytes", size))


def _read_count(name: str, text: str) -> int | None:
    if not text:
        return None
    if not _COUNT.fullmatch(text) or not 0 < int(text) <= LARGEST:
        raise BadRequest(f"{name}={text[:80]!r} is no limit.", f"Give a whole number from 1 to {LARGEST}.")
    return int(text)


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


def read_flag(name: str, texts: Sequence[str]) -> bool:
    """A parameter that is true or false; false if it is not given."""
    if set(texts) - {"true", "false"} or len(set(texts)) > 1:
        given = ", ".join(map(repr, texts))
        raise BadRequest(f"{name} is {given}: neither true nor false.", f"Give {name}=true, or leave it out.")
    return "true" in texts


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


@dataclass(frozen=True)
class Part:
    """Facts in the body of a request: all of it, or one of its files. The name is for messages alone."""

    name: str
    format: Format
    data: bytes


async def read_facts(request: Request, limit: int) -> list[Part]:
    """The body as RDF, or as a form with files in it, each with a type of its own or with the ending of its name.

    Raises:
        UnsupportedMedia: a type is not that of an RDF format.
        BadRequest, TooLarge: the body cannot be read.
    """
    content_type = request.headers.get("content-type", "")
    if content_type.split(";")[0].strip().lower() != "multipart/form-data":
        form = formats.by_media(content_type)
        if form is None:
            raise _not_facts(content_type or "a body without Content-Type")
        return [Part("the body", form, await read_body(request, limit))]
    return await _files(request.headers, await read_body(request, limit))


async def _files(headers: Headers, body: bytes) -> list[Part]:
    async def pieces() -> AsyncGenerator[bytes, None]:
        for start in range(0, len(body), _PIECE):  # other requests are served in between
            yield body[start : start + _PIECE]

    try:
        form = await MultiPartParser(headers, pieces(), max_files=_MOST_FILES, max_fields=0).parse()
    except MultiPartException as error:
        raise BadRequest(
            f"The form cannot be read: {error.message.rstrip('.')}.",
            f"Send each part as a file (up to {_MOST_FILES}), as `curl -F file=@facts.ttl` does.",
        ) from None
    try:
        parts = [await _part(file) for file in form.values() if isinstance(file, UploadFile)]
    finally:
        await form.close()
    if not parts:
        raise BadRequest("The form holds no file.", "Send at least one, as `curl -F file=@facts.ttl` does.")
    return parts


async def _part(file: UploadFile) -> Part:
    name = file.filename or "a file"
    form = formats.by_media(file.content_type or "") or formats.by_ending(name)
    if form is None:
        raise _not_facts(f"the file {name} of type {file.content_type or 'unknown'}")
    return Part(name, form, await file.read())


def _not_facts(what: str) -> UnsupportedMedia:
    offered = ", ".join(f.media[0] for f in (*formats.GRAPHS, *formats.DATASETS))
    return UnsupportedMedia(f"Facts cannot be read from {what}.", f"Send one of: {offered}.")


def read_form(body: bytes) -> list[tuple[str, str]]:
    from urllib.parse import parse_qsl

    try:
        return parse_qsl(body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=1000)
    except ValueError:
        raise BadRequest("The form cannot be read.", "Encode it as UTF-8, percent-encoded.") from None
