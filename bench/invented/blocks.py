"""What the sources of `bench.generate` say: nodes as N-Quads with blanks to fill in. All of it is invented.

A block is written like Turtle, a fact a line: a node stands at the margin with its first fact, the others are indented
under it. `{…}` is a blank. The names begin with `gen-`, so that they meet nothing that Parley ships.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from kg.terms import PREFIXES


@dataclass(frozen=True)
class Block:
    """Facts about one node or a few that belong together."""

    turtle: str
    #: N-Quads with the blanks of the block and `{graph}`, which is a name in angle brackets.
    quads: str = field(init=False, repr=False)
    #: How many facts that is.
    facts: int = field(init=False)

    def __post_init__(self) -> None:
        quads, subject = [], ""
        for line in filter(str.strip, self.turtle.splitlines()):
            fact = line.strip()
            if not line.startswith(" "):
                subject, fact = fact.split(" ", 1)
            predicate, value = fact.split(" ", 1)
            quads.append(f"{_term(subject)} {_term(predicate)} {_term(value)} {{graph}} .\n")
        object.__setattr__(self, "quads", "".join(quads))
        object.__setattr__(self, "facts", len(quads))


def _term(text: str) -> str:
    """A term of a block as N-Quads has it."""
    if text == "a":
        return _term("rdf:type")
    if text.startswith('"'):
        lexical, mark, datatype = text.partition("^^")
        return f"{lexical}^^{_term(datatype)}" if mark else text
    if text.startswith(("{", "<")):
        return text
    prefix, _, local = text.partition(":")
    return f"<{PREFIXES[prefix]}{local}>"


SOURCE = Block("""
{graph} a foaf:Document
    dcterms:title "Generated source {n} on {topic}"@en
    dcterms:publisher body:gen-publisher-{publisher}
    dcterms:issued {issued}
    dcterms:type source-kind:{kind}
    schema:url <https://example.org/generated/{n}>
    trade:grade grade:{grade}
    dcterms:isPartOf dossier:gen-{dossier}
""")
SOURCE_IN_JAPANESE = Block('{graph} dcterms:language "ja"')
SOURCE_FROM_ANOTHER = Block("{graph} prov:wasDerivedFrom source:gen-{other}")
NOTE = Block('{graph} skos:note "Generated note {n}"@en')

UNION = Block("""
country:gen-union-{n} a trade:CustomsUnion
    rdfs:label "Generated customs union {n}"@en
""")
COUNTRY = Block("""
country:gen-{n} a trade:Country
    rdfs:label "Generated country {n}"@en
    rdfs:label "架空の国{n}"@ja
    rdfs:label "Pays inventé {n}"@fr
    trade:alpha2Code "{code}"
    trade:alpha3Code "{code}A"
    trade:numericCode "{number}"
    trade:memberOf country:gen-union-{union}
""")
PUBLISHER = Block("""
body:gen-publisher-{n} a org:Organization
    rdfs:label "Generated publisher {n}"@en
    trade:bodyKind body-kind:news-publisher
""")
DOSSIER = Block("""
dossier:gen-{n} a trade:Dossier
    rdfs:label "Generated dossier {n}"@en
""")
SCHEME = Block("""
product-scheme:gen-{n} a skos:ConceptScheme
    rdfs:label "Generated schedule of goods {n}"@en
""")
CHAPTER = Block("""
product:gen-77 a trade:Product
    rdfs:label "Generated goods of a chapter that the Harmonized System keeps free"@en
    skos:inScheme product-scheme:gen-0
    skos:notation "77"
    skos:broader product:ALL
""")
PRODUCT = Block("""
product:gen-{code} a trade:Product
    rdfs:label "Generated goods of code {code}, not elsewhere specified"@en
    skos:inScheme product-scheme:gen-0
    skos:notation "{code}"
    skos:broader product:gen-{broader}
""")
LINE = Block("""
product:gen-{n}-{code} a trade:Product
    rdfs:label "Generated goods of line {code} in schedule {n}, other than those of the lines before"@en
    skos:inScheme product-scheme:gen-{n}
    skos:notation "{code}"
    skos:broader product:gen-{broader}
