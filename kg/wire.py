"""What a worker and those who ask it say to each other: messages over a socket, and errors as data.

A message is a length (4 bytes, big-endian) and that many bytes. A request is one message of JSON, followed by one
message of bytes for each document it carries. An answer is, if the request wants progress, any number of messages
with it (JSON), then a head (JSON), chunks of the body, and an empty message; without that it is broken. A head with
`whole` is followed by one message with all of the body, which may be empty, and the empty message.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import subprocess
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import kg.errors
from kg.errors import ParleyError, Refused, Stopped
from kg.loading import Outcome
from kg.records import Record
from kg.report import Contradiction, Finding, Report

LENGTH = struct.Struct(">I")


def send(sock: socket.socket, *messages: bytes) -> None:
    sock.sendall(b"".join(part for message in messages for part in (LENGTH.pack(len(message)), message)))


def receive(sock: socket.socket) -> bytes:
    """Raises: EOFError when the other side is gone."""
    return _exactly(sock, LENGTH.unpack(_exactly(sock, LENGTH.size))[0])


def _exactly(sock: socket.socket, size: int) -> bytes:
    parts = bytearray()
    while len(parts) < size:
        part = sock.recv(min(size - len(parts), 1 << 20))
        if not part:
            raise EOFError
        parts += part
    return bytes(parts)


def start_worker(
    home: Path, megabytes: int, *, errors: int | None = None
) -> tuple[subprocess.Popen[bytes], socket.socket]:
    """A worker on the store in `home`, within so many megabytes of address space, and the socket to it.

    `errors` is where its standard error goes: the engine's last words when its memory ends.
    """
    ours, theirs = socket.socketpair()
    with theirs:
        process = subprocess.Popen(
            # -P: what the folder of the caller holds is not imported.
            [sys.executable, "-P", "-m", "kg.worker", str(theirs.fileno()), str(home), str(megabytes)],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stderr=errors,
            # glibc would set aside half a gigabyte of addresses for its threads, out of the memory limit.
            env={**_without_tokens(os.environ), "MALLOC_ARENA_MAX": "1"},
        )
    return process, ours


def _without_tokens(environment: Mapping[str, str]) -> dict[str, str]:
    """What a process may know that works with foreign text."""
    return {name: value for name, value in environment.items() if not name.startswith("KG_TOKEN")}


def ask_once(
    home: Path, megabytes: int, request: dict[str, Any], progress: Callable[[str, int, int], None]
) -> dict[str, Any]:
    """Have a worker of its own do one request, and return the body of the answer.

    Raises:
        Stopped: the worker died, of its memory limit or of the request.
        ParleyError: whatever the worker refused the request for.
    """
    process, sock = start_worker(home, megabytes, errors=subprocess.DEVNULL)
    try:
        with sock:
            send(sock, json.dumps({**request, "progress": True}).encode())
            while "progress" in (head := json.loads(receive(sock))):
                progress(*head["progress"])
            body = bytearray()
            if "whole" in head:
                body += receive(sock)
            while chunk := receive(sock):
                body += chunk
    except (EOFError, OSError):
        raise Stopped(
            f"The work did not fit into {megabytes} MB.", "Load less at a time, or give it more with KG_MEMORY."
        ) from None
    finally:
        process.kill()
        process.wait()
    if "error" in head:
        raise rebuild(head)
    answer: dict[str, Any] = json.loads(body)
    return answer


def problem(error: BaseException) -> dict[str, Any]:
    """The head of an answer that failed: what `rebuild` turns back into the error."""
    if isinstance(error, MemoryError):
        error = Stopped("The work ran out of memory.", "Ask for less at a time.")
    if isinstance(error, ParleyError):
        fields = {k: v for k, v in vars(error).items() if k not in ("message", "hint", "report")}
        if isinstance(error, Refused):
            fields["report"] = asdict(error.report)
        return {"error": type(error).__name__, "message": error.message, "hint": error.hint, "fields": fields}
    origin = "".join(traceback.format_exception(error))
    message = f"{type(error).__name__}: {error}"
    return {"error": "ParleyError", "message": message, "hint": "", "fields": {"origin": origin}}


def rebuild(head: dict[str, Any]) -> ParleyError:
    """The error that a worker reported, as the same class."""
    kind: type[ParleyError] = getattr(kg.errors, head["error"], ParleyError)
    fields = head["fields"]
    if kind is Refused:
        return Refused(rebuild_report(fields["report"]))
    error = kind(head["message"], head["hint"])
    vars(error).update(fields)
    return error


def rebuild_outcome(data: dict[str, Any]) -> Outcome:
    """The outcome of a write from what `dataclasses.asdict` made of it."""
    record = Record(**data["record"]) if data["record"] else None
    return Outcome(record, rebuild_report(data["report"]), tuple(data["created"]), data["skipped"])


def rebuild_report(data: dict[str, Any]) -> Report:
    """The report from what `dataclasses.asdict` made of it."""
    findings = [Finding(**f) for f in data["findings"]]
    contradictions = [Contradiction(**c) for c in data["contradictions"]]
    return Report(findings, contradictions, data["turtle"])
