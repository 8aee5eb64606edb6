"""The knowledge that ships with the package: ontology, facts, shapes and questions, as files."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from kg.terms import ONTOLOGY_GRAPH, SOURCE

FOLDERS = ("ontology", "facts", "shapes", "queries")


@dataclass(frozen=True)
class Content:
    """One set of the four folders. `root` holds ontology/, facts/, shapes/ and queries/."""

    root: Path

    @classmethod
    def shipped(cls) -> Content:
        """The content inside an installed wheel, or of the repository that the package runs from."""
        package = Path(__file__).resolve().parent
        inside = package / "content"
        return cls(inside if inside.is_dir() else package.parent)

    @cached_property
    def ontology(self) -> dict[str, Path]:
        """Graph IRI to file; the main file stands for the ontology's own IRI."""
        files = sorted((self.root / "ontology").glob("*.ttl"))
        return {ONTOLOGY_GRAPH if f.stem == "parley" else f"{ONTOLOGY_GRAPH}/{f.stem}": f for f in files}

    @cached_property
    def facts(self) -> dict[str, Path]:
        """Graph IRI to file, one source a file, named by the file's stem."""
        # Each command goes through them, and `rglob` takes three times as long.
        folders = os.walk(self.root / "facts")
        files = sorted(f"{folder}/{name}" for folder, _, names in folders for name in names if name.endswith(".ttl"))
        return {SOURCE + file.stem: file for file in map(Path, files)}

    @cached_property
    def shapes(self) -> list[Path]:
        return sorted((self.root / "shapes").glob("*.ttl"))

    @cached_property
    def queries(self) -> list[Path]:
        return sorted((self.root / "queries").glob("*.rq"))

    @property
    def graphs(self) -> dict[str, Path]:
        """Every graph that version 1 of a store holds."""
        return {**self.ontology, **self.facts}

    def digest(self) -> str:
        """A fingerprint of all that enters the store, by which a store knows that its content is current."""
        total = hashlib.sha256()
        for iri, file in sorted(self.graphs.items()):
            total.update(iri.encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
        return total.hexdigest()