""")

OFFICE = Block("""
body:gen-ministry-{n} a org:Organization
    rdfs:label "Generated ministry {n}"@en
    trade:bodyKind body-kind:ministry
    trade:actsFor {party}
office:gen-{n} a org:Post
    rdfs:label "Generated minister of trade {n}"@en
    trade:actsFor {party}
    org:postIn body:gen-ministry-{n}
""")
OFFICIAL = Block("""
person:gen-{n} a foaf:Person
    rdfs:label "Generated official {n}"@en
tenure:gen-{n} a trade:Tenure
    org:member person:gen-{n}
    trade:ofOffice office:gen-{office}
    trade:from {day}
""")
TENURE_ENDS = Block("tenure:gen-{n} trade:until {day}")

ACT = Block("""
act:gen-{n} a trade:LegalAct
    rdfs:label "Generated act {n} on {topic}"@en
    eli:id_local "GEN {n}"
    trade:actKind act-kind:{kind}
    trade:issuedBy office:gen-{office}
    trade:restsOn authority:national-law
    eli:date_document {signed}
    eli:date_publication {published}
    trade:citation "{n} GEN 77"
""")
ACT_IN_FORCE = Block("act:gen-{n} eli:first_date_entry_in_force {day}")
EFFECT = Block("""
effect:gen-{n} a trade:ActEffect
    trade:byAct act:gen-{act}
    trade:effectKind effect-kind:{kind}
    trade:affects {tariff}
    trade:from {day}
""")
TARIFF = Block("""
tariff:gen-{n} a trade:Tariff
    rdfs:label "Generated tariff {n} on {topic}"@en
    trade:imposedBy {party}
    trade:appliesToOrigin {origin}
    trade:covers {product}
    trade:restsOn authority:national-law
    trade:announcedOn {time}
""")
TARIFF_EXCEPT = Block("tariff:gen-{n} trade:exceptOrigin {origin}")
RATE = Block("""
rate:gen-{n} a trade:Rate
    trade:rateOf {tariff}
    trade:form form:{form}
    trade:setBy act:gen-{act}
    trade:from {day}
""")
RATE_PERCENT = Block('rate:gen-{n} trade:percent "{percent}"^^xsd:decimal')
RATE_TEXT = Block('rate:gen-{n} trade:dutyText "{text}"')
RATE_PART = Block("""
rate:gen-{n} trade:hasDutyPart duty-part:gen-{n}
duty-part:gen-{n} a trade:DutyPart
    trade:amount "{amount}"^^xsd:decimal
    trade:currency "USD"
    trade:perUnit "kg"
""")
RATE_UNTIL = Block("rate:gen-{n} trade:until {day}")
RATE_ON_ORIGIN = Block("rate:gen-{n} trade:onOrigin {origin}")
RATE_ON_PRODUCT = Block("rate:gen-{n} trade:onProduct {product}")
RATE_HEADING = Block('rate:gen-{n} trade:heading "9977.{high:02}.{low:02}"')
EXEMPTION = Block("""
exemption:gen-{n} a trade:Exemption
    rdfs:label "Generated exemption {n} for goods of the kind {topic}"@en
    trade:exempts {tariff}
    trade:covers {product}
    trade:onOrigin {origin}
    trade:setBy act:gen-{act}
    trade:from {day}
""")
EXEMPTION_UNTIL = Block("exemption:gen-{n} trade:until {day}")

NEGOTIATION = Block("""
negotiation:gen-{n} a trade:Negotiation
    rdfs:label "Generated talks {n}"@en
    trade:from {time}
""")
BETWEEN = Block("""
negotiation:gen-{n} trade:betweenParty {one}
    trade:betweenParty {other}
""")
ROUND = Block("""
round:gen-{n} a trade:Round
    rdfs:label "Generated round {n} of talks {negotiation}"@en
    trade:partOf negotiation:gen-{negotiation}
    trade:roundNumber "{number}"^^xsd:integer
    trade:from {day}
    trade:until {end}
    trade:place "Generated town {place}"@en
