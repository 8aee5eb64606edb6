"""A client of a Parley server, for programs in Python.

    from kg.client import Client

    parley = Client("http://127.0.0.1:8000")
    for row in parley.question("rounds", negotiation="us-jp"):
        print(row["number"], row["from"], row["place"])

Errors of the server come back as the classes of `kg.errors`, and a server that does not answer as `Unreachable`.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Mapping
from datetime import date
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.error import HTTPError
from urllib.parse import quote, urlencode, urlsplit
from urllib.request import Request, urlopen

from SPARQLWrapper import INSERT, POST, SELECT, SPARQLWrapper

from kg import formats
from kg.answers import Rows
from kg.errors import BadRequest, NotAcceptable, Oversize, Unreachable, from_problem
from kg.formats import Format
from kg.limits import TRUNCATED
from kg.terms import PREFIXES

if TYPE_CHECKING:
    import pandas
    import rdflib

#: What a question takes for a parameter; a day may be a `date`.
Given = str | int | date


class Client:
    """A server, by its address. The token is for writing; `timeout` is how long it may keep silent, in seconds.

    Every method raises ParleyError: of the class that the server says, or Unreachable.
    """

    def __init__(self, url: str, token: str | None = None, timeout: float = 60.0) -> None:
        if urlsplit(url).scheme not in ("http", "https"):
            raise BadRequest(f"{url!r} is no address of a server.", "Give one such as http://127.0.0.1:8000.")
        self._url, self._token, self._timeout = url.rstrip("/"), token, timeout

    def query(
        self,
        text: str,
        *,
        default_graphs: Iterable[str] = (),
        named_graphs: Iterable[str] = (),
        deadline: float | None = None,
    ) -> Rows:
        """The rows of a SELECT query, with Python values; see `kg.answers`.

        Graphs narrow what the query sees, and `deadline` is in seconds, less than the server's own.
        """
        dataset = {"default-graph-uri": default_graphs, "named-graph-uri": named_graphs}
        answer = self._ask(text, formats.ROWS[0], dataset, deadline)
        if "boolean" in answer:
            raise BadRequest("This is an ASK query, which has no rows.", "Use ask().")
        return Rows.from_json(answer)

    def ask(self, text: str) -> bool:
        """Whether an ASK query holds."""
        answer = self._ask(text, formats.ROWS[0])
        if "boolean" not in answer:
            raise BadRequest("This is a SELECT query, which is neither true nor false.", "Use query().")
        return bool(answer["boolean"])

    def construct(self, text: str) -> rdflib.Graph:
        """The graph of a CONSTRUCT or DESCRIBE query."""
        from rdflib import Graph

        form = formats.named("ntriples", formats.GRAPHS)
        try:
            body = self._send(self._query(text, form))
        except NotAcceptable:
            raise BadRequest("This query gives rows, not a graph.", "Use query() or ask().") from None
        graph = Graph(bind_namespaces="none")
        for prefix, namespace in PREFIXES.items():
            graph.bind(prefix, namespace)
        return graph.parse(data=body, format="nt")

    def frame(self, text: str) -> pandas.DataFrame:
        """The rows of a SELECT query as a pandas frame (`pip install parley-kg[pandas]`); see `Rows.frame`."""
        return self.query(text).frame()

    def questions(self) -> list[dict[str, Any]]:
        """The named questions, each with its `name`, `question`, `parameters` and `columns`."""
        questions: list[dict[str, Any]] = self._json("GET", "/questions")
        return questions

    def question(self, name: str, **parameters: Given) -> Rows:
        """The answer to a named question.

        Where Python has no such name for a parameter, `from_` stands for `from`, and `authority_voided` for
        `authority-voided`.
        """
        given = {key.rstrip("_").replace("_", "-"): str(value) for key, value in parameters.items()}
        path = f"/questions/{quote(name, safe='')}"
        return Rows.from_json(self._json("GET", path, given, accept=formats.ROWS[0].media[0]))

    def rate(
        self,
        importer: str,
        origin: str,
        product: str,
        on: str | date,
        *,
        known_on: str | date = "",
        conditions: Iterable[str] = (),
    ) -> dict[str, Any]:
        """The duty rate on a product, explained; `total` is None where the graph does not know. See docs/http.md."""
        given = {"importer": importer, "origin": origin, "product": product, "on": str(on), "knownOn": str(known_on)}
        answer: dict[str, Any] = self._json("GET", "/rate", {**given, "condition": list(conditions)})
        return answer

    def history(self) -> list[dict[str, Any]]:
        """The commits, the newest first."""
        history: list[dict[str, Any]] = self._json("GET", "/history")
        return history

    def load(
        self,
        source: Path | str,
        *,
        graph: str = "",
        format: str = "turtle",
        mode: Literal["replace", "merge"] = "replace",
        dry_run: bool = False,
    ) -> dict[str, Any]:
        """Load a file (a Path) or a text into its graph. The answer is that of a write in docs/http.md.

        A file is of the format that its ending says, and its name names its source unless `graph` does. A data set
        (TriG, N-Quads) names its graphs itself.

        Raises:
            Refused: the facts do not conform; the error has the report. Nothing was changed.
        """
        if isinstance(source, Path):
            data, form, graph = _file(source, graph)
        else:
            data = gzip.compress(source.encode())
            form = formats.named(format, (*formats.GRAPHS, *formats.DATASETS))
        headers = {"Content-Type": form.content_type, "Content-Encoding": "gzip"}
        given = {"graph": [graph] if graph else [], **_dry(dry_run)}
        method = "PUT" if mode == "replace" else "POST"
        return self._write(self._request(method, "/graphs", given, data=data, headers=headers))

    def update(self, text: str, *, dry_run: bool = False) -> dict[str, Any]:
        """Change facts by SPARQL Update; what holds of `load` holds here."""
        protocol = self._protocol(text, "application/json", INSERT)
        for name, value in _dry(dry_run).items():
            protocol.addParameter(name, value)
        return self._write(protocol.request())

    def remove(self, graph: str, *, dry_run: bool = False) -> dict[str, Any]:
        """Remove a graph; what holds of `load` holds here."""
        return self._write(self._request("DELETE", "/graphs", {"graph": graph, **_dry(dry_run)}))

    def _ask(
        self,
        text: str,
        form: Format,
        dataset: Mapping[str, Iterable[str]] | None = None,
        deadline: float | None = None,
    ) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = _parsed(self._send(self._query(text, form, dataset or {}, deadline)))
        except NotAcceptable:
            raise BadRequest("This query gives a graph, not rows.", "Use construct().") from None
        return answer

    def _query(
        self,
        text: str,
        form: Format,
        dataset: Mapping[str, Iterable[str]] | None = None,
        deadline: float | None = None,
    ) -> Request:
        protocol = self._protocol(text, form.media[0], SELECT)
        for name, graphs in (dataset or {}).items():
            for graph in graphs:
                protocol.addParameter(name, graph)
        if deadline is not None:
            protocol.addParameter("timeout", str(deadline))
        return protocol.request()

    def _protocol(self, text: str, accept: str, kind: str) -> _Protocol:
        protocol = _Protocol(f"{self._url}/sparql", updateEndpoint=f"{self._url}/update")
        protocol.setMethod(POST)
        protocol.setOnlyConneg(True)
        protocol.addCustomHttpHeader("Accept", accept)
        # Not setQuery: it guesses the kind from the first word that looks like one, in an IRI too.
        protocol.queryString, protocol.queryType = text, kind
        return protocol

    def _json(self, method: str, path: str, given: Mapping[str, Any] | None = None, **headers: str) -> Any:
        return _parsed(self._send(self._request(method, path, given or {}, headers=headers)))

    def _request(
        self,
        method: str,
        path: str,
        given: Mapping[str, Any],
        *,
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Request:
        query = urlencode(given, doseq=True)
        headers = {"Accept": "application/json", **(headers or {})}
        return Request(f"{self._url}{path}?{query}".rstrip("?"), data, headers, method=method)  # noqa: S310

    def _write(self, request: Request) -> dict[str, Any]:
        if self._token:
            request.add_unredirected_header("Authorization", f"Bearer {self._token}")
        outcome: dict[str, Any] = _parsed(self._send(request))
        return outcome

    def _send(self, request: Request) -> bytes:
        """The whole answer.

        Raises:
            ParleyError: an error of the server, or an answer that does not come, breaks off, or is cut.
        """
        try:
            with urlopen(request, timeout=self._timeout) as answer:  # noqa: S310 – the scheme was looked at
                if cut := answer.headers.get(TRUNCATED):
                    raise Oversize(f"The server cuts its answer ({cut}).", "Ask for less at a time, with LIMIT.")
                body: bytes = answer.read()
                return body
        except HTTPError as error:
            raise from_problem(error.code, _problem(error)) from None
        except (OSError, HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            raise Unreachable(
                f"{self._url} does not answer, or breaks off: {type(reason).__name__}: {reason}.",
                "Does the server run, and is this its address?",
            ) from None


class _Protocol(SPARQLWrapper):
    """The library makes the requests and does not send them: of an error it would keep no more than a text."""

    def request(self) -> Request:
        request: Request = self._createRequest()
        return request


def _problem(error: HTTPError) -> dict[str, Any]:
    """The problem document of an error; empty if it has none, or one that breaks off."""
    try:
        with error:
            document = json.loads(error.read())
    except (OSError, HTTPException, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


def _dry(dry_run: bool) -> dict[str, str]:
    return {"dry-run": "true"} if dry_run else {}


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        raise Unreachable(
            "The answer is not whole, or no JSON.", "Is this the address of a Parley server, with no page before it?"
        ) from None


def _file(path: Path, graph: str) -> tuple[bytes, Format, str]:
    """What a file holds, packed, its format, and the graph that it is for."""
    from kg.parsing import Document

    document = Document.from_file(path, graph or None)
    data = path.read_bytes()
    packed = data if path.suffix == ".gz" else gzip.compress(data)
    return packed, document.format, document.graph if document.claims_graph else graph
