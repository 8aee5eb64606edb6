"""Backups: whole or not there at all, made while others write; and stores made of them, or nothing."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pyoxigraph as ox
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kg.backup import Manifest, back_up, restore, verify
from kg.durable import locked
from kg.errors import BadData, BadRequest, Conflict, ParleyError, StoreFailure
from kg.quads import TOP
from kg.repairing import repair
from kg.store import FORMAT, Versions
from tests.damage import Snapshot, fill, snapshot
from tests.effort import tries
from tests.sources import CONCESSION, put
from tests.test_cli import done, kg, refused
from tests.test_past import content
from tests.test_store import WRITER, commit, quad


def silent(step: str, done: int = 0, total: int = 0) -> None:
    """Tell nobody."""


def saved(versions: Versions, file: Path) -> Manifest:
    return back_up(versions, file, silent)


@pytest.fixture(scope="module", params=[False, True], ids=["full", "bare"])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Versions, Snapshot]:
    versions = fill(Versions.create(tmp_path_factory.mktemp("made") / "store", bare=request.param))
    return versions, snapshot(versions)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backup of a small store."""
    folder = tmp_path_factory.mktemp("good")
    versions = fill(Versions.create(folder / "store", bare=False))
    saved(versions, folder / "good.tar")
    return folder / "good.tar"