""")
ROUND_OUTCOME = Block('round:gen-{n} trade:outcome "Nothing came of generated round {n}."@en')
MEETING = Block("""
meeting:gen-{n} a trade:Meeting
    rdfs:label "Generated meeting {n} of round {round}"@en
    trade:partOf round:gen-{round}
    trade:date {day}
    trade:meetingKind meeting-kind:{kind}
    trade:durationMinutes "{minutes}"^^xsd:integer
""")
PARTICIPATION = Block("""
meeting:gen-{meeting} trade:hasParticipation participation:gen-{n}
participation:gen-{n} a trade:Participation
    trade:participant person:gen-{official}
    trade:onBehalfOf {party}
    trade:inCapacityOf tenure:gen-{official}
""")
STATEMENT = Block("""
statement:gen-{n} a trade:Statement
    rdfs:label "Generated official {official} says something about {topic}"@en
    schema:text "These words were made up by a program, statement {n}."@en
    trade:speaker person:gen-{official}
    trade:inCapacityOf tenure:gen-{official}
    trade:date {time}
    trade:stance stance:{stance}
    trade:about {about}
""")

PROPOSAL = Block("""
proposal:gen-{n} a trade:{kind}
    rdfs:label "Generated proposal {n} on {topic}"@en
    trade:offeredBy {one}
    trade:offeredTo {other}
    trade:targets {tariff}
    trade:subject subject:{topic}
    trade:firstReportedOn {time}
    trade:reportedBy body:gen-publisher-{publisher}
""")
PROPOSAL_AMOUNT = Block("""
proposal:gen-{n} trade:amount "{amount}"^^xsd:integer
    trade:currency "USD"
""")
PROPOSAL_ANSWERS = Block("proposal:gen-{n} trade:answers proposal:gen-{demand}")
PROPOSAL_RESULT = Block("proposal:gen-{n} trade:resultedIn commitment:gen-{commitment}")
EVENT = Block("""
event:gen-{n} a trade:StatusEvent
    trade:ofProposal proposal:gen-{proposal}
    trade:status status:{status}
    trade:date {time}
""")
AGREEMENT = Block("""
agreement:gen-{n} a trade:Agreement
    rdfs:label "Generated agreement {n}"@en
    trade:betweenParty {one}
    trade:betweenParty {other}
    trade:announcedOn {time}
    trade:partOf negotiation:gen-{negotiation}
""")
COMMITMENT = Block("""
commitment:gen-{n} a trade:Commitment
    rdfs:label "Generated commitment {n} on {topic}"@en
    trade:partOf agreement:gen-{agreement}
    trade:committedBy {one}
    trade:subject subject:{topic}
    trade:announcedOn {time}
""")
COMMITMENT_AMOUNT = Block("""
commitment:gen-{n} trade:amount "{amount}"^^xsd:decimal
    trade:currency "EUR"
""")
IMPLEMENTATION = Block("""
implementation:gen-{n} a trade:Implementation
    trade:implements commitment:gen-{commitment}
    trade:byAct act:gen-{act}
    trade:effectiveDate {day}
    trade:difference "Generated act {act} departs from commitment {commitment} in nothing."@en
""")
DEADLINE = Block("""
deadline:gen-{n} a trade:Deadline
    rdfs:label "Generated deadline {n}"@en
    trade:date {day}
    trade:consequence "Nothing follows when generated deadline {n} passes."@en
    trade:setBy act:gen-{act}
    trade:about {about}
""")

#: Later words on what an earlier source described: a name in another language, a value that contradicts.
PERSON_IN_JAPANESE = Block('person:gen-{n} rdfs:label "架空の官僚{n}"@ja')
PROPOSAL_IN_FRENCH = Block('proposal:gen-{n} rdfs:label "Proposition inventée {n}"@fr')
STATEMENT_DATE = Block("statement:gen-{n} trade:date {day}")
EVENT_DATE = Block("event:gen-{n} trade:date {day}")
