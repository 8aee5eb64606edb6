"""Each setting from its flag, its variable and its default."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from kg.errors import BadRequest
from kg.settings import Settings

FIELDS = {field.name: field for field in dataclasses.fields(Settings)}
#: A setting's text in the environment, and what it becomes.
GIVEN: dict[str, tuple[str, Any]] = {
    "home": ("/tmp/kg", Path("/tmp/kg")),
    "store": ("http://127.0.0.1:3030/sparql", "http://127.0.0.1:3030/sparql"),
    "token": ("secret", "secret"),
    "token_file": ("/run/secrets/parley", "/run/secrets/parley"),
    "deadline": ("2.5", 2.5),
    "memory": ("2048", 2048),
    "cache": ("8", 8),
    "workers": ("3", 3),
    "max_rows": ("1000", 1000),
    "max_bytes": ("5000000", 5_000_000),
    "log": ("text", "text"),
    "allow_service": (
        "https://example.org/sparql  http://127.0.0.1:3030/sparql",
        ("https://example.org/sparql", "http://127.0.0.1:3030/sparql"),
    ),
}


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for field in FIELDS.values():
        monkeypatch.delenv(field.metadata["variable"], raising=False)


def variable(name: str) -> str:
    return str(FIELDS[name].metadata["variable"])


def test_every_setting_is_tested_here() -> None:
    assert set(GIVEN) == set(FIELDS)


@pytest.mark.parametrize("name", GIVEN)
def test_setting_has_a_variable_of_its_name_and_a_line_of_help(name: str) -> None:
    assert variable(name) == f"KG_{name.upper()}"
    assert FIELDS[name].metadata["help"]


@pytest.mark.parametrize("name", GIVEN)
def test_setting_comes_from_the_environment(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text, value = GIVEN[name]
    monkeypatch.setenv(variable(name), text)
    assert Settings.from_environment() == dataclasses.replace(Settings(), **{name: value})


@pytest.mark.parametrize("name", GIVEN)
def test_flag_prevails_over_the_environment(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text, value = GIVEN[name]
    monkeypatch.setenv(variable(name), "7000")
    assert getattr(Settings.from_environment(**{name: text}), name) == value


@pytest.mark.parametrize("name", GIVEN)
@pytest.mark.parametrize("nothing", ["", None])
def test_empty_variable_and_missing_flag_leave_the_default(
    name: str, nothing: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable(name), "")
    assert Settings.from_environment(**{name: nothing}) == Settings()


def test_defaults_are_those_of_the_documentation() -> None:
    settings = Settings()
    assert (settings.store, settings.token, settings.deadline) == ("", "", 30.0)
    assert settings.home.is_absolute()
    assert settings.home.name == "parley-kg"


def test_home_may_begin_with_a_tilde(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KG_HOME", "~/graph")
    assert Settings.from_environment().home == Path.home() / "graph"


@pytest.mark.parametrize("name", ["deadline", "memory", "cache", "workers", "max_rows", "max_bytes"])
@pytest.mark.parametrize("text", ["0", "-1", "many", "1,5", "nan", "inf", "1e999", "٣ ٤"])
def test_number_that_is_none_or_not_above_0_is_refused(name: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable(name), text)
    with pytest.raises(BadRequest) as caught:
        Settings.from_environment()
    kind = "number" if name == "deadline" else "whole number"
    assert str(caught.value).startswith(f"{variable(name)} is {text!r}. It takes a {kind} above ")


def test_whole_number_takes_no_fraction(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KG_WORKERS", "1.5")
    with pytest.raises(BadRequest, match="It takes a whole number above 0"):
        Settings.from_environment()


def test_memory_in_which_no_worker_could_start_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KG_MEMORY", "100")
    with pytest.raises(BadRequest, match=r"KG_MEMORY is '100'\. It takes a whole number above \d{3,}\."):
        Settings.from_environment()


def test_a_form_of_the_log_that_is_none_is_refused_with_those_that_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KG_LOG", "xml")
    with pytest.raises(BadRequest, match=r"KG_LOG is 'xml'\. It takes one of: json, text, none\."):
        Settings.from_environment()


def test_settings_do_not_show_their_token() -> None:
    assert "secret" not in repr(Settings(token="secret"))


def test_settings_do_not_change() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Settings().deadline = 1  # type: ignore[misc]
