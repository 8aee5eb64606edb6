"""Tables that cannot be read are refused line by line and whole; and tables of countries."""

from __future__ import annotations

import csv
from io import StringIO
from pathlib import Path

import pyoxigraph as ox
import pytest

from kg.engines import StoreReader
from kg.errors import BadData, BadRequest
from kg.importing import Edition, countries
from kg.loading import Outcome, load
from kg.store import Versions
from kg.terms import ID, RDFS_LABEL, SOURCE
from tests.sources import CONTENT
from tests.tables import COLUMNS, WIDGETS, changed, read_schedule, schedule_text, write
from tests.test_cli import done, kg, refused

HTS = ("--edition", "2025 test edition", "--from", "2025-01-01")
#: Line of the table that has each code: the header is line 1.
LINES = {line[0]: number for number, line in enumerate(WIDGETS, 2) if line[0]}

#: What is wrong with one line: the table, the code whose line is named, and what is said of it.
FAULTS = {
    "a code with letters": (changed("7701.10", code="7701.1O"), "7701.10", "'7701.1O' is no code of 4 to 10 digits"),
    "a code without dots": (changed("7701.10", code="770110"), "7701.10", "'770110' is no code of 4 to 10 digits"),
    "a code in other digits": (changed("7701", code="٧٧٠١"), "7701", "'٧٧٠١' is no code of 4 to 10 digits"),
    "a code twice": (changed("7701.10.90", code="7701.10.10"), "7701.10.90", "7701.10.10 stands on line 5 already"),
    "an indent in words": (changed("7701.10", indent="two"), "7701.10", "the indent 'two' is no whole number"),
    "no indent": (changed("7701.10", indent=""), "7701.10", "the indent '' is no whole number"),
    "an indent below nothing": (changed("7701.10", indent="-1"), "7701.10", "the indent '-1' is no whole number"),
    "an indent in a superscript": (changed("7701.10", indent="²"), "7701.10", "the indent '²' is no whole number"),
    "an indent beyond measure": (changed("7701.10", indent="9" * 5000), "7701.10", "is no whole number"),
    "no description": (changed("7701.20.00.00", description=" "), "7701.20.00.00", "the description is empty"),
    "a decimal comma": (changed("7701.10.10", general="6,8%"), "7701.10.10", "the duty '6,8%' is neither a rate nor"),
    "a comma in cents": (changed("7701.10.90", general="4,4¢/kg"), "7701.10.90", "the duty '4,4¢/kg' is neither"),
    "a bare number": (changed("7701.90.90", general="12"), "7701.90.90", "the duty '12' is neither a rate nor words"),
    "a special duty": (changed("7701.90.90", special="1,6% (JP)"), "7701.90.90", "the duty '1,6%' is neither a rate"),
    "a fault in a chapter left out": (changed("9801.00.10", indent="x"), "9801.00.10", "the indent 'x' is no whole"),
}


def failure(home: Path, path: Path) -> BadData:
    with pytest.raises(BadData) as caught:
        read_schedule(home, path)
    return caught.value


@pytest.mark.parametrize("case", FAULTS)
def test_fault_is_named_with_its_line(shipped_home: Path, tmp_path: Path, case: str) -> None:
    lines, code, message = FAULTS[case]
    path = write(tmp_path, schedule_text(lines))
    head, fault = str(failure(shipped_home, path)).splitlines()
    assert head == "1 row cannot be read:"
    assert fault.startswith(f"{path}:{LINES[code]}: ")
    assert message in fault


@pytest.mark.parametrize(
    ("row", "message"), [('"7702","0","Else"', "does not have 9 cells"), ('"7702"' + ',"0"' * 9, "does not have 9")]
)
def test_row_with_another_number_of_cells_is_named(shipped_home: Path, tmp_path: Path, row: str, message: str) -> None:
    path = write(tmp_path, schedule_text() + row + "\r\n")
    fault = str(failure(shipped_home, path)).splitlines()[1]
    assert fault.startswith(f"{path}:{len(WIDGETS) + 2}: the row ")
    assert message in fault


def test_special_duty_of_a_program_that_is_left_out_is_not_read(shipped_home: Path, tmp_path: Path) -> None:
    read_schedule(shipped_home, write(tmp_path, schedule_text(changed("7701.90.90", special="1,6% (AU)"))))


