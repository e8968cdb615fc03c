"""What goes to stderr beside results: lines for people, or with --log-format json one JSON object a line.

Each object has the key `event`: message, log, stage, fetch or error.
"""

import logging
import sys
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import click

from ssdconvert.plain_text import json_text, plain

FORMATS = ("text", "json")


def echo(text: str, err: bool = False, color: bool | None = None) -> None:
    """Print a text on stdout, or on stderr."""
    click.echo(plain(text), err=err, color=color)


def echo_json(document: Any, err: bool = False, indent: int | None = 2) -> None:
    """Print a document; what no terminal of this encoding shows is escaped, so that it stays JSON."""
    stream = sys.stderr if err else sys.stdout
    ascii_only = "utf" not in (getattr(stream, "encoding", None) or "utf-8").lower()
    click.echo(json_text(document, indent, ascii_only, allow_nan=True), err=err)


def echo_event(event: str, document: dict[str, Any]) -> None:
    """Print an event as a line of JSON on stderr."""
    echo_json({"event": event, **document}, err=True, indent=None)


class StderrHandler(logging.Handler):
    """Logs to what stderr is at the moment: progress bars stand in for it while they are drawn."""

    as_json = False

    def emit(self, record: logging.LogRecord) -> None:
        """Print one record."""
        recipe: str = getattr(record, "recipe", "")
        if self.as_json:
            of = {"recipe": recipe} if recipe else {}
            echo_event("log", {**of, "level": record.levelname.lower(), "message": record.getMessage()})
        else:
            of_recipe = f"{recipe}: " if recipe else ""
            echo(f"{of_recipe}{record.levelname}: {record.getMessage()}", err=True)


HANDLER = StderrHandler()


def log_to_stderr(given: Sequence[str]) -> None:
    """Send the log to stderr, warnings and worse; `given` is a command line that may not be one."""
    logging.basicConfig(level=logging.WARNING, handlers=[HANDLER])
    HANDLER.as_json = ("--log-format", "json") in pairwise(given) or "--log-format=json" in given


def log_of_recipe(recipe: str, level: int, message: str) -> None:
    """Log what the process that builds one of several recipes has logged."""
    logging.getLogger(__name__).log(level, "%s", message, extra={"recipe": recipe})


def set_log(quiet: bool, verbose: bool, as_json: bool) -> None:
    """Log as much, and in the form, that the command line asked for."""
    logging.getLogger().setLevel(logging.INFO if verbose else logging.ERROR if quiet else logging.WARNING)
    HANDLER.as_json = as_json
