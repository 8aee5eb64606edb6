"""The command line, as a shell runs it: the installed `kg` in a process of its own."""

from __future__ import annotations

import csv
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

import click
import pyoxigraph as ox
import pytest

from kg import __version__
from kg.cli import main
from kg.store import Versions
from tests.sources import CONCESSION, line_of, turtle

KG = str(Path(sys.executable).with_name("kg"))
COMMANDS = sorted(main.commands)
#: A cartesian product that no machine finishes.
HEAVY = "SELECT (COUNT(*) AS ?n) { ?a ?b ?c . ?d ?e ?f . ?g ?h ?i . FILTER(?a != ?d && ?d != ?g) }"
CAR = ["rate", "--importer", "US", "--origin", "JP", "--product", "8703.23.01", "--on", "2025-06-07"]


def environment(home: Path, **variables: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("KG_")}
    return {**kept, "KG_HOME": str(home), **variables}


def kg(home: Path, *arguments: str, stdin: str | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [KG, *arguments],
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        capture_output=True,
        text=True,
        env=environment(home, **variables),
        cwd=home.parent,
        timeout=120,
        check=False,
    )


def done(home: Path, *arguments: str, stdin: str | None = None) -> str:
    """Standard output of a command that must end well and have nothing to complain of."""
    result = kg(home, *arguments, stdin=stdin)
    assert (result.returncode, result.stderr) == (0, ""), result
    return result.stdout


def refused(home: Path, status: int, *arguments: str, **variables: str) -> str:
    """The one line on standard error of a command that must fail with a status and print nothing else."""
    result = kg(home, *arguments, **variables)
    assert (result.returncode, result.stdout) == (status, ""), result
    lines = result.stderr.splitlines()
    assert len(lines) == 1, result.stderr
    return lines[0]


@pytest.fixture
def notes(home: Path) -> Path:
    """A file that conforms, in the folder where the commands run."""
    path = home.parent / "my-notes.ttl"
    path.write_text(turtle(CONCESSION), "utf-8")
    return path


@pytest.fixture
def bad(home: Path) -> Path:
    path = home.parent / "bad.ttl"
    path.write_text(turtle(CONCESSION.replace("tariff:us-232-autos", "country:JP")), "utf-8")
    return path


def test_version_is_that_of_the_package(tmp_path: Path) -> None:
    assert done(tmp_path / "none", "--version") == f"kg, version {__version__}\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_each_command_says_what_it_does_with_an_example(command: str) -> None:
    text = main.commands[command].help
    assert text is not None
    assert re.fullmatch(r"[A-Z].*?\.\n.*\n *Example: kg " + command + r"\b.*", text, re.DOTALL)
    assert all(option.help for option in main.commands[command].params if isinstance(option, click.Option))


def example(command: str) -> list[str]:
    text = main.commands[command].help
    assert text is not None
    return shlex.split(text.partition("Example: kg ")[2].strip())


@pytest.mark.parametrize("command", sorted(set(COMMANDS) - {"serve", "mcp", "check"}))
def test_example_of_the_help_works(home: Path, notes: Path, command: str) -> None:
    (home.parent / "my-facts.ttl").write_bytes(notes.read_bytes())
    if command in ("remove", "undo"):
        kg(home, "load", "my-facts.ttl")
    if command == "restore":
        kg(home, "backup", "parley.tar")
        home = home.parent / "new"
    result = kg(home, *example(command))
    assert result.returncode == 0, result
    assert result.stdout or (home.parent / "parley.trig").stat().st_size > 100_000


def test_help_is_printed_without_a_store(tmp_path: Path) -> None:
    text = done(tmp_path / "none", "--help")
    assert all(command in text for command in COMMANDS)
    assert "Exit status: 0 done; 1 refused or does not conform; 2 wrong usage." in text
    assert not (tmp_path / "none").exists()


