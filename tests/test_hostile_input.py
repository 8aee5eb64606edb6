"""Files that would exhaust, stop or mislead a command that loads them without care, and updates that would: each ends
with one clear line and changes nothing. What is sent to a server is in test_http_limits.py."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bench.corpus import FILTERED, LARGE, LONG, MALFORMED, ODD, UPDATES
from kg.errors import BadData
from kg.parsing import Document
from kg.store import Versions
from tests.server import AUTHORIZED, KG, Server, environment, select, served

#: Megabytes that a command may give to the process which reads the file.
MEMORY = 1600


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


def test_a_file_that_cannot_be_read_is_refused_with_one_line_that_names_it(home: Path) -> None:
    """All in one test: each case is a process or two, and the store is the same."""
    for name, (content, part) in MALFORMED.items():
        file = home.with_name(name)
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        command = ("load", "validate")[len(name) % 2]
        errors = refused(home, command, "--graph", "urn:g", str(file))
        assert name in errors
        assert part in errors, (name, errors)


@pytest.mark.parametrize("name", LARGE)
def test_a_file_that_does_not_fit_into_memory_is_refused_with_one_line(home: Path, name: str) -> None:
    file = home.with_name(name)
    file.write_bytes(LARGE[name]())
    refused(home, "load", "--graph", "urn:g", str(file))


@pytest.mark.long
@pytest.mark.parametrize("name", LONG)
def test_a_file_that_goes_on_and_on_is_refused_with_one_line(home: Path, name: str) -> None:
    file = home.with_name(name)
    file.write_bytes(LONG[name]())
    refused(home, "load", "--graph", "urn:g", str(file))


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