def tree(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def refuse(file: Path, folder: Path, kind: type[ParleyError], match: str) -> None:
    """A restore must fail with an error, and leave nothing in a folder that is empty so far."""
    for home in (folder / "home", folder / "new" / "home"):
        with pytest.raises(kind, match=match):
            restore(file, home, silent)
        assert tree(folder) == []
    (folder / "home").mkdir()
    with pytest.raises(kind, match=match):
        restore(file, folder / "home", silent)
    assert tree(folder) == ["home"]
    (folder / "home").rmdir()


@pytest.mark.parametrize("name", ["b.tar", "b.tar.gz", "b.tgz", "backup"])
def test_restored_store_holds_every_version_that_the_first_held(
    made: tuple[Versions, Snapshot], tmp_path: Path, name: str
) -> None:
    """Its databases and all before it, through the change sets; and it goes on from there."""
    versions, before = made
    manifest = saved(versions, tmp_path / name)
    assert (manifest.version, manifest.facts) == (6, versions.record(6).quads)
    packed = (tmp_path / name).read_bytes()[:2] == b"\x1f\x8b"
    assert packed == name.endswith(("gz", "tgz"))
    assert verify(tmp_path / name, silent) == restore(tmp_path / name, tmp_path / "new" / "home", silent) == manifest
    again = Versions(tmp_path / "new" / "home")
    assert again.kept() == [6]
    assert snapshot(again) == before
    assert repair(again.home, silent) == []
    assert commit(again, quad("next")) is not None


def test_restore_takes_an_empty_folder_that_is_there(good: Path, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    restore(good, tmp_path / "home", silent)
    assert Versions(tmp_path / "home").current() == 6
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


def test_new_store_is_saved_and_restored(tmp_path: Path) -> None:
    saved(Versions.create(tmp_path / "store", bare=True), tmp_path / "b.tar")
    restore(tmp_path / "b.tar", tmp_path / "home", silent)
    again = Versions(tmp_path / "home")
    assert (again.current(), again.bare, content(again)) == (0, True, (set(), set()))


def test_backups_of_one_version_are_equal(made: tuple[Versions, Snapshot], tmp_path: Path) -> None:
    for name in ("one.tar.gz", "two.tar.gz"):
        saved(made[0], tmp_path / name)
    assert (tmp_path / "one.tar.gz").read_bytes() == (tmp_path / "two.tar.gz").read_bytes()


def test_backup_leaves_the_store_as_it_was(made: tuple[Versions, Snapshot], tmp_path: Path) -> None:
    before = tree(made[0].home)
    saved(made[0], tmp_path / "b.tar")
    assert set(tree(made[0].home)) - {"past", "past/lock", "locks/6"} == set(before) - {"past", "past/lock", "locks/6"}


def test_backup_while_another_process_writes_is_of_one_whole_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    versions = Versions.create(tmp_path / "store", bare=False)
    script = WRITER.replace("name, number", "import kg.store; kg.store.KEEP = 2\nname, number")
    writer = subprocess.Popen(
        [sys.executable, "-c", script, str(versions.home), "w"], stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    with writer, writer.stdout as output:
        try:
            assert output.readline() == "ready\n"
            for number in range(5):
                before, file, home = versions.current(), tmp_path / f"{number}.tar", tmp_path / str(number)
                manifest = saved(versions, file)
                assert before <= manifest.version == manifest.facts
                restore(file, home, silent)
                facts = {q for q in content(Versions(home))[0] if q.graph_name == ox.NamedNode("urn:g")}
                assert facts == {quad(f"w-{n}") for n in range(1, manifest.version + 1)}
            assert writer.poll() is None
        finally:
            writer.kill()
    assert versions.current() > 1


def test_backup_takes_the_place_of_an_older_one_when_it_is_whole(tmp_path: Path) -> None:
    versions = Versions.create(tmp_path / "store", bare=True)
    commit(versions, quad("a"))
    saved(versions, tmp_path / "b.tar")
    commit(versions, quad("b"))
    old = (tmp_path / "b.tar").read_bytes()
    versions.change_file(2).write_bytes(b"")
    with pytest.raises(StoreFailure, match=r"The change set of version 2 .* Run `kg repair`"):
        saved(versions, tmp_path / "b.tar")
    assert (tmp_path / "b.tar").read_bytes() == old
    repair(versions.home, silent)
    assert saved(versions, tmp_path / "b.tar").version == 2
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["b.tar"]


def test_damaged_store_is_not_saved(tmp_path: Path) -> None:
    versions = Versions.create(tmp_path / "store", bare=True)
    commit(versions, quad("a"), quad("b"))
    store = ox.Store(str(versions.home / "versions" / "1"))
    store.remove(quad("a"))
    store.flush()
    del store
    with pytest.raises(StoreFailure, match=r"Version 1 does not hold as many facts .* Run `kg repair`"):
        saved(versions, tmp_path / "b.tar")
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


@pytest.mark.parametrize("name", ["store/b.tar", "store/past/b.tar", "nowhere/b.tar", "store"])
def test_backup_has_a_file_of_its_own_outside_the_store(tmp_path: Path, name: str) -> None:
    versions = Versions.create(tmp_path / "store", bare=True)
    with pytest.raises(BadRequest, match=r"cannot hold a backup\. Give a file in a folder that is there"):
        saved(versions, tmp_path / name)


def test_two_backups_do_not_write_the_same_file(tmp_path: Path) -> None:
    versions = Versions.create(tmp_path / "store", bare=True)
    with (
        locked(tmp_path / "b.tar.part"),
        pytest.raises(Conflict, match=r"Another process writes .*b\.tar\.part"),
    ):
        saved(versions, tmp_path / "b.tar")
    saved(versions, tmp_path / "b.tar")  # what is left of one that was killed is in nobody's way
    assert verify(tmp_path / "b.tar", silent).version == 0


def test_folder_that_holds_a_store_is_left_alone(good: Path, tmp_path: Path) -> None:
    versions = Versions.create(tmp_path / "store", bare=True)
    commit(versions, quad("mine"))
    with pytest.raises(Conflict, match="holds a store already"):
        restore(good, versions.home, silent)
    assert content(versions)[0] == {quad("mine")}


@pytest.mark.parametrize("what", ["folder", "file"])
def test_what_is_not_empty_is_left_alone(good: Path, tmp_path: Path, what: str) -> None:
    home = tmp_path / "home"
    if what == "folder":
        home.mkdir()
        (home / "thesis.txt").write_text("mine")
    else:
        home.write_text("mine")
    before = tree(tmp_path)
    with pytest.raises(Conflict, match="is not empty"):
        restore(good, home, silent)
    assert tree(tmp_path) == before


@pytest.mark.parametrize("data", [b"", b"x" * 2000, b"\x1f\x8bnonsense", b"\0" * 10240])
def test_file_that_is_no_backup_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "b.tar").write_bytes(data)
    with pytest.raises(BadData, match=r"b\.tar: This is no whole backup of Parley"):
        verify(tmp_path / "in" / "b.tar", silent)
    (tmp_path / "out").mkdir()
    refuse(tmp_path / "in" / "b.tar", tmp_path / "out", BadData, "This is no whole backup of Parley")


def test_file_that_is_not_there_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(StoreFailure, match=r"none\.tar cannot be read: No such file"):
        verify(tmp_path / "none.tar", silent)
    refuse(tmp_path / "none.tar", tmp_path, StoreFailure, r"none\.tar cannot be restored to .*: No such file")


@settings(max_examples=tries(8), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_backup_cut_short_anywhere_is_refused(good: Path, tmp_path: Path, data: st.DataObject) -> None:
    """Up to the blocks of zeros that end a tar file."""
    whole = good.read_bytes()
    with tarfile.open(good) as tar:
        end = max(member.offset_data + member.size for member in tar.getmembers())
    (tmp_path / "cut.tar").write_bytes(whole[: data.draw(st.integers(0, end - 1))])
    (tmp_path / "out").mkdir(exist_ok=True)
    with pytest.raises(BadData, match="This is no whole backup of Parley"):
        restore(tmp_path / "cut.tar", tmp_path / "out" / "home", silent)
    assert tree(tmp_path / "out") == []


@settings(max_examples=tries(12), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_backup_with_a_turned_byte_is_refused_or_the_same(good: Path, tmp_path: Path, data: st.DataObject) -> None:
    """Not all bytes of a tar file mean something; those that do are found wrong, and nothing is left."""
    whole = bytearray(good.read_bytes())
    whole[data.draw(st.integers(0, len(whole) - 1))] ^= data.draw(st.integers(1, 255))
    (tmp_path / "turned.tar").write_bytes(whole)
    (tmp_path / "out").mkdir(exist_ok=True)
    try:
        manifest = verify(tmp_path / "turned.tar", silent)
    except BadData:
        with pytest.raises(BadData):
            restore(tmp_path / "turned.tar", tmp_path / "out" / "home", silent)
        assert tree(tmp_path / "out") == []
    else:
        assert manifest.members == verify(good, silent).members


Members = list[tuple[tarfile.TarInfo, bytes]]


def members(file: Path) -> Members:
    with tarfile.open(file) as tar:
        return [(member, (tar.extractfile(member) or io.BytesIO()).read()) for member in tar.getmembers()]


def packed(file: Path, parts: Members) -> Path:
    with tarfile.open(file, "w") as tar:
        for member, data in parts:
            tar.addfile(member, io.BytesIO(data))
    return file


def member(
    name: str, data: bytes = b"", kind: bytes = tarfile.REGTYPE, link: str = ""
) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size, info.type, info.linkname = len(data), kind, link
    return info, data


def listed(parts: Members, *names: str, **fields: object) -> Members:
    """The manifest made anew to list all that is there, and some names more; with other fields if given."""
    manifest = json.loads(parts[0][1])
    manifest["members"] = {m.name: (len(d), hashlib.sha256(d).hexdigest()) for m, d in parts[1:]}
    manifest["members"] |= {name: (0, hashlib.sha256().hexdigest()) for name in names}
    return [member("manifest.json", json.dumps({**manifest, **fields}).encode()), *parts[1:]]


#: What may be wrong with a tar file that is whole as such: how it comes about, and what is said.
FAULTY: dict[str, tuple[Callable[[Members], Members], str]] = {
    "a foreign member": (lambda p: [*p, member("thesis.txt", b"x")], "'thesis.txt' does not belong in it"),
    "a foreign member that is listed": (lambda p: listed([*p, member("thesis.txt", b"x")]), "does not list what"),
    "a name that leads out": (lambda p: listed([*p, member("../evil", b"x")]), "does not list what"),
    "a name that leads out of the database": (
        lambda p: listed([*p, member("database/../../evil", b"x")]),
        "does not list what",
    ),
    "an absolute name": (lambda p: listed([*p, member("/tmp/evil", b"x")]), "does not list what"),
    "a hidden file": (lambda p: listed([*p, member("database/.profile", b"x")]), "does not list what"),
    "a folder below the database": (lambda p: listed([*p, member("database/x/y", b"x")]), "does not list what"),
    "a symbolic link": (
        lambda p: listed([*p, member("database/link", kind=tarfile.SYMTYPE, link="/etc/passwd")]),
        "'database/link' does not belong in it",
    ),
    "a hard link": (
        lambda p: listed([*p, member("database/link", kind=tarfile.LNKTYPE, link="store.json")]),
        "'database/link' does not belong in it",
    ),
    "a device": (
        lambda p: listed([*p, member("database/null", kind=tarfile.CHRTYPE)]),
        "'database/null' does not belong in it",
    ),
    "a folder in place of a file": (
        lambda p: listed([*p, member("database/x", kind=tarfile.DIRTYPE)]),
        "'database/x' does not belong in it",
    ),
    "a member twice": (lambda p: [*p, p[-1]], "does not belong in it"),
    "a member that is missing": (lambda p: p[:-1], "is missing"),
    "a record that nobody lists": (
        lambda p: listed([x for x in p if x[0].name != "records/3.json"]),
        "does not list what a backup holds",
    ),
    "a version too many": (lambda p: listed(p, version=7), "does not list what a backup holds"),
    "no database": (
        lambda p: listed([x for x in p if not x[0].name.startswith("database")]),
        "does not list what a backup holds",
    ),
    "no manifest": (lambda p: p[1:], "does not begin with manifest.json"),
    "a manifest that comes late": (lambda p: [p[1], p[0], *p[2:]], "does not begin with manifest.json"),
    "a manifest that is no JSON": (lambda p: [member("manifest.json", b"{"), *p[1:]], "its manifest cannot be read"),
    "a manifest of another kind": (lambda p: [member("manifest.json", b"[]"), *p[1:]], "its manifest cannot be read"),
    "a manifest without checksums": (lambda p: listed(p, members={"store.json": 3}), "its manifest cannot be read"),
    "a manifest that is a link": (
        lambda p: [member("manifest.json", kind=tarfile.SYMTYPE, link="store.json"), *p[1:]],
        "does not begin with manifest.json",
    ),
    "another format": (lambda p: listed(p, format=2), "it has format 2, this package reads 1"),
    "another size": (
        lambda p: [*p[:-1], member(p[-1][0].name, p[-1][1] + b"x")],
        "bytes and should have",
    ),
    "another content": (
        lambda p: [p[0], member("store.json", p[1][1].replace(b"1", b"2")), *p[2:]],
        "store.json is damaged: its checksum is another",
    ),
}


@pytest.mark.parametrize("case", FAULTY)
def test_tar_file_that_is_no_backup_is_refused_and_leaves_nothing(good: Path, tmp_path: Path, case: str) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    change, message = FAULTY[case]
    file = packed(tmp_path / "in" / "bad.tar", change(members(good)))
    with pytest.raises(BadData, match=message):
        verify(file, silent)
    refuse(file, tmp_path / "out", BadData, message)
    assert tree(tmp_path) == ["in", "in/bad.tar", "out"]


def with_quads(name: str, data: bytes) -> bytes:
    """The record of the version saved with another number of facts; all else as it is."""
    return json.dumps({**json.loads(data), "quads": 7}).encode() if name == "records/6.json" else data


#: What only shows when the store is opened.
UNUSABLE: dict[str, tuple[Callable[[Members], Members], str]] = {
    "a store of another format": (
        lambda p: listed([p[0], member("store.json", p[1][1].replace(b"1", b"9")), *p[2:]]),
        f"has format 9, this package reads {FORMAT}",
    ),
    "a database that does not open": (
        lambda p: listed([member(m.name, b"x" if m.name == "database/CURRENT" else d) for m, d in p]),
        "The store in it does not open",
    ),
    "other numbers of facts": (lambda p: listed(p, facts=3), "its manifest 3"),
    "a record that contradicts the database": (
        lambda p: listed([member(m.name, with_quads(m.name, d)) for m, d in p]),
        "its record says 7",
    ),
}


@pytest.mark.parametrize("case", UNUSABLE)
def test_store_that_does_not_open_is_not_put_in_place(good: Path, tmp_path: Path, case: str) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    change, message = UNUSABLE[case]
    refuse(packed(tmp_path / "in" / "bad.tar", change(members(good))), tmp_path / "out", BadData, message)


def test_good_backup_that_is_packed_anew_is_taken(good: Path, tmp_path: Path) -> None:
    """The faults above are refused for what they are, and not for how the tests pack them."""
    file = packed(tmp_path / "again.tar", listed(members(good)))
    restore(file, tmp_path / "home", silent)
    assert Versions(tmp_path / "home").current() == 6


def test_backup_without_the_history_of_a_bare_store_keeps_its_default_graph(tmp_path: Path) -> None:
    bare = Versions.create(tmp_path / "store", bare=True)
    commit(bare, ox.Quad(quad("a").subject, quad("a").predicate, quad("a").object, TOP))
    assert saved(bare, tmp_path / "b.tar").facts == 1
    restore(tmp_path / "b.tar", tmp_path / "home", silent)
    assert content(Versions(tmp_path / "home")) == content(bare)


def test_kg_backup_and_restore(home: Path) -> None:
    put(home, CONCESSION)
    file = home.parent / "b.tar.gz"
    facts = f"{Versions(home).record(2).quads:,}"
    assert done(home, "backup", str(file)) == f"{file} holds version 2 with {facts} facts.\n"
    assert done(home, "backup", "--verify", str(file)) == f"{file} is whole: it holds version 2 with {facts} facts.\n"
    assert "holds a store already" in refused(home, 2, "restore", str(file))
    new = home.parent / "new"
    assert done(new, "restore", str(file)) == f"{new} holds version 2 with {facts} facts.\n"
    assert done(new, "history") == done(home, "history")
    ask = "ASK { GRAPH source:my-notes { proposal:test-rice ?p ?o } }"
    assert done(new, "query", ask, "--format", "csv") == "true\n"
    assert done(new, "query", ask, "--format", "csv", "--at", "1") == "false\n"


def test_kg_backup_does_not_make_a_store(tmp_path: Path) -> None:
    assert "holds no store" in refused(tmp_path / "none", 2, "backup", str(tmp_path / "b.tar"))
    assert list(tmp_path.iterdir()) == []


def test_kg_backup_and_restore_refuse_another_endpoint(good: Path, tmp_path: Path) -> None:
    for arguments in (["backup", "b.tar"], ["restore", str(good)], ["repair"]):
        message = refused(tmp_path / "none", 2, *arguments, KG_STORE="http://127.0.0.1:1/sparql")
        assert "works on the embedded store" in message
    assert list(tmp_path.iterdir()) == []


def test_kg_restore_of_a_damaged_file_leaves_nothing(good: Path, tmp_path: Path) -> None:
    (tmp_path / "cut.tar").write_bytes(good.read_bytes()[:20000])
    message = refused(tmp_path / "new", 1, "restore", "cut.tar")
    assert message.startswith("kg: cut.tar: This is no whole backup of Parley: ")
    assert tree(tmp_path) == ["cut.tar"]


@pytest.mark.parametrize("step", range(4))
def test_interrupted_backup_and_restore_leave_nothing(good: Path, tmp_path: Path, step: int) -> None:
    """Ctrl-C after any part of the work."""
    left = step

    def interrupt(step: str, done: int = 0, total: int = 0) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        restore(good, tmp_path / "new" / "home", interrupt)
    assert tree(tmp_path) == []
    versions = Versions(good.parent / "store")
    left = step
    with pytest.raises(KeyboardInterrupt):
        back_up(versions, tmp_path / "b.tar", interrupt)
    assert tree(tmp_path) == []


def test_kg_repair_says_what_it_found_and_exits_by_what_is_lost(tmp_path: Path) -> None:
    home = fill(Versions.create(tmp_path / "store", bare=True)).home
    (home / "versions" / "6" / "CURRENT").write_text("x")
    message = refused(home, 1, "query", "ASK {}")
    assert message.startswith(f"kg: Version 6 in {home} cannot be opened: Corruption: ")
    assert message.endswith("Run `kg repair`.")
    found = "version 6 is damaged (Corruption: CURRENT file does not end with newline): made again from version 5.\n"
    result = kg(home, "repair", "--dry-run")
    assert (result.returncode, result.stdout) == (1, found + "The store would be whole again.\n")
    assert done(home, "repair") == found + "The store is whole again.\n"
    assert done(home, "query", "ASK {}", "--format", "csv") == "true\n"
    (home / "records" / "2.json").unlink()
    result = kg(home, "repair")
    assert (result.returncode, result.stdout.splitlines()[-1]) == (1, "The store is usable again, with losses.")
    assert done(home, "repair") == "The store is whole.\n"