QUERY = 'SELECT ?label { tariff:us-232-autos rdfs:label ?label FILTER(LANG(?label) = "en") }'
LABEL = "US Section 232 tariff on passenger vehicles and light trucks"


def test_query_prints_a_table_for_people(shipped_home: Path) -> None:
    lines = [line.strip() for line in done(shipped_home, "query", QUERY).splitlines() if line.strip()]
    assert (lines[0], lines[-1]) == ("label", LABEL)


def test_query_prints_each_format_of_rows(shipped_home: Path) -> None:
    answers = {form: done(shipped_home, "query", QUERY, "--format", form) for form in ("json", "xml", "csv", "tsv")}
    assert json.loads(answers["json"])["results"]["bindings"] == [
        {"label": {"type": "literal", "value": LABEL, "xml:lang": "en"}}
    ]
    assert LABEL in "".join(ElementTree.fromstring(answers["xml"]).itertext())
    assert list(csv.reader(answers["csv"].splitlines())) == [["label"], [LABEL]]
    assert answers["tsv"] == f'?label\n"{LABEL}"@en\n'


@pytest.mark.parametrize("form", ["turtle", "ntriples", "rdfxml", "jsonld"])
def test_query_prints_each_format_of_graphs(shipped_home: Path, form: str) -> None:
    text = done(shipped_home, "query", "CONSTRUCT WHERE { tariff:us-232-autos trade:imposedBy ?c }", "--format", form)
    formats = {
        "turtle": ox.RdfFormat.TURTLE,
        "ntriples": ox.RdfFormat.N_TRIPLES,
        "rdfxml": ox.RdfFormat.RDF_XML,
        "jsonld": ox.RdfFormat.JSON_LD,
    }
    (quad,) = ox.parse(text, formats[form])
    assert quad.object == ox.NamedNode("https://w3id.org/parley/id/country/US")


def test_query_is_read_from_a_file_and_from_standard_input(home: Path) -> None:
    file = home.parent / "q.rq"
    file.write_text("ASK { country:JP a trade:Country }")
    assert done(home, "query", "--file", str(file), "--format", "csv") == "true\n"
    assert (
        done(home, "query", "-f", "-", "--format", "json", stdin=file.read_text()).strip().endswith('"boolean":true}')
    )


@pytest.mark.parametrize("arguments", [["query"], ["query", "ASK {}", "--file", "-"]])
def test_query_takes_one_text(shipped_home: Path, arguments: list[str]) -> None:
    result = kg(shipped_home, *arguments)
    assert result.returncode == 2
    assert "Give the query as an argument, or in a file with --file." in result.stderr


def test_query_does_not_import_what_it_does_not_need(shipped_home: Path) -> None:
    script = "import sys; from kg.cli import main; main(standalone_mode=False); print(*sys.modules)"
    arguments = [sys.executable, "-c", script, "query", "ASK {}", "--format", "csv"]
    result = subprocess.run(arguments, env=environment(shipped_home), capture_output=True, text=True, check=True)
    modules = {name.partition(".")[0] for name in result.stdout.split()}
    assert "pyoxigraph" in modules
    assert not modules & {"rdflib", "pyshacl", "owlready2", "SPARQLWrapper", "fastapi", "uvicorn", "jinja2", "yaml"}


def test_ask_without_a_name_lists_the_questions(shipped_home: Path) -> None:
    text = done(shipped_home, "ask")
    assert re.search(r"^round-participants \[negotiation\] \[number\]\n    Who .*\?$", text, re.MULTILINE)


def test_ask_answers_with_its_parameters(shipped_home: Path) -> None:
    rows = list(
        csv.DictReader(done(shipped_home, "ask", "round-participants", "number=5", "--format", "csv").splitlines())
    )
    assert {row["personLabel"] for row in rows} >= {"Ryosei Akazawa", "Scott Bessent", "Howard Lutnick"}


