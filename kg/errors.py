"""What can go wrong, as one tree.

ParleyError
├── BadRequest            400  the caller's words are off: a parameter, a format, a query
│   └── BadQuery          400  the SPARQL text is refused or does not parse
├── Unauthorized          401  a write without the token
├── Forbidden             403  a write to a server that is read-only
├── NotFound              404  no such question, entity, graph or version
├── NotAcceptable         406  no format that the caller accepts
├── Conflict              409  the store is not of the kind that the command needs
├── PreconditionFailed    412  a write whose graph is not as the writer expects
├── TooLarge              413  a body beyond the limit
├── UnsupportedMedia      415  a body in a format that cannot be read
├── BadData               400  an RDF file that does not parse, with file and line
├── Refused               422  facts that do not conform to the shapes, with the report
├── TooMany               429  more work waiting than the server takes
├── Unreachable           502  a server, or an endpoint that a query calls, gives no answer or half of one
├── NotReady              503  no worker answers
├── Stopped               503  a query or a load that hit its deadline or its memory limit
│   └── Oversize          503  an answer with more rows or bytes than it may have
└── StoreFailure          500  the store cannot be read or written

Each class knows the HTTP status it maps to and the exit status of the command line: 1 when input was
refused, 2 when the command was used wrongly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kg.report import Report


class ParleyError(Exception):
    """An error that a person can act on. `message` says what is wrong, `hint` what would be right."""

    status = 500
    exit_code = 1
    title = "Internal error"
    #: The traceback of a fault in a worker, for the log.
    origin = ""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()

    def details(self) -> dict[str, Any]:
        """Members of the problem document beyond type, title, status and detail."""
        return {}


class BadRequest(ParleyError):
    status, exit_code, title = 400, 2, "Bad request"


class BadQuery(BadRequest):
    title = "Query refused"


class Unauthorized(ParleyError):
    status, exit_code, title = 401, 2, "Token needed"


class Forbidden(ParleyError):
    status, exit_code, title = 403, 2, "Not allowed"


class NotFound(ParleyError):
    status, exit_code, title = 404, 2, "Not found"


class NotAcceptable(ParleyError):
    status, exit_code, title = 406, 2, "Format not available"


class Conflict(ParleyError):
    status, exit_code, title = 409, 2, "Conflict"


class PreconditionFailed(ParleyError):
    status, exit_code, title = 412, 1, "Precondition failed"


class TooLarge(ParleyError):
    status, exit_code, title = 413, 1, "Too large"


class UnsupportedMedia(ParleyError):
    status, exit_code, title = 415, 2, "Format not readable"


class BadData(ParleyError):
    """An RDF file that does not parse. `file` and `line` (from 1) say where, if known."""

    status, exit_code, title = 400, 1, "Data not readable"

    def __init__(self, message: str, hint: str = "", *, file: str = "", line: int | None = None) -> None:
        super().__init__(message, hint)
        self.file, self.line = file, line

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}: " if self.file and self.line else f"{self.file}: " if self.file else ""
        return f"{place}{super().__str__()}"

    def details(self) -> dict[str, Any]:
        return {"file": self.file, "line": self.line}


class Refused(ParleyError):
    """Facts that break a shape. `report` lists what to mend."""

    status, exit_code, title = 422, 1, "Facts refused"

    def __init__(self, report: Report) -> None:
        count = len(report.violations)
        super().__init__(
            f"{count} fact{'s do' if count != 1 else ' does'} not conform to the shapes; nothing was changed."
        )
        self.report = report

    def details(self) -> dict[str, Any]:
        return {"report": self.report.as_dict()}


class TooMany(ParleyError):
    status, title = 429, "Too many requests"


class Unreachable(ParleyError):
    status, title = 502, "No answer from elsewhere"


class NotReady(ParleyError):
    status, title = 503, "Not ready"


class Stopped(ParleyError):
    status, title = 503, "Stopped"


class Oversize(Stopped):
    title = "Answer too large"


class StoreFailure(ParleyError):
    title = "Store failure"


def from_problem(status: int, document: dict[str, Any]) -> ParleyError:
    """The error that a server told with this status and problem document, which may be empty."""
    detail, hint = str(document.get("detail") or ""), str(document.get("hint") or "")
    if status == Refused.status and isinstance(document.get("report"), dict):
        from kg.report import Report

        return Refused(Report.from_dict(document["report"]))
    kind = _kind(status, document.get("title"))
    message = detail.removesuffix(hint).strip() or f"The server answers with the status {status}."
    if kind is not BadData:
        return kind(message, hint)
    told = BadData("", file=str(document.get("file") or ""), line=document.get("line"))
    return BadData(message.removeprefix(str(told)).strip(), hint, file=told.file, line=told.line)


def _kind(status: int, title: Any) -> type[ParleyError]:
    """The class with this status and title, else the widest one with the status."""
    kinds: list[type[ParleyError]] = [ParleyError]
    for kind in kinds:
        kinds += kind.__subclasses__()
    fitting = [kind for kind in kinds if kind.status == status and not issubclass(kind, Refused)]
    return next((kind for kind in fitting if kind.title == title), next(iter(fitting), ParleyError))
