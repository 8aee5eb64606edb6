"""Tables that a user has, as facts: a US tariff schedule and a list of countries, both as CSV.

A table becomes one source graph and goes the way of any document, so that it is validated, and a finding names the
line of the table. Rows that cannot be read are all listed, none is guessed, and then nothing is imported.
"""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import pyoxigraph as ox

from kg import formats
from kg.duties import Duty, parse_duty, parse_special
from kg.errors import BadData, BadRequest
from kg.parsing import Document, source_iri
from kg.terms import ENTAILED_GRAPH, PREFIXES, RDF_TYPE, RDFS_LABEL, TRADE

if TYPE_CHECKING:
    from kg.engines import Reader
    from kg.loading import Progress

_SCHEDULE_COLUMNS = ("HTS Number", "Indent", "Description", "General Rate of Duty", "Special Rate of Duty")
_COUNTRY_COLUMNS = ("ISO3166-1-Alpha-2", "ISO3166-1-Alpha-3", "ISO3166-1-numeric", "official_name_en")
#: Column of a name to the language tag of a label.
_NAMES = {"official_name_fr": "fr", "official_name_es": "es", "official_name_ar": "ar", "official_name_ru": "ru"}
_CODE = re.compile(r"\d{4}(\.\d{2}(\.\d{2}(\.\d{2})?)?)?\Z", re.ASCII)
_WIKIDATA = re.compile(r"https?://www\.wikidata\.org/(?:wiki|entity)/(Q\d+)\Z")
_INDENT = re.compile(r"\d{1,2}\Z", re.ASCII)
_WEB = re.compile(r"https?://[^\x00-\x20<>\"{}|^`\\]+\Z")
#: Chapters 98 and 99 hold special provisions, not goods.
_LAST_CHAPTER = 97
#: Faults that are printed; the rest is counted.
_SHOWN = 20
#: Rows between two words on progress.
_STRIDE = 500

_Faults = list[tuple[int, str]]


@dataclass(frozen=True)
class Edition:
    """Which edition of a schedule a table is, and from when its rates hold.

    Raises:
        BadRequest: the name has no letters or digits, the day is no ISO date, or the address is none of the web.
    """

    name: str
    valid_from: str
    url: str = "https://hts.usitc.gov/"

    def __post_init__(self) -> None:
        if not self.slug:
            raise BadRequest(f"{self.name!r} names no edition.", 'For example: "2025 basic edition".')
        try:
            day: str | None = date.fromisoformat(self.valid_from).isoformat()
        except ValueError:
            day = None
        if day != self.valid_from:  # Python reads other forms too, such as 20250101
            raise BadRequest(f"{self.valid_from!r} is not a day.", "Give an ISO date such as 2025-01-01.")
        if not _WEB.match(self.url):
            raise BadRequest(f"{self.url!r} is no address of a page.", "For example: https://hts.usitc.gov/.")

    @property
    def slug(self) -> str:
        return "-".join(re.findall(r"[a-z0-9]+", self.name.lower()))


@dataclass(frozen=True)
class TableDocument(Document):
    """A document whose facts come from the rows of a table; each is known by the line of its row."""

    facts: tuple[tuple[int, ox.Quad], ...] = field(default=(), repr=False)

    def numbered(self, subjects: Set[bytes] | None = None) -> Iterator[tuple[int, ox.Quad]]:
        return iter(self.facts)


@dataclass(frozen=True)
class _Row:
    """One line of goods: its code, what stands above it, and its duties as printed."""

    line: int
    code: str
    broader: str
    label: str
    general: str
    special: str