def test_rate_is_explained_for_people_and_for_programs(shipped_home: Path) -> None:
    text = done(shipped_home, *CAR)
    assert text.startswith("8703.23.01 from JP into US on 2025-06-07: 27.5 %\n  +   2.5  US ordinary duty")
    assert "  set aside: US reciprocal tariff: Vehicles under Section 232 are outside" in text
    answer = json.loads(done(shipped_home, *CAR, "--json"))
    assert (answer["total"], len(answer["components"])) == (27.5, 2)


def test_rate_that_is_not_known_says_so(shipped_home: Path) -> None:
    text = done(shipped_home, *CAR[:-3], "2206.00.45", "--on", "2025-06-07")
    assert ": not known\n  The ordinary duty on these goods is '3¢/liter', which is no percentage of the value." in text


def test_load_tells_the_version_and_history_lists_it(home: Path, notes: Path) -> None:
    result = kg(home, "load", str(notes), "--message", "My notes")
    assert (result.returncode, result.stdout) == (0, "Version 2: 18 added, 0 removed.\n")
    assert result.stderr.startswith(f"{notes}:")
    assert "warning: source:my-notes trade:grade:" in result.stderr
    assert done(home, "history").splitlines()[0].endswith("  My notes")
    newest, oldest = json.loads(done(home, "history", "--format", "json"))
    assert (newest["version"], newest["message"], newest["added"]) == (2, "My notes", 18)
    assert oldest["version"] == 1
    again = kg(home, "load", str(notes))
    assert (again.returncode, again.stdout) == (0, "Nothing to do: the graph holds all this.\n")


def test_load_into_a_named_graph_and_merge(home: Path, notes: Path) -> None:
    assert kg(home, "load", str(notes), "--graph", "source:other").returncode == 0
    more = home.parent / "more.ttl"
    more.write_text(turtle("rate:us-232-autos-jp-15 trade:percent 17.0 .", head=""))
    result = kg(home, "load", str(more), "--graph", "source:other", "--merge")
    assert result.stdout == "Version 3: 1 added, 0 removed.\n"
    assert "contradiction: rate:us-232-autos-jp-15 trade:percent: 17 says source:other" in result.stderr


def test_dry_run_changes_nothing(home: Path, notes: Path) -> None:
    result = kg(home, "load", str(notes), "--dry-run")
    assert (result.returncode, result.stdout) == (0, "The facts conform. Nothing was changed.\n")
    assert Versions(home).current() == 1


def test_refused_load_names_file_line_and_remedy_and_leaves_the_export_as_it_was(home: Path, bad: Path) -> None:
    before = done(home, "export")
    result = kg(home, "load", str(bad))
    line = line_of(CONCESSION.replace("tariff:us-232-autos", "country:JP"), "trade:targets country:JP")
    assert (result.returncode, result.stdout) == (1, "")
    finding, last = result.stderr.splitlines()[0], result.stderr.splitlines()[-1]
    assert finding.startswith(f"{bad}:{line}: violation: proposal:test-rice trade:targets: Name at least one tariff")
    assert last == "kg: 1 fact does not conform to the shapes; nothing was changed."
    assert done(home, "export") == before


def test_validate_gives_the_report_in_each_format(home: Path, notes: Path, bad: Path) -> None:
    assert kg(home, "validate", str(notes)).stdout == "The facts conform.\n"
    result = kg(home, "validate", str(bad), "--format", "json")
    assert result.returncode == 1
    report = json.loads(result.stdout)
    assert (report["conforms"], len(report["violations"])) == (False, 1)
    result = kg(home, "validate", str(bad), "--format", "turtle")
    assert result.returncode == 1
    assert ox.NamedNode("http://www.w3.org/ns/shacl#ValidationReport") in {
        q.object for q in ox.parse(result.stdout, ox.RdfFormat.TURTLE)
    }
    assert Versions(home).current() == 1


