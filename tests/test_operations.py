"""What docs/operations.md and docs/deploy/ say about running the server is so."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
from dataclasses import fields
from pathlib import Path

import pytest

from kg.graph import EndpointGraph
from kg.metrics import Metrics
from kg.settings import Settings
from kg.telemetry import FIELDS
from tests.conftest import CONTENT
from tests.server import KG
from tests.test_docs import ROOT, rows
from tests.test_metrics import families_of

PAGE = ROOT / "docs" / "operations.md"
DEPLOY = ROOT / "docs" / "deploy"
VARIABLES = {field.metadata["variable"] for field in fields(Settings)}
UNITS = ("parley.service", "parley-backup.service", "parley-backup.timer")


def named_variables(text: str) -> set[str]:
    return set(re.findall(r"\bKG_[A-Z_]+\b", text))


def missing_sources(containerfile: str, root: Path) -> list[str]:
    """What a Containerfile copies from the repository and that is not there."""
    copies = re.findall(r"^COPY (?!--from)(.+)$", containerfile, re.MULTILINE)
    return [source for copy in copies for source in copy.split()[:-1] if not (root / source).exists()]


def test_the_table_of_the_log_is_that_of_the_code() -> None:
    listed = [(row[0].strip("`"), row[1]) for row in rows(PAGE, "field")]
    assert [name for name, _ in listed[:2]] == ["time", "level"]
    assert dict(listed[2:]) == FIELDS


def test_the_table_of_metrics_has_each_of_them() -> None:
    """The store's own have no value over another endpoint, and are listed by hand."""
    graph = EndpointGraph("http://127.0.0.1:1/sparql", CONTENT, Settings())
    body, _ = Metrics(graph).exposition("")
    listed = {row[0].strip("`") for row in rows(PAGE, "metric")}
    own = {"parley_store_facts", "parley_store_last_commit_timestamp_seconds"}
    shown = {
        family.name + ("_total" if family.type == "counter" else "")
        for family in families_of(body.decode())
        if family.name.startswith("parley") and not family.name.endswith("_created")
    }
    assert listed == shown | own


@pytest.mark.parametrize("file", [PAGE, *sorted(DEPLOY.iterdir())], ids=lambda path: path.name)
def test_every_setting_that_is_named_is_one(file: Path) -> None:
    assert named_variables(file.read_text("utf-8")) <= VARIABLES


def test_a_setting_that_is_none_is_found() -> None:
    assert named_variables("Environment=KG_HOME=/data KG_PORT=1") - VARIABLES == {"KG_PORT"}


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze here")
class TestUnits:
    @pytest.fixture
    def units(self, tmp_path: Path) -> list[Path]:
        """The units, with the command that is installed here in the place of that which they name."""
        paths = [tmp_path / name for name in UNITS]
        for path in paths:
            text = (DEPLOY / path.name).read_text("utf-8")
            path.write_text(text.replace("/opt/parley/bin/kg", KG))
        return paths

    def test_systemd_takes_them(self, units: list[Path]) -> None:
        done = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")

    def test_systemd_finds_a_slip(self, units: list[Path]) -> None:
        units[0].write_text(units[0].read_text().replace("ProtectHome=yes", "ProtectHome=perhaps"))
        done = subprocess.run(["systemd-analyze", "verify", units[0]], capture_output=True, text=True)
        assert "protect home" in done.stderr

    def test_little_is_open_to_the_server(self, units: list[Path]) -> None:
        command = ["systemd-analyze", "security", "--offline=yes", "--threshold=20", str(units[0])]
        assert subprocess.run(command, capture_output=True).returncode == 0


def test_the_server_alone_is_told_to_stop_and_has_time_for_it() -> None:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read(DEPLOY / "parley.service")
    assert unit["Service"]["KillMode"] == "mixed"
    assert int(unit["Service"]["TimeoutStopSec"]) > Settings().deadline + 1


class TestContainerfile:
    TEXT = (DEPLOY / "Containerfile").read_text("utf-8")

    def test_what_it_copies_is_there(self) -> None:
        assert missing_sources(self.TEXT, ROOT) == []

    def test_what_is_not_there_is_found(self) -> None:
        assert missing_sources("COPY pyproject.toml nothing ./\nCOPY --from=build /opt /opt\n", ROOT) == ["nothing"]

    def test_it_copies_all_that_the_package_is_built_of(self) -> None:
        build = (ROOT / "pyproject.toml").read_text("utf-8")
        folders = re.findall(r'^"(\w+)" = "kg/content/', build, re.MULTILINE)
        assert len(folders) == 4
        for name in ("kg", "README.md", "LICENSE", *folders):
            assert re.search(rf"^COPY .*\b{re.escape(name)}\b", self.TEXT, re.MULTILINE), name

    def test_it_runs_without_rights(self) -> None:
        assert re.findall(r"^USER (.+)$", self.TEXT, re.MULTILINE) == ["10001"]