def schedule(path: Path, edition: Edition, reader: Reader, progress: Progress) -> tuple[TableDocument, list[str]]:
    """Read a US tariff schedule in the CSV form that USITC publishes, and list the rates that stand in words only.

    Labels that the graph has already are left to it. Of the special rates, those are taken whose indicator is the
    `skos:altLabel` of a condition of entry in the graph.

    Raises:
        BadRequest: the file cannot be read or is no such table.
        BadData: rows cannot be read; names each.
    """
    writer = _Writer(str(path), source_iri(f"imported-hts-{edition.slug}"))
    scheme, act = _id("product-scheme", f"hts-{edition.slug}"), _id("act", f"hts-{edition.slug}")
    _schedule_source(writer, edition, scheme, act, path.name)
    conditions, origins = _conditions(reader)
    rows = _goods(path, set(conditions))
    labelled = _labelled(reader, "product", writer.graph)
    in_words = []
    for number, row in enumerate(rows):
        if number % _STRIDE == 0:
            progress("reading", number, len(rows))
        product = _id("product", row.code)
        writer.add(row.line, product, RDF_TYPE, _node(TRADE + "Product"))
        if (row.code, "en") not in labelled:
            writer.add(row.line, product, RDFS_LABEL, ox.Literal(row.label, language="en"))
        writer.add(row.line, product, PREFIXES["skos"] + "inScheme", scheme)
        writer.add(row.line, product, PREFIXES["skos"] + "notation", ox.Literal(row.code))
        if len(row.broader) > 2 or (row.broader, "en") in labelled:  # the table does not name chapters
            writer.add(row.line, product, PREFIXES["skos"] + "broader", _id("product", row.broader))
        special = parse_special(row.special, set(conditions))
        for duty, symbols in [*([(parse_duty(row.general), [""])] if row.general else []), *special]:
            if duty.in_words:
                in_words.append(f"{path}:{row.line}: {row.code}: {duty.text}")
            name = "-".join(filter(None, ("us-ordinary", edition.slug, row.code, symbols[0].lower())))
            rate = _add_rate(writer, row.line, name, duty)
            writer.add(row.line, rate, TRADE + "onProduct", product)
            writer.add(row.line, rate, TRADE + "setBy", act)
            writer.add(row.line, rate, TRADE + "from", _day(edition.valid_from))
            for condition in sorted({conditions[symbol] for symbol in filter(None, symbols)}):
                writer.add(row.line, rate, TRADE + "onCondition", _node(condition))
                for origin in origins[condition]:
                    writer.add(row.line, rate, TRADE + "onOrigin", _node(origin))
    return writer.document(), in_words


def countries(path: Path, reader: Reader) -> TableDocument:
    """Read a list of countries with the columns of the data package `country-codes`.

    Raises:
        BadRequest: the file cannot be read or is no such table.
        BadData: rows cannot be read; names each.
    """
    writer = _Writer(str(path), source_iri(f"imported-{_slug(path.stem)}"))
    _source(
        writer, f"Table of countries imported from {path.name}", "parley", "dataset", "V3", date.today().isoformat()
    )
    labelled = _labelled(reader, "country", writer.graph)
    faults: _Faults = []
    for line, row in _read(path, _COUNTRY_COLUMNS, faults):
        alpha2, alpha3, number = (row[c].strip() for c in _COUNTRY_COLUMNS[:3])
        numeric = number.zfill(3)
        if not (
            re.fullmatch("[A-Z]{2}", alpha2) and re.fullmatch("[A-Z]{3}", alpha3) and re.fullmatch(r"\d{3}", numeric)
        ):
            faults.append((line, f"{alpha2!r}, {alpha3!r}, {number!r} are not the three ISO 3166-1 codes of a country"))
            continue
        country = _id("country", alpha2)
        writer.add(line, country, RDF_TYPE, _node(TRADE + "Country"))
        for name, value in (("alpha2Code", alpha2), ("alpha3Code", alpha3), ("numericCode", numeric)):
            writer.add(line, country, TRADE + name, ox.Literal(value))
        for column, language in {"official_name_en": "en", **_NAMES}.items():
            text = " ".join((row.get(column) or "").split())
            if text and (alpha2, language) not in labelled:
                writer.add(line, country, RDFS_LABEL, ox.Literal(text, language=language))
        for cell in row.values():
            if found := _WIKIDATA.match(cell or ""):
                writer.add(line, country, PREFIXES["skos"] + "exactMatch", _node(PREFIXES["wd"] + found[1]))
    _refuse(path, faults)
    return writer.document()


class _Writer:
    """Collects the facts of one table with their lines."""

    def __init__(self, name: str, graph: str) -> None:
        self.name, self.graph = name, graph
        self._node = ox.NamedNode(graph)
        self._facts: list[tuple[int, ox.Quad]] = []

    def add(self, line: int, subject: ox.NamedNode, predicate: str, value: ox.NamedNode | ox.Literal) -> None:
        self._facts.append((line, ox.Quad(subject, ox.NamedNode(predicate), value, self._node)))

    def document(self) -> TableDocument:
        return TableDocument(
            self.name, b"", formats.named("nquads", formats.DATASETS), self.graph, facts=tuple(self._facts)
        )