def test_syntax_error_of_a_file_is_one_line(home: Path) -> None:
    broken = home.parent / "broken.ttl"
    broken.write_text("<urn:a> <urn:b>\n  'open .\n")
    assert refused(home, 1, "load", str(broken)).startswith(f"kg: {broken}:2: ")


def test_export_gives_the_same_bytes_each_time(home: Path, tmp_path: Path) -> None:
    one, two = tmp_path / "one.trig", tmp_path / "two.trig"
    done(home, "export", "--output", str(one))
    done(home, "export", "-o", str(two))
    assert one.read_bytes() == two.read_bytes()
    graphs = {str(q.graph_name) for q in ox.parse(one.read_bytes(), ox.RdfFormat.TRIG)}
    assert "<https://w3id.org/parley/source/2025-06-06-asahi-akazawa-bessent-lutnick>" in graphs
    assert "<https://w3id.org/parley/graph/entailed>" not in graphs


def test_export_of_one_graph_loads_again_as_no_change(home: Path, notes: Path) -> None:
    kg(home, "load", str(notes))
    file = home.parent / "exported.ttl"
    done(home, "export", "--graph", "source:my-notes", "-o", str(file))
    assert kg(home, "load", str(file), "--graph", "source:my-notes").stdout.startswith("Nothing to do")


#: Exit status 2: what was asked, and how the one line on standard error begins.
WRONG = [
    (["query", "SELECT"], "kg: The query does not parse:"),
    (["query", "SELECT * { SERVICE <urn:x> {} }"], "kg: SERVICE calls other servers"),
    (["query", "DROP ALL"], "kg: This is an update (DROP), not a query."),
    (["query", "ASK {}", "--format", "turtle"], "kg: 'turtle' is no format for this. Use one of: json, xml, csv, tsv."),
    (["ask", "round-participant"], "kg: There is no question 'round-participant'. Did you mean round-participants"),
    (["ask", "rounds", "colour=red"], "kg: The question rounds has no parameter 'colour'. It takes: negotiation."),
    (["ask", "rounds", "red"], "kg: 'red' is not of the form name=value."),
    (["ask", "offices-held", "on=today"], "kg: on='today' is not a day"),
    ([*CAR[:-1], "tomorrow"], "kg: on='tomorrow' is not a day. Give an ISO date such as 2025-06-07."),
    (["rate", "--importer", "XX", *CAR[3:]], "kg: importer=XX is no country that the graph knows."),
    (["export", "--graph", "source:nobody"], "kg: There is no graph https://w3id.org/parley/source/nobody."),
    (["export", "--graph", "nobody"], "kg: 'nobody' is no IRI."),
]


@pytest.mark.parametrize(("arguments", "message"), WRONG, ids=lambda value: " ".join(value)[:40] if value else "")
def test_wrong_usage_is_one_clear_line_and_status_2(shipped_home: Path, arguments: list[str], message: str) -> None:
    assert refused(shipped_home, 2, *arguments).startswith(message)


@pytest.mark.parametrize(
    "arguments", [["nonsense"], ["load"], ["load", "nowhere.ttl"], ["rate"], ["query", "ASK {}", "--format", "docx"]]
)
def test_wrong_arguments_show_the_usage_and_status_2(shipped_home: Path, arguments: list[str]) -> None:
    result = kg(shipped_home, *arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("Usage: kg ")
    assert "Traceback" not in result.stderr


def test_file_whose_name_makes_no_source_is_refused_with_a_name_that_would(home: Path, notes: Path) -> None:
    other = notes.rename(notes.with_name("My Notes.ttl"))
    assert refused(home, 2, "load", str(other)).startswith("kg: 'My Notes' makes no name for a source. Name the file")


def test_foreign_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    assert refused(tmp_path, 2, "history") == (
        f"kg: {tmp_path} is not empty and holds no Parley store. Give an empty folder with KG_HOME."
    )


def test_broken_store_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "store.json").write_text("{")
    assert refused(tmp_path, 1, "history").startswith(f"kg: {tmp_path} holds no readable Parley store:")


