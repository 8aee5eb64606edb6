"""The settings: one frozen object, built once by the command line from flags and environment."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from kg.errors import BadRequest

#: The forms of the server's log.
_LOGS = ("json", "text", "none")
#: Megabytes that a worker needs for its deep stack and the engine before it can do any work.
_LEAST_MEMORY = 1535


def _default_home() -> Path:
    from platformdirs import user_data_path

    return user_data_path("parley-kg", appauthor=False)


@dataclass(frozen=True)
class Settings:
    """What can be set. Every field names its environment variable and its line of help."""

    home: Path = field(
        default_factory=_default_home,
        metadata={"variable": "KG_HOME", "help": "folder of the embedded store; default: the user data folder"},
    )
    store: str = field(
        default="",
        metadata={
            "variable": "KG_STORE",
            "help": "URL of a SPARQL 1.1 endpoint to read from instead of the embedded store",
        },
    )
    token: str = field(
        default="",
        repr=False,
        metadata={
            "variable": "KG_TOKEN",
            "help": "bearer tokens for writes over HTTP, `[NAME:]SECRET[@PREFIX]`, separated by spaces; "
            "without one a server on loopback makes its own, any other is read-only",
        },
    )
    token_file: str = field(
        default="",
        metadata={"variable": "KG_TOKEN_FILE", "help": "file that holds bearer tokens, beside those of KG_TOKEN"},
    )
    deadline: float = field(default=30.0, metadata={"variable": "KG_DEADLINE", "help": "seconds that a query may take"})
    memory: int = field(
        default=4096, metadata={"variable": "KG_MEMORY", "help": "megabytes of address space that a worker may take"}
    )
    cache: int = field(
        default=64,
        metadata={"variable": "KG_CACHE", "help": "megabytes of answers that the server remembers"},
    )
    workers: int = field(
        default=2, metadata={"variable": "KG_WORKERS", "help": "number of processes that evaluate queries"}
    )
    max_rows: int | None = field(
        default=None,
        metadata={
            "variable": "KG_MAX_ROWS",
            "help": "rows that the answer to a client's query may have; "
            "it is cut after them, and says so; default: no limit",
        },
    )
    max_bytes: int | None = field(
        default=None,
        metadata={
            "variable": "KG_MAX_BYTES",
            "help": "bytes that the answer to a client's query may have; a larger one is refused; default: no limit",
        },
    )
    log: str = field(
        default="",
        metadata={
            "variable": "KG_LOG",
            "help": "lines that the server logs: `json`, `text`, or `none` for faults alone; "
            "default: text on a terminal, else JSON",
        },
    )

    allow_service: tuple[str, ...] = field(
        default=(),
        metadata={
            "variable": "KG_ALLOW_SERVICE",
            "help": "URLs of the endpoints that queries may call by SERVICE, separated by spaces; default: none",
        },
    )

    @classmethod
    def from_environment(cls, **flags: Any) -> Settings:
        """Build the settings from flags (None means not given), then the environment, then the defaults.

        Raises:
            BadRequest: a value is not of the kind that the setting needs.
        """
        values: dict[str, Any] = {}
        for spec in fields(cls):
            variable = spec.metadata["variable"]
            given = flags.get(spec.name)
            raw = given if given is not None else os.environ.get(variable)
            if raw not in (None, ""):
                values[spec.name] = _convert(variable, spec.name, raw)
        return cls(**values)


def _convert(variable: str, name: str, raw: Any) -> Any:
    if name == "home":
        return Path(raw).expanduser()
    if name in ("store", "token", "token_file"):
        return str(raw)
    if name == "allow_service":
        return _read_endpoints(raw)
    if name == "log":
        if raw not in _LOGS:
            raise BadRequest(f"{variable} is {raw!r}.", f"It takes one of: {', '.join(_LOGS)}.")
        return str(raw)
    kind = float if name == "deadline" else int
    try:
        number = kind(raw)
    except ValueError:
        number = kind(0)
    least = _LEAST_MEMORY if name == "memory" else 0
    if not least < number < float("inf"):  # NaN compares with nothing
        raise BadRequest(
            f"{variable} is {raw!r}.", f"It takes a {'number' if kind is float else 'whole number'} above {least}."
        )
    return number


def _read_endpoints(text: str) -> tuple[str, ...]:
    from kg.federation import read_endpoint

    return tuple(read_endpoint(url).url for url in text.split())


def limit_memory(megabytes: int) -> None:
    """Bound the address space of this process, where the system can."""
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    with suppress(ValueError, OSError):  # macOS knows the limit and refuses to set it
        resource.setrlimit(resource.RLIMIT_AS, (megabytes << 20, hard))