def _read(path: Path, columns: tuple[str, ...], faults: _Faults) -> Iterator[tuple[int, Mapping[str, str]]]:
    """The rows of a CSV table with their line numbers (a quoted cell may span lines; its last one counts).

    Rows with too few or too many cells go to the faults.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            table = csv.DictReader(file, strict=True)
            missing = [c for c in columns if c not in (table.fieldnames or ())]
            if missing:
                raise BadRequest(
                    f"{path} has no column {', '.join(map(repr, missing))}.", f"It needs: {', '.join(columns)}."
                )
            for row in table:
                if None in row or None in row.values():
                    faults.append((table.line_num, f"the row does not have {len(table.fieldnames or ())} cells"))
                else:
                    yield table.line_num, row
    except OSError as error:
        raise BadRequest(f"{path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise BadData("The file is not UTF-8.", "Save it as UTF-8.", file=str(path)) from None
    except csv.Error as error:
        raise BadData(f"The table is broken: {error}.", file=str(path), line=table.reader.line_num) from None


def _goods(path: Path, programs: set[str]) -> list[_Row]:
    """The lines of goods. A heading without a code lends its words to the labels below it.

    `programs` are the indicators of the special rates that matter.
    """
    faults: _Faults = []
    seen: dict[str, int] = {}
    above: list[tuple[str, str]] = []  # code ("" for none) and text of what stands above, by indent
    rows: list[_Row] = []
    special = False
    for line, row in _read(path, _SCHEDULE_COLUMNS, faults):
        code, indent, text = row["HTS Number"].strip(), row["Indent"].strip(), _plain(row["Description"])
        fault = _fault(code, indent, text, seen)
        if code and not fault:
            special = int(code[:2]) > _LAST_CHAPTER
        fault = fault or ("" if special else _fault_of_duty(row, programs))
        if fault:
            faults.append((line, fault))
        if fault or special:
            continue
        depth = int(indent)
        above[depth:] = [("", "")] * max(0, depth - len(above))
        if code:
            seen[code] = line
            broader = next((c for c, _ in reversed(above) if c and code.startswith(c)), code[:2])
            label = " – ".join(t for _, t in (*above[1:], (code, text)) if t)
            rows.append(
                _Row(line, code, broader, label, _plain(row["General Rate of Duty"]), row["Special Rate of Duty"])
            )
        above.append((code, text))
    _refuse(path, faults)
    return list(_legal_lines(rows))


def _fault(code: str, indent: str, text: str, seen: Mapping[str, int]) -> str:
    """What is wrong with a row apart from its duties, empty if nothing."""
    if code and not _CODE.match(code):
        return f"{code!r} is no code of 4 to 10 digits with dots"
    if code in seen and code:
        return f"{code} stands on line {seen[code]} already"
    if not _INDENT.match(indent):
        return f"the indent {indent!r} is no whole number"
    return "" if text else "the description is empty"


def _fault_of_duty(row: Mapping[str, str], programs: set[str]) -> str:
    """What is wrong with the duties of a row, empty if nothing."""
    general = _plain(row["General Rate of Duty"])
    duties = [parse_duty(general)] if general else []
    duties += [duty for duty, _ in parse_special(row["Special Rate of Duty"], programs)]
    found = next((duty.text for duty in duties if duty.malformed), None)
    return "" if found is None else f"the duty {found!r} is neither a rate nor words"


def _legal_lines(rows: list[_Row]) -> Iterator[_Row]:
    """Rates are set for codes of eight digits: a line with one statistical suffix only is printed with ten."""
    codes = {row.code for row in rows}
    by_line: dict[str, list[_Row]] = {}
    for row in rows:
        if len(row.code) == len("0000.00.00.00") and row.code[:-3] not in codes:
            by_line.setdefault(row.code[:-3], []).append(row)
    for row in rows:
        alone = by_line.get(row.code[:-3], []) == [row]
        yield _Row(row.line, row.code[:-3], row.broader, row.label, row.general, row.special) if alone else row


def _add_rate(writer: _Writer, line: int, name: str, duty: Duty) -> ox.NamedNode:
    rate = _id("rate", name)
    writer.add(line, rate, RDF_TYPE, _node(TRADE + "Rate"))
    writer.add(line, rate, TRADE + "rateOf", _id("tariff", "us-ordinary"))
    writer.add(line, rate, TRADE + "form", _id("form", duty.form))
    if duty.percent is not None:
        writer.add(line, rate, TRADE + "percent", _decimal(duty.percent))
    if duty.form != "ordinary":
        writer.add(line, rate, TRADE + "dutyText", ox.Literal(duty.text))
    for number, (amount, unit) in enumerate(duty.amounts, 1):
        part = _id("duty-part", f"{name}-{number}")
        writer.add(line, rate, TRADE + "hasDutyPart", part)
        writer.add(line, part, RDF_TYPE, _node(TRADE + "DutyPart"))
        writer.add(line, part, TRADE + "amount", _decimal(amount))
        writer.add(line, part, TRADE + "currency", ox.Literal("USD"))
        writer.add(line, part, TRADE + "perUnit", ox.Literal(unit))
    return rate


def _schedule_source(writer: _Writer, edition: Edition, scheme: ox.NamedNode, act: ox.NamedNode, file: str) -> None:
    title = f"Harmonized Tariff Schedule of the United States, {edition.name}"
    _source(writer, f"{title}, imported from {file}", "usitc", "legal-text", "V1", edition.valid_from, edition.url)
    english = ox.Literal(title, language="en")
    eli = PREFIXES["eli"]
    writer.add(1, scheme, RDF_TYPE, _node(PREFIXES["skos"] + "ConceptScheme"))
    writer.add(1, scheme, RDFS_LABEL, english)
    writer.add(1, act, RDF_TYPE, _node(TRADE + "LegalAct"))
    writer.add(1, act, RDFS_LABEL, english)
    writer.add(1, act, eli + "id_local", ox.Literal(f"HTSUS {edition.name}"))
    writer.add(1, act, TRADE + "actKind", _id("act-kind", "statute"))
    writer.add(1, act, TRADE + "restsOn", _id("authority", "HTS"))
    writer.add(1, act, eli + "date_publication", _day(edition.valid_from))
    writer.add(1, act, eli + "first_date_entry_in_force", _day(edition.valid_from))


def _source(writer: _Writer, title: str, publisher: str, kind: str, grade: str, issued: str, url: str = "") -> None:
    """Say which document the graph is."""
    document, dcterms = _node(writer.graph), PREFIXES["dcterms"]
    writer.add(1, document, RDF_TYPE, _node(PREFIXES["foaf"] + "Document"))
    writer.add(1, document, dcterms + "title", ox.Literal(title, language="en"))
    writer.add(1, document, dcterms + "publisher", _id("body", publisher))
    writer.add(1, document, dcterms + "issued", _day(issued))
    writer.add(1, document, dcterms + "type", _id("source-kind", kind))
    writer.add(1, document, PREFIXES["schema"] + "url", _node(url or writer.graph))
    writer.add(1, document, TRADE + "grade", _id("grade", grade))


def _labelled(reader: Reader, kind: str, graph: str) -> set[tuple[str, str]]:
    """(last part of the IRI, language) of every label of a kind that another source gives."""
    rows = reader.rows(f"""
        SELECT ?thing ?label {{ GRAPH ?source {{ ?thing <{RDFS_LABEL}> ?label }}
            FILTER(?source != <{graph}> && ?source != <{ENTAILED_GRAPH}>)
            FILTER(STRSTARTS(STR(?thing), "{PREFIXES[kind]}")) }}""")
    return {(str(r["thing"].value).removeprefix(PREFIXES[kind]), r["label"].language or "") for r in rows}  # type: ignore[union-attr]


def _conditions(reader: Reader) -> tuple[dict[str, str], dict[str, list[str]]]:
    """Indicator of a special program, as the schedule prints it, to its condition of entry; and that to its origins."""
    skos = PREFIXES["skos"]
    rows = reader.rows(f"""
        SELECT ?condition ?symbol ?origin {{ ?condition <{skos}inScheme> <{PREFIXES["condition"].removesuffix("/")}> ;
            <{skos}altLabel> ?symbol OPTIONAL {{ ?condition <{TRADE}appliesToOrigin> ?origin }} }}""")
    origins: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        if "origin" in row:
            origins[str(row["condition"].value)].add(str(row["origin"].value))
    symbols = {str(row["symbol"].value): str(row["condition"].value) for row in rows}
    return symbols, {condition: sorted(origins[condition]) for condition in symbols.values()}


def _refuse(path: Path, faults: _Faults) -> None:
    if faults:
        lines = [f"{path}:{line}: {fault}" for line, fault in sorted(faults)[:_SHOWN]]
        more = [f"and {len(faults) - _SHOWN:,} more"] if len(faults) > _SHOWN else []
        count = "1 row" if len(faults) == 1 else f"{len(faults):,} rows"
        raise BadData(f"{count} cannot be read:\n" + "\n".join([*lines, *more]))


def _plain(text: str) -> str:
    """One line without the marks that the schedule prints in italics."""
    return " ".join(re.sub(r"</?[a-z]+>", "", text).split()).rstrip(":")


def _slug(text: str) -> str:
    return "-".join(re.findall(r"[a-z0-9]+", text.lower()))


def _node(iri: str) -> ox.NamedNode:
    return ox.NamedNode(iri)


def _id(kind: str, name: str) -> ox.NamedNode:
    return ox.NamedNode(PREFIXES[kind] + name)


def _day(day: str) -> ox.Literal:
    return ox.Literal(day, datatype=_node(PREFIXES["xsd"] + "date"))


def _decimal(number: Decimal) -> ox.Literal:
    return ox.Literal(f"{number:f}", datatype=_node(PREFIXES["xsd"] + "decimal"))