def test_setting_out_of_range_is_refused(shipped_home: Path) -> None:
    line = refused(shipped_home, 2, "query", "ASK {}", KG_DEADLINE="soon")
    assert line == "kg: KG_DEADLINE is 'soon'. It takes a number above 0."


def test_flag_for_the_home_prevails_over_the_environment(shipped_home: Path, tmp_path: Path) -> None:
    result = kg(tmp_path / "other", "--home", str(shipped_home), "query", "ASK {}", "--format", "csv")
    assert (result.returncode, result.stdout) == (0, "true\n")
    assert not (tmp_path / "other").exists()


def test_query_past_its_deadline_is_stopped(shipped_home: Path) -> None:
    line = refused(shipped_home, 1, "query", HEAVY, KG_DEADLINE="1")
    assert line == "kg: Stopped after 1 seconds. Ask for less at a time, with LIMIT or a narrower pattern."


def interrupted(process: subprocess.Popen[bytes]) -> int:
    """The status of a process after Ctrl-C; it fails by the test's own patience if the process goes on."""
    process.send_signal(signal.SIGINT)
    return process.wait(timeout=30)


def test_ctrl_c_ends_a_heavy_query(shipped_home: Path) -> None:
    with subprocess.Popen([KG, "query", HEAVY], env=environment(shipped_home, KG_DEADLINE="600")) as process:
        while threads(process.pid) < 2:  # the evaluation has a thread of its own
            assert process.poll() is None
            time.sleep(0.02)
        time.sleep(0.2)
        assert interrupted(process) == -signal.SIGINT


def threads(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


@pytest.mark.parametrize("patience", [0.0, 0.2, 0.4])
def test_ctrl_c_during_a_load_leaves_no_new_version(home: Path, notes: Path, patience: float) -> None:
    """From the moment at which the draft is made; the last moments of a commit are tested with the store."""
    notes.write_text(turtle(CONCESSION + "".join(f"country:JP skos:note 'Note {i}'@en .\n" for i in range(12000))))
    with subprocess.Popen([KG, "load", str(notes)], env=environment(home)) as process:
        while not any((home / "staging").iterdir()):
            assert process.poll() is None
            time.sleep(0.01)
        time.sleep(patience)
        assert interrupted(process) == -signal.SIGINT
    assert Versions(home).current() == 1
    assert kg(home, "load", str(notes)).stdout.startswith("Version 2: ")
    assert not any((home / "staging").iterdir())


def test_closed_pipe_ends_a_command_quietly(shipped_home: Path) -> None:
    command = f"{shlex.quote(KG)} export | head -c 100"
    result = subprocess.run(
        ["bash", "-c", command], env=environment(shipped_home), capture_output=True, timeout=60, check=False
    )
    assert (result.returncode, result.stderr, len(result.stdout)) == (0, b"", 100)


def test_first_use_loads_the_shipped_facts_and_says_so(tmp_path: Path) -> None:
    result = kg(tmp_path / "new", "query", "ASK { person:ryosei-akazawa a foaf:Person }", "--format", "csv")
    assert (result.returncode, result.stdout) == (0, "true\n")
    assert re.fullmatch(r"Shipped facts loaded as version 1: [\d,]+ added, 0 removed\.\n", result.stderr)


def test_check_passes(tmp_path: Path) -> None:
    lines = done(tmp_path, "check").splitlines()
    assert len(lines) >= 6
    assert all(line.startswith("ok  ") for line in lines), lines
    assert re.fullmatch(r"ok   entailments: [\d,]{5,} relations and types equal HermiT's answer", lines[-1])


def test_commands_are_click_commands_with_a_docstring_of_their_own() -> None:
    assert all(isinstance(command, click.Command) and command.short_help is None for command in main.commands.values())
