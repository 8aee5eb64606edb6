"""The ontology as a page and as data, and the description of the graph, over HTTP."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from datetime import datetime
from html import unescape
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote

import httpx
import pyoxigraph as ox
import pytest

from kg import formats
from kg.terms import PREFIXES, TRADE, expand
from tests.server import AUTHORIZED, Server, select, served

PAGE = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
VOID = "/.well-known/void"
PARSERS = {
    "turtle": ox.RdfFormat.TURTLE,
    "ntriples": ox.RdfFormat.N_TRIPLES,
    "rdfxml": ox.RdfFormat.RDF_XML,
    "jsonld": ox.RdfFormat.JSON_LD,
}


@pytest.fixture(scope="module")
def server(shipped_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with served(Path(shutil.copytree(shipped_home, tmp_path_factory.mktemp("words") / "home"))) as server:
        yield server


@pytest.fixture(scope="module")
def page(client: httpx.Client) -> str:
    answer = client.get("/ontology", headers=PAGE)
    assert answer.status_code == 200
    return answer.text


def section(page: str, anchor: str) -> str:
    """The part of the page on one term, as text."""
    part = page.split(f'id="{anchor}">')[1].split("</section>")[0]
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", part)))


def node(name: str) -> ox.NamedNode:
    return ox.NamedNode(expand(name) or name)


class Description:
    """What the server says of its dataset."""

    def __init__(self, client: httpx.Client) -> None:
        answer = client.get(VOID)
        assert answer.status_code == 200, answer.text
        self.store = ox.Store()
        self.store.extend(ox.parse(answer.content, ox.RdfFormat.TURTLE))
        self.dataset = ox.NamedNode(f"{client.base_url}{VOID}#dataset")

    def all(self, name: str, of: ox.NamedNode | None = None) -> set[str]:
        quads = self.store.quads_for_pattern(of or self.dataset, node(name), None)
        return {quad.object.value for quad in quads if not isinstance(quad.object, ox.Triple)}

    def one(self, name: str) -> str:
        (value,) = self.all(name)
        return value

    def parts(self, kind: str, counted: str) -> dict[str, int]:
        """The class or property partitions: IRI to number."""
        rows = self.store.query(
            f"SELECT ?iri ?n {{ ?d void:{kind}Partition ?part . ?part void:{kind} ?iri ; {counted} ?n }}",
            prefixes=PREFIXES,
        )
        assert isinstance(rows, ox.QuerySolutions)
        return {row["iri"].value: int(row["n"].value) for row in rows}


class TestPage:
    def test_it_says_what_it_is(self, page: str) -> None:
        assert "<h1>Parley ontology of trade actors</h1>" in page
        assert "https://creativecommons.org/licenses/by/4.0/" in page

    def test_a_class_is_explained(self, page: str) -> None:
        told = section(page, "Concession")
        for part in (
            "trade:Concession",
            "A proposal that gives the other party something in return for relief.",
            "Kind of proposal",
            "Japan's offer to import more farm goods.",
            "in exchange for",
            "Name the demand that the concession is meant to buy",
            "concessions-by-tariff",
        ):
            assert part in told, part

    def test_a_property_is_explained(self, page: str) -> None:
        told = section(page, "rateOf")
        for part in ("Relates a rate to its tariff.", "functional", "Used on rate", "Values tariff", "uses"):
            assert part in told, part
        assert "follows from" in section(page, "holdsOffice")
        assert "Sub-property of concerns" in section(page, "targets")

    def test_a_scheme_is_explained(self, page: str) -> None:
        assert "status:floated" in section(page, "scheme:status")

    def test_instances_are_counted(self, client: httpx.Client, page: str) -> None:
        (row,) = select(client, "SELECT (COUNT(*) AS ?n) { ?x a trade:Rate }")
        assert f"{int(row['n']):,} instances" in section(page, "Rate")
        (row,) = select(client, "SELECT (COUNT(*) AS ?n) { ?x trade:rateOf ?y }")
        assert f"{int(row['n']):,} uses" in section(page, "rateOf")

    def test_the_link_of_the_count_lists_the_instances(self, client: httpx.Client, page: str) -> None:
        part = page.split('id="Tariff">')[1].split("</section>")[0]
        href = unescape(re.findall(r'href="(/sparql[^"]+)"', part)[0])
        assert "us-232-autos" in client.get(href).text

    def test_every_place_has_one_name_and_every_link_within_leads_to_one(self, page: str) -> None:
        places = re.findall(r'\bid="([^"]+)"', page)
        assert len(places) == len(set(places))
        links = {unquote(unescape(link)) for link in re.findall(r'href="#([^"]*)"', page)}
        assert links - set(places) == set()

    def test_every_term_of_the_graph_has_its_place(self, client: httpx.Client, page: str) -> None:
        query = (
            f'SELECT ?term {{ GRAPH ?g {{ ?term a ?kind ; rdfs:label ?l }} FILTER(STRSTARTS(STR(?term), "{TRADE}")) }}'
        )
        terms = {row["term"][len(TRADE) :] for row in select(client, query)}
        assert len(terms) > 100
        assert terms <= set(re.findall(r'\bid="([^"]+)"', page))

    def test_every_link_to_the_server_leads_somewhere(self, client: httpx.Client, page: str) -> None:
        links = {unescape(link) for link in re.findall(r'href="(/[^"]*)"', page)}
        wanted = sorted(link for link in links if not link.startswith("/sparql"))
        assert len(wanted) > 50
        assert [link for link in wanted if client.head(link).status_code != 200] == []

    def test_headings_go_down_one_step_at_a_time(self, page: str) -> None:
        levels = [int(level) for level in re.findall(r"<h(\d)", page)]
        assert levels[0] == 1
        assert levels.count(1) == 1
        assert all(after <= before + 1 for before, after in pairwise(levels))

    def test_it_runs_no_script(self, page: str) -> None:
        assert "<script" not in page
        assert not re.search(r"\son\w+=", page)

    @pytest.mark.parametrize("form", formats.GRAPHS, ids=lambda form: form.name)
    def test_the_same_is_there_as_data(self, client: httpx.Client, page: str, form: formats.Format) -> None:
        """By the parameter, by the Accept header, and by the link that the page names."""
        by_name = client.get("/ontology", params={"format": form.name})
        by_header = client.get("/ontology", headers={"Accept": form.media[0]})
        assert by_name.headers["content-type"] == by_header.headers["content-type"] == form.content_type
        subjects = {quad.subject for quad in ox.parse(by_name.content, PARSERS[form.name])}
        assert node("trade:Concession") in subjects
        assert f'<link rel="alternate" type="{unescape(form.media[0])}" href="/ontology?format={form.name}">' in page

    def test_pages_of_facts_link_to_their_terms(self, client: httpx.Client) -> None:
        entity = client.get("/id/proposal/us-jp-auto-contribution", headers=PAGE).text
        assert 'href="/ontology#offeredBy"' in entity
        assert 'href="/ontology#Concession"' in entity

    def test_every_page_names_the_description(self, client: httpx.Client, page: str) -> None:
        link = f'<link rel="describedby" type="text/turtle" href="{VOID}">'
        assert link in page
        assert link in client.get("/", headers=PAGE).text


class TestDescription:
    def test_it_says_what_the_dataset_is(self, client: httpx.Client) -> None:
        told = Description(client)
        assert {PREFIXES["void"] + "Dataset", PREFIXES["dcat"] + "Dataset"} <= told.all("rdf:type")
        assert told.one("dcterms:title").startswith("Parley")
        assert told.one("dcterms:license") == "https://creativecommons.org/licenses/by/4.0/"
        assert told.one("void:uriSpace") == "https://w3id.org/parley/"
        assert TRADE in told.all("void:vocabulary")

    def test_it_tells_the_version_and_its_times(self, client: httpx.Client) -> None:
        told, history = Description(client), client.get("/history").json()
        assert told.one("dcat:version") == str(history[0]["version"]) == client.get(VOID).headers["Parley-Version"]
        assert datetime.fromisoformat(told.one("dcterms:modified")) == datetime.fromisoformat(history[0]["at"])
        assert datetime.fromisoformat(told.one("dcterms:issued")) == datetime.fromisoformat(history[-1]["at"])

    def test_the_counts_are_those_of_sparql(self, client: httpx.Client) -> None:
        told = Description(client)
        (row,) = select(client, "SELECT (COUNT(*) AS ?n) { ?s ?p ?o }")
        assert told.one("void:triples") == row["n"]
        rows = select(client, "SELECT ?c (COUNT(?x) AS ?n) { ?x a ?c } GROUP BY ?c")
        assert told.parts("class", "void:entities") == {row["c"]: int(row["n"]) for row in rows}
        rows = select(client, "SELECT ?p (COUNT(*) AS ?n) { ?s ?p ?o } GROUP BY ?p")
        assert told.parts("property", "void:triples") == {row["p"]: int(row["n"]) for row in rows}
        (row,) = select(client, "SELECT (COUNT(DISTINCT ?x) AS ?n) { ?x a ?c FILTER(isIRI(?x)) }")
        assert told.one("void:entities") == row["n"]

    def test_its_addresses_answer(self, client: httpx.Client) -> None:
        told = Description(client)
        endpoint = told.one("void:sparqlEndpoint")
        assert client.get(endpoint, params={"query": "ASK {}", "format": "csv"}).text == "true"
        for address in told.all("rdfs:seeAlso") | told.all("dcat:landingPage"):
            assert client.get(address).status_code == 200, address
        for address in told.all("void:exampleResource") | told.all("void:rootResource"):
            assert client.get(address.removeprefix("https://w3id.org/parley")).status_code == 200, address

    def test_each_dump_has_every_triple(self, client: httpx.Client) -> None:
        told = Description(client)
        assert len(told.all("void:dataDump")) == len(told.all("void:feature")) == len(formats.GRAPHS)
        for iri in told.all("dcat:distribution"):
            distribution = ox.NamedNode(iri)
            (address,), (media,) = told.all("dcat:downloadURL", distribution), told.all("dcat:mediaType", distribution)
            answer = client.get(address)
            media = media.removeprefix("https://www.iana.org/assignments/media-types/")
            assert answer.headers["content-type"].split(";")[0] == media
            form = formats.by_media(media)
            assert form is not None
            assert len(set(ox.parse(answer.content, PARSERS[form.name]))) == int(told.one("void:triples"))

    @pytest.mark.parametrize("form", formats.GRAPHS, ids=lambda form: form.name)
    def test_it_is_there_in_every_format(self, client: httpx.Client, form: formats.Format) -> None:
        answer = client.get(VOID, headers={"Accept": form.media[0]})
        assert answer.headers["content-type"] == form.content_type
        assert answer.content == client.get(VOID, params={"format": form.name}).content
        predicates = {quad.predicate for quad in ox.parse(answer.content, PARSERS[form.name])}
        assert node("void:triples") in predicates

    def test_a_browser_gets_it_to_read(self, client: httpx.Client) -> None:
        answer = client.get(VOID, headers=PAGE)
        assert answer.headers["content-type"].startswith("text/html")
        assert "void:sparqlEndpoint" in answer.text

    def test_a_format_that_there_is_none_of_is_refused(self, client: httpx.Client) -> None:
        assert client.get(VOID, headers={"Accept": "image/png"}).status_code == 406
        assert client.get(VOID, params={"format": "csv"}).status_code == 400

    def test_its_addresses_have_the_name_that_the_client_calls(self, client: httpx.Client) -> None:
        answer = client.get(VOID, headers={"Host": "graph.example"})
        assert "<http://graph.example/sparql>" in answer.text

    def test_a_name_that_is_none_never_enters_it(self, client: httpx.Client) -> None:
        answer = client.get(VOID, headers={"Host": 'graph.example/>;<http://evil.example/"'})
        assert answer.status_code == 400 or "evil" not in answer.text

    def test_a_commit_changes_the_counts(self, home: Path) -> None:
        with served(home) as server, server.client() as client:
            before = Description(client)
            client.get("/ontology", headers=PAGE)
            fact = "<http://example.org/x> <http://example.org/y> <http://example.org/z> ."
            graph = {"graph": "https://w3id.org/parley/source/a-note"}
            head = {**AUTHORIZED, "Content-Type": "application/n-triples"}
            assert client.put("/graphs", params=graph, content=fact, headers=head).status_code == 201
            after = Description(client)
            assert int(after.one("void:triples")) == int(before.one("void:triples")) + 1
            assert int(after.one("dcat:version")) == int(before.one("dcat:version")) + 1
            assert after.parts("property", "void:triples")["http://example.org/y"] == 1


def test_a_bare_server_describes_its_graph_without_parley(tmp_path: Path) -> None:
    with served(tmp_path / "home", "--bare") as server, server.client() as client:
        fact = "<http://example.org/x> a <http://example.org/Y> ."
        head = {**AUTHORIZED, "Content-Type": "text/turtle"}
        assert client.put("/graphs?default", content=fact, headers=head).status_code == 200
        told = Description(client)
        assert (told.one("void:triples"), told.one("void:entities")) == ("1", "1")
        assert told.parts("class", "void:entities") == {"http://example.org/Y": 1}
        assert not told.all("void:uriSpace") | told.all("dcterms:license") | told.all("void:vocabulary")
        assert "parley" not in client.get(VOID).text.lower()
        for headers in ({}, PAGE):
            assert client.get("/ontology", headers=headers).status_code == 404


def test_a_server_over_another_endpoint_explains_and_describes_it(server: Server, tmp_path: Path) -> None:
    with (
        served(tmp_path / "home", KG_STORE=f"{server.url}/sparql") as other,
        other.client() as client,
        server.client() as first,
    ):
        page = client.get("/ontology", headers=PAGE).text
        assert section(page, "Rate") == section(first.get("/ontology", headers=PAGE).text, "Rate")
        told = Description(client)
        assert told.one("void:triples") == Description(first).one("void:triples")
        assert not told.all("dcat:version") | told.all("dcterms:modified")