@pytest.mark.parametrize(
    ("count", "last"), [(20, "'code 19' is no code"), (21, "and 1 more"), (1500, "and 1,480 more")]
)
def test_twenty_faults_are_listed_and_the_rest_is_counted(
    shipped_home: Path, tmp_path: Path, count: int, last: str
) -> None:
    path = write(tmp_path, schedule_text([(f"code {n}", "0", "Odd", "", "") for n in range(count)]))
    lines = str(failure(shipped_home, path)).splitlines()
    assert lines[0] == f"{count:,} rows cannot be read:"
    assert len(lines) == min(count + 1, 22)
    assert [line.split(": ")[0] for line in lines[1:21]] == [f"{path}:{n}" for n in range(2, 22)]
    assert last in lines[-1]


def test_line_of_a_row_with_a_line_end_in_a_cell_is_its_last(shipped_home: Path, tmp_path: Path) -> None:
    lines = changed("7701", description="Widgets\nof all kinds")
    path = write(tmp_path, schedule_text([*lines, ("7702", "0", "", "", "")]))
    assert f"{path}:{len(lines) + 3}: the description is empty" in str(failure(shipped_home, path))


#: Bytes that are no table at all: what the command says, and with which exit status.
BROKEN: dict[str, tuple[str | bytes, int, str]] = {
    "a missing column": (schedule_text().replace('"Indent"', '"Depth"'), 2, "has no column 'Indent'."),
    "nothing": ("", 2, "has no column 'HTS Number', 'Indent'"),
    "bytes that are not UTF-8": (schedule_text().encode() + b'"\xff"', 1, "The file is not UTF-8. Save it as UTF-8."),
    "a quote that is never closed": (schedule_text() + '"7702","0', 1, "The table is broken: unexpected end of data."),
    "a quote within a cell": (schedule_text() + '"77"02",', 1, f":{len(WIDGETS) + 2}: The table is broken: "),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_table_is_refused_in_one_line(shipped_home: Path, tmp_path: Path, case: str) -> None:
    content, status, message = BROKEN[case]
    path = tmp_path / "widgets.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(BadRequest if status == 2 else BadData) as caught:
        read_schedule(shipped_home, path)
    assert str(path) in str(caught.value)
    assert message in str(caught.value)
    assert caught.value.exit_code == status
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("day", ["", "soon", "2025-13-01", "2025-02-30", "20250101", "2025-W01-1", "2025-01-01T00:00"])
def test_day_that_is_no_iso_date_is_refused(day: str) -> None:
    with pytest.raises(BadRequest, match="is not a day"):
        Edition("2025 basic edition", day)


@pytest.mark.parametrize("name", ["", "   ", "–", "第一版"])
def test_edition_without_letters_or_digits_is_refused(name: str) -> None:
    with pytest.raises(BadRequest, match="names no edition"):
        Edition(name, "2025-01-01")


@pytest.mark.parametrize("url", ["", "hts.usitc.gov", "https://a b", "https://a/<b>", "javascript:x"])
def test_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(BadRequest, match="is no address of a page"):
        Edition("2025 basic edition", "2025-01-01", url)


def test_refused_table_changes_nothing_and_exits_with_1(home: Path, tmp_path: Path) -> None:
    path = write(tmp_path, schedule_text(changed("7701.10.10", general="6,8%")))
    result = kg(home, "import", "hts", str(path), *HTS)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.splitlines() == [
        "kg: 1 row cannot be read:",
        f"{path}:{LINES['7701.10.10']}: the duty '6,8%' is neither a rate nor words",
    ]
    assert Versions(home).current() == 1


def test_wrong_usage_exits_with_2(home: Path, tmp_path: Path) -> None:
    path = str(write(tmp_path, schedule_text()))
    assert "is not a day" in refused(home, 2, "import", "hts", path, "--edition", "2025", "--from", "January")
    assert "names no edition" in refused(home, 2, "import", "hts", path, "--edition", "?", "--from", "2025-01-01")
    assert Versions(home).current() == 1


def test_import_says_what_it_did(home: Path, tmp_path: Path) -> None:
    path = str(write(tmp_path, schedule_text()))
    dry = kg(home, "import", "hts", path, *HTS, "--dry-run")
    assert (dry.returncode, dry.stdout) == (0, "The facts conform. Nothing was changed.\n")
    assert Versions(home).current() == 1
    result = kg(home, "import", "hts", path, *HTS)
    record = Versions(home).record(2)
    assert (result.returncode, result.stdout) == (0, f"Version 2: {record.added} added, 0 removed.\n")
    assert result.stderr.endswith(
        f"2 rates stand in words and have no number, for example {path}:8: 7701.10.90: See 9908.04.01\n"
    )
    assert record.message == "Import widgets.csv"
    assert record.graphs[-1] == SOURCE + "imported-hts-2025-test-edition"
    assert kg(home, "import", "hts", path, *HTS).stdout == "Nothing to do: the graph holds all this.\n"
    assert "7701.10.10 from JP" in done(
        home, "rate", "--importer", "US", "--origin", "JP", "--product", "7701.10.10", "--on", "2025-02-01"
    )


CODES = ("ISO3166-1-Alpha-2", "ISO3166-1-Alpha-3", "ISO3166-1-numeric", "official_name_en", "official_name_fr")
#: A country that no list has (codes that ISO 3166-1 leaves to users), and one that the graph knows.
NOWHERE = ["XZ", "XZZ", "7", "Nowhere", "Nulle  part", "https://www.wikidata.org/wiki/Q1"]
JAPAN = ["JP", "JPN", "392", "Land of the rising sun", "Japon", ""]


def country_table(folder: Path, *rows: list[str]) -> Path:
    text = StringIO()
    csv.writer(text).writerows([[*CODES, "wikidata_id"], *rows])
    return write(folder, text.getvalue(), "Country codes.csv")


def import_countries(home: Path, path: Path) -> Outcome:
    with Versions(home).reading() as (_, store):
        document = countries(path, StoreReader(store))
    return load(Versions(home), [document], CONTENT)


def labels(home: Path, code: str) -> set[str]:
    """The labels that the imported table gives a country."""
    node, graph = ox.NamedNode(f"{ID}country/{code}"), ox.NamedNode(SOURCE + "imported-country-codes")
    with Versions(home).reading() as (_, store):
        return {str(q.object) for q in store.quads_for_pattern(node, ox.NamedNode(RDFS_LABEL), None, graph)}


def test_new_country_gets_codes_and_labels_and_known_labels_are_left(home: Path, tmp_path: Path) -> None:
    path = country_table(tmp_path, NOWHERE, JAPAN)
    outcome = import_countries(home, path)
    assert outcome.report.violations == []
    assert labels(home, "XZ") == {'"Nowhere"@en', '"Nulle part"@fr'}
    assert '"Land of the rising sun"@en' not in labels(home, "JP")
    with Versions(home).reading() as (_, store):
        [row] = StoreReader(store).rows(
            'SELECT ?c ?match { ?c trade:alpha3Code "XZZ" ; trade:alpha2Code "XZ" ; trade:numericCode "007" ;'
            " a trade:Country ; skos:exactMatch ?match }"
        )
    assert str(row["match"].value).endswith("/Q1")
    assert import_countries(home, path).record is None


def test_malformed_codes_are_listed_and_nothing_is_imported(home: Path, tmp_path: Path) -> None:
    rows = [NOWHERE, ["xz", *NOWHERE[1:]], ["XY", "XY", *NOWHERE[2:]], ["XX", "XXX", "12x", *NOWHERE[3:]], ["XX"]]
    path = country_table(tmp_path, *rows)
    with pytest.raises(BadData) as caught:
        import_countries(home, path)
    assert str(caught.value).splitlines() == [
        "4 rows cannot be read:",
        f"{path}:3: 'xz', 'XZZ', '7' are not the three ISO 3166-1 codes of a country",
        f"{path}:4: 'XY', 'XY', '7' are not the three ISO 3166-1 codes of a country",
        f"{path}:5: 'XX', 'XXX', '12x' are not the three ISO 3166-1 codes of a country",
        f"{path}:6: the row does not have 6 cells",
    ]
    assert Versions(home).current() == 1


def test_table_of_countries_without_a_column_is_refused(home: Path, tmp_path: Path) -> None:
    path = str(write(tmp_path, "name\nJapan\n", "countries.csv"))
    assert "has no column 'ISO3166-1-Alpha-2'" in refused(home, 2, "import", "countries", path)


def test_columns_are_those_of_the_schedule_as_printed() -> None:
    assert schedule_text([]).splitlines()[0] == ",".join(f'"{name}"' for name in COLUMNS)
