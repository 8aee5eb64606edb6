"""The log of the server on standard error: a line of JSON for each event, or a line of text."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime

from kg.telemetry import REQUESTS
from kg.tracing import STOPS, current


def configure(form: str) -> None:
    """Send what the server and its libraries log to standard error, as `json`, as `text`, or as text without the
    requests (`none`). By default (empty) as text on a terminal and else as JSON."""
    form = form or ("text" if sys.stderr.isatty() else "json")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if form == "json" else _Text())
    handler.addFilter(_is_news)
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("kg").setLevel(logging.INFO)
    REQUESTS.setLevel(logging.CRITICAL if form == "none" else logging.INFO)
    # Where in the code a line was logged, by which thread and process: nothing here says so, and it costs time.
    logging._srcfile = None
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False


def _is_news(record: logging.LogRecord) -> bool:
    """Whether a record says more than the line of its request. An answer that was stopped on its way has to end in an
    error, so that its connection ends; the web server then logs a traceback that tells nothing."""
    return not (record.exc_info and current().outcome in STOPS)


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {"time": _time(record), "level": record.levelname.lower()}
        fields = getattr(record, "fields", None)
        if fields is None:
            line |= {"logger": record.name, "message": record.getMessage().strip()}
            if current().id:
                line["id"] = current().id
            if record.exc_info:
                line["traceback"] = self.formatException(record.exc_info)
        else:
            line |= fields
        return json.dumps(line, ensure_ascii=False)


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        head = f"{_time(record)} {record.levelname.lower()}"
        fields = getattr(record, "fields", None)
        if fields is not None:
            return f"{head} {' '.join(f'{k}={v}' for k, v in fields.items())}"
        name = f" id={current().id}" if current().id else ""
        trace = f"\n{self.formatException(record.exc_info)}" if record.exc_info else ""
        return f"{head}{name} {record.getMessage().strip()}{trace}"


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
