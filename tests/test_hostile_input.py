"""Files that would exhaust, stop or mislead a command that loads them without care, and updates that would: each ends
with one clear line and changes nothing. What is sent to a server is in test_http_limits.py."""

from __future__ import annotations

import gzip
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kg.errors import BadData
from kg.parsing import Document
from kg.store import Versions
from tests.server import AUTHORIZED, KG, Server, environment, select, served

#: Megabytes that a command may give to the process which reads the file.
MEMORY = 1600
MB = 1 << 20
RDF = "<rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#' xmlns:x='urn:x:'>"
OPEN = f"{RDF}<rdf:Description rdf:about='urn:s'><x:p>"
CLOSE = "</x:p></rdf:Description></rdf:RDF>"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A bare store with one fact in the graph that the files are for: it takes every fact that can be read."""
    home = tmp_path / "home"
    Versions.create(home, bare=True)
    (tmp_path / "first.nt").write_text('<urn:s> <urn:p> "kept" .\n')
    assert run(home, "load", "--graph", "urn:g", str(tmp_path / "first.nt")) == (0, "")
    return home


def run(home: Path, *arguments: str, folder: Path | None = None) -> tuple[int, str]:
    """The exit status of a command and its standard error; no process of it may have held more than its memory."""
    log = home.with_name("errors")
    with log.open("w") as errors:
        process = subprocess.Popen(
            [KG, *arguments],
            cwd=folder,
            env=environment(KG_HOME=str(home), KG_MEMORY=str(MEMORY)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert usage.ru_maxrss < MEMORY * 1024  # kilobytes; the largest of the command and those that it started
    return process.returncode, log.read_text()


def refused(home: Path, *arguments: str) -> str:
    """The one line of a command that must fail and leave the store as it is."""
    status, errors = run(home, *arguments)
    assert status in (1, 2), (status, errors[:1000])
    assert errors.startswith("kg: ")
    assert errors.count("\n") == 1, errors[:1000]
    assert len(errors) < 1000
    assert errors.strip().isprintable()
    assert Versions(home).current() == 1
    return errors


def nested(left: str, middle: str, right: str, levels: int) -> str:
    return left * levels + middle + right * levels


def laughs() -> str:
    """An entity of ten entities of ten entities …: a kilobyte that unfolds to 100 GB."""
    entities = "".join(f"<!ENTITY a{n + 1} '{f'&a{n};' * 10}'>" for n in range(10))
    return f"<!DOCTYPE x [<!ENTITY a0 '0123456789'>{entities}]>{OPEN}&a10;{CLOSE}"


#: Files that cannot be read, by name: their content, and a part of what is said.
MALFORMED: dict[str, tuple[str | bytes, str]] = {
    "entities.rdf": (laughs(), "A DOCTYPE is not allowed"),
    "entity-of-a-file.rdf": (f"<!DOCTYPE x [<!ENTITY a SYSTEM 'file:///etc/passwd'>]>{OPEN}&a;{CLOSE}", "DOCTYPE"),
    "doctype-elsewhere.rdf": (f"<!DOCTYPE x SYSTEM 'http://127.0.0.1:1/x.dtd'>{RDF}</rdf:RDF>", "DOCTYPE"),
    "doctype-late.rdf": (f"<?xml version='1.0'?>\n<!-- x -->\n<!DOCTYPE\nx>{RDF}</rdf:RDF>", "DOCTYPE"),
    "doctype-in-utf-16.rdf": (
        f"<?xml version='1.0' encoding='UTF-16'?><!DOCTYPE x [<!ENTITY a 'b'>]>{OPEN}&a;{CLOSE}".encode("utf-16"),
        "DOCTYPE",
    ),
    "doctype-in-small.rdf": (f"<!doctype x [<!ENTITY a 'b'>]>{RDF}</rdf:RDF>", "The XML does not parse"),
    "entity-of-nobody.rdf": (f"{OPEN}&a;{CLOSE}", "undefined entity"),
    "deep.rdf": (RDF + "<x:a><x:b>" * 100_000, "More than 500 elements are nested"),
    "deep-triple-terms.nq": ("<urn:s> <urn:p> " + nested("<<( <urn:s> <urn:p> ", "1", ")>>", 50_000) + " .", ""),
    "deep-lists.trig": ("<urn:g> { <urn:s> <urn:p> " + "(" * 200_000, ""),
    "deep-graphs.trig": ("<urn:g> {" * 200_000, ""),
    "deep-lists.jsonld": ('{"@id": "urn:s", "urn:p": ' + nested('{"@list": [', "1", "]}", 100_000) + "}", "stack"),
    "deep-contexts.jsonld": ('{"@context": ' + '{"a": {"@id": "urn:a", "@context": ' * 100_000, "stack"),
    "utf-16.ttl": ("<urn:s> <urn:p> 'é' .".encode("utf-16"), "UTF-8"),
    "utf-16.rdf": (f"<?xml version='1.0' encoding='UTF-16'?>{OPEN}é{CLOSE}".encode("utf-16"), "UTF-8"),
    "utf-16.jsonld": ('{"@id": "urn:s", "urn:p": "é"}'.encode("utf-16"), "FF"),
    "utf-7.rdf": (f"<?xml version='1.0' encoding='UTF-7'?>+ADwAIQ-DOCTYPE x+AD4-{RDF}</rdf:RDF>", "Save it as UTF-8"),
    "unheard-of.rdf": (f"<?xml version='1.0' encoding='nonsense'?>{RDF}</rdf:RDF>", "UTF-8"),
    "latin-1.ttl": ("<urn:s> <urn:p> 'é' .".encode("latin-1"), "UTF-8"),
    "latin-1.rdf": (f"<?xml version='1.0' encoding='ISO-8859-1'?>{OPEN}é{CLOSE}".encode("latin-1"), "UTF-8"),
    "nul.ttl": ("<urn:s> <urn:p> \0 .", r"\u0000"),
    "nul.rdf": (f"{OPEN}\0{CLOSE}", "invalid token"),
    "nul.jsonld": ('{"@id": "urn:s", "urn:p": "\0"}', r"\u0000"),
    "terminal-codes.ttl": ("<urn:s> <urn:p> \x1b[31mred .", r"\u001B"),
    "three-byte-order-marks.ttl": ("\ufeff\ufeff\ufeff<urn:s> <urn:p> 1 .", r"\uFEFF"),
    "half-of-a-pair.nt": (r'<urn:s> <urn:p> "\uD800" .', "D800"),
    "half-of-a-pair.jsonld": (r'{"@id": "urn:s", "urn:p": "\ud800"}', ""),
    "language.ttl": ("<urn:s> <urn:p> 'a'@muchtoolonga .", "eight characters"),
    "language.rdf": (OPEN.replace("<x:p", "<x:p xml:lang='no language'") + CLOSE, "language tag"),
    "datatype.ttl": ("<urn:s> <urn:p> 'a'^^<no iri> .", "Invalid IRI"),
    "datatype-that-is-none.ttl": ("<urn:s> <urn:p> 'a'^^'b' .", "datatype IRI"),
    "datatype-of-a-language.ttl": (
        "<urn:s> <urn:p> 'a'^^<http://www.w3.org/1999/02/22-rdf-syntax-ns#langString> .",
        "language tag",
    ),
    "language-and-datatype.jsonld": (
        '{"@id": "urn:s", "urn:p": {"@value": "a", "@language": "en", "@type": "urn:t"}}',
        "cannot be used together",
    ),
    "no-scheme.nt": ("<://x> <urn:p> <urn:o> .", "scheme"),
    "no-host.ttl": ("<urn:s> <urn:p> <http://[::1> .", "host"),
    "space-in-an-iri.ttl": (r"<urn:a\u0020b> <urn:p> 1 .", "Invalid IRI"),
    "line-end-in-an-iri.ttl": ("<urn:a\nb> <urn:p> 1 .", "Invalid IRI"),
    "context-elsewhere.jsonld": ('{"@context": "http://127.0.0.1:1/c", "@id": "urn:s", "x": 1}', "remote context"),
    "context-imported.jsonld": (
        '{"@context": {"@version": 1.1, "@import": "http://127.0.0.1:1/c"}, "@id": "urn:s", "x": 1}',
        "remote context",
    ),
    "context-in-a-circle.jsonld": ('{"@context": {"a": "b:x", "b": "a:y"}, "@id": "urn:s", "a": 1}', "Cyclic"),
    "many-properties.ttl": ("<urn:s> " + "<urn:p> 1 ; " * 50_000, "Unexpected end"),
    "long-name.ttl": ("<urn:s> <urn:p> " + "x" * MB, "xxx …"),
    "packed-twice.ttl.gz": (gzip.compress(gzip.compress(b"<urn:s> <urn:p> 1 .")), r"\u001F"),
    "cut-short.nt.gz": (gzip.compress(b"<urn:s> <urn:p> <urn:o> .\n" * 1000)[:-12], "cannot be read"),
    "wrong-sum.nt.gz": (gzip.compress(b"<urn:s> <urn:p> <urn:o> .\n")[:-8] + bytes(8), "cannot be read"),
    "not-packed.nt.gz": ("<urn:s> <urn:p> <urn:o> .\n", "cannot be read"),
}


def test_a_file_that_cannot_be_read_is_refused_with_one_line_that_names_it(home: Path) -> None:
    """All in one test: each case is a process or two, and the store is the same."""
    for name, (content, part) in MALFORMED.items():
        file = home.with_name(name)
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        command = ("load", "validate")[len(name) % 2]
        errors = refused(home, command, "--graph", "urn:g", str(file))
        assert name in errors
        assert part in errors, (name, errors)


def packed(start: str, times: int) -> bytes:
    """A start and then one letter without end, of 16 MB each time."""
    return gzip.compress(start.encode()) + gzip.compress(b"x" * (16 * MB)) * times


#: Files that are more than the memory holds, or would keep a parser busy for hours, by name.
LARGE: dict[str, Callable[[], bytes]] = {
    "literal.ttl": lambda: b"<urn:s> <urn:p> '" + b"x" * (100 * MB) + b"' .",
    "literal.nq": lambda: b'<urn:s> <urn:p> "' + b"x" * (100 * MB) + b'" <urn:g> .',
    "key.jsonld": lambda: b'{"@id": "urn:s", "' + b"x" * (100 * MB) + b'": 1}',
    "iri.ttl": lambda: b"<urn:" + b"x" * (100 * MB) + b"> <urn:p> 1 .",
    "comment.ttl": lambda: b"#" + b"x" * (100 * MB),
    "element.rdf": lambda: b"<" + b"x" * (20 * MB),
    "literal.ttl.gz": lambda: packed("<urn:s> <urn:p> '", 200),
    "comment.ttl.gz": lambda: packed("#", 200),
    "key.jsonld.gz": lambda: packed('{"', 200),
}


@pytest.mark.parametrize("name", LARGE)
def test_a_file_that_does_not_fit_into_memory_is_refused_with_one_line(home: Path, name: str) -> None:
    file = home.with_name(name)
    file.write_bytes(LARGE[name]())
    refused(home, "load", "--graph", "urn:g", str(file))


#: Files that unpack to more than may be, piece by piece, or to more facts than fit into memory.
LONG: dict[str, Callable[[], bytes]] = {
    "blank-nodes.nt": lambda: b"".join(b"_:b%d <urn:p> _:b%d .\n" % (n, n) for n in range(1_000_000)),
    "comments.ttl.gz": lambda: gzip.compress(b"#\n" * (8 * MB)) * 270,
    "text.rdf.gz": lambda: packed(OPEN, 300),
    "spaces.jsonld.gz": lambda: gzip.compress(b" " * (16 * MB)) * 300,
    "facts.nt.gz": lambda: gzip.compress(b"".join(b"<urn:s> <urn:p%d> 1 .\n" % n for n in range(1_000_000))) * 5,
}


@pytest.mark.long
@pytest.mark.parametrize("name", LONG)
def test_a_file_that_goes_on_and_on_is_refused_with_one_line(home: Path, name: str) -> None:
    file = home.with_name(name)
    file.write_bytes(LONG[name]())
    refused(home, "load", "--graph", "urn:g", str(file))


#: Files that are odd and yet can be read.
ODD: dict[str, str] = {
    "schemes.nt": "<javascript:alert(1)> <urn:p> <data:text/html,x> .\n<urn:s> <urn:p> <file:///etc/passwd> .\n",
    "nul-in-a-literal.ttl": "<urn:s> <urn:p> 'a\0b' .",
    "many-prefixes.ttl": "".join(f"@prefix p{n}: <urn:{n}:> .\n" for n in range(200_000)) + "p1:s p2:p p3:o .",
    "deep-blank-nodes.trig": "<urn:g> { " + nested("[ <urn:p> ", "1", "]", 20_000) + " . }",
    "long-text.rdf": OPEN + "x" * (20 * MB) + CLOSE,
    "long-attribute.rdf": f"{RDF}<rdf:Description rdf:about='urn:s' x:p='{'x' * (20 * MB)}'/></rdf:RDF>",
}


@pytest.mark.parametrize("name", ODD)
def test_a_file_that_is_odd_and_sound_is_read(home: Path, name: str) -> None:
    file = home.with_name(name)
    file.write_text(ODD[name])
    assert run(home, "load", "--graph", "urn:g", str(file)) == (0, "")
    assert Versions(home).current() == 2


class TestNoRegularFile:
    def test_a_pipe_that_nobody_writes_to_is_not_waited_for(self, home: Path) -> None:
        os.mkfifo(home.with_name("pipe.ttl"))
        assert "is no regular file" in refused(home, "load", "--graph", "urn:g", str(home.with_name("pipe.ttl")))

    def test_an_endless_device_is_not_read(self, home: Path) -> None:
        home.with_name("zero.ttl").symlink_to("/dev/zero")
        assert "is no regular file" in refused(home, "validate", "--graph", "urn:g", str(home.with_name("zero.ttl")))

    def test_a_pipe_in_a_folder_is_not_waited_for(self, home: Path) -> None:
        folder = home.with_name("folder")
        folder.mkdir()
        (folder / "good.nt").write_text("<urn:s> <urn:p> <urn:new> .\n")
        (folder / "self").symlink_to(folder)
        os.mkfifo(folder / "pipe.ttl")
        assert run(home, "load", "--graph", "urn:g", str(folder)) == (0, "")
        assert Versions(home).current() == 2

    def test_a_link_to_itself_is_wrong_usage(self, home: Path) -> None:
        loop = home.with_name("loop.ttl")
        loop.symlink_to(loop)
        status, errors = run(home, "load", "--graph", "urn:g", str(loop))
        assert status == 2
        assert "loop.ttl" in errors.splitlines()[-1]


def test_a_folder_with_modules_of_its_own_is_a_safe_place_to_work_in(home: Path, tmp_path: Path) -> None:
    for name in ("json.py", "kg.py", "socket.py"):
        (tmp_path / name).write_text("raise SystemExit('run by mistake')\n")
    (tmp_path / "second.nt").write_text("".join(f"<urn:s> <urn:p> <urn:{n}> .\n" for n in range(20_000)))
    assert run(home, "load", "--graph", "urn:h", "second.nt", folder=tmp_path) == (0, "")
    assert Versions(home).current() == 2


@pytest.mark.parametrize("change", [b"", b"<urn:s> <urn:p> <urn:new> .\n" * 100_000], ids=["emptied", "written anew"])
def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path: Path, change: bytes) -> None:
    file = tmp_path / "notes.nt"
    file.write_bytes(b"<urn:s> <urn:p> <urn:old> .\n" * 50_000)
    quads = Document.from_file(file).quads()
    next(quads)
    file.write_bytes(change)
    with pytest.raises(BadData, match=r"notes\.nt:.*(The file changed while it was read|Unexpected end)\."):
        list(quads)


FILTERED = "INSERT { GRAPH <urn:g> { ?s ?p ?o } } WHERE { GRAPH <urn:g> { ?s ?p ?o } FILTER(%s) }"

#: Updates that end a process which parses them without care.
UPDATES = {
    "groups": "INSERT { GRAPH <urn:g> { <urn:a> <urn:p> 1 } } WHERE " + nested("{", "?s ?p ?o", "}", 10_000),
    "parentheses": FILTERED % nested("(", "true", ")", 20_000),
    "functions": FILTERED % nested("ABS(", "1", ")", 20_000),
    "optionals": "DELETE { GRAPH <urn:g> { ?s ?p ?o } } WHERE " + nested("{ OPTIONAL ", "{}", "}", 5_000),
    "lists": "INSERT DATA { GRAPH <urn:g> { <urn:s> <urn:p> " + nested("(", "", ")", 20_000) + " } }",
    "blank nodes": "INSERT DATA { GRAPH <urn:g> { " + nested("[ <urn:p> ", "1", "]", 10_000) + " } }",
    "a chain of more than the tokens": FILTERED % " || ".join(["?o = 1"] * 50_000),
    "never closed": "INSERT DATA { GRAPH <urn:g> {" * 5_000,
    "a file": "LOAD <file:///etc/passwd> INTO GRAPH <urn:g>",
    "a service": "INSERT { GRAPH <urn:g> { ?s ?p ?o } } WHERE { SERVICE <http://127.0.0.1:1/> { ?s ?p ?o } }",
    "a string that doubles": "INSERT { GRAPH <urn:g> { <urn:s> <urn:p> ?x40 } } WHERE { BIND('xxxxxxxx' AS ?x0) "
    + "".join(f"BIND(CONCAT(?x{n}, ?x{n}) AS ?x{n + 1}) " for n in range(40))
    + "}",
}


def test_an_update_that_would_end_the_process_is_refused_with_one_line(home: Path) -> None:
    file = home.with_name("update.ru")
    for name, text in UPDATES.items():
        file.write_text(text)
        assert refused(home, "update", "--file", str(file)), name


def test_a_long_chain_within_the_bounds_is_applied_or_refused_and_no_end_of_the_process(home: Path) -> None:
    file = home.with_name("update.ru")
    file.write_text(FILTERED % " || ".join(["?o = 1"] * 3_000))
    assert run(home, "update", "--file", str(file)) == (0, "")
    assert Versions(home).current() == 1


@pytest.fixture
def server(home: Path) -> Iterator[Server]:
    with served(home, KG_MEMORY=str(MEMORY)) as server:
        yield server


#: Uploads that their limits on bytes let through.
UPLOADS: dict[str, Callable[[], bytes]] = {
    "text/turtle": LARGE["literal.ttl"],
    "application/ld+json": LARGE["key.jsonld"],
    "application/rdf+xml": LARGE["element.rdf"],
    "application/n-triples": LARGE["comment.ttl"],
}


def test_a_server_goes_on_after_uploads_that_do_not_fit(server: Server) -> None:
    with server.client() as client:
        for media, content in UPLOADS.items():
            headers = {"Content-Type": media, **AUTHORIZED}
            answer = client.put("/graphs", params={"graph": "urn:g"}, content=content(), headers=headers)
            assert answer.status_code in (400, 413, 503), (media, answer.text[:1000])
            assert answer.headers["content-type"] == "application/problem+json"
            assert len(answer.text) < 1000
            assert server.alive
            assert select(client, "SELECT ?o { GRAPH ?g { ?s ?p ?o } }") == [{"o": "kept"}]
    assert Versions(server.home).current() == 1
