"""What goes to stderr beside results: lines for people, or with --log-format json one JSON object a line.

Each object has the key `event`: message, log, stage, fetch or error.
"""

import json
import logging
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import click

FORMATS = ("text", "json")


def echo_event(event: str, document: dict[str, Any]) -> None:
    """Print an event as a line of JSON on stderr."""
    click.echo(json.dumps({"event": event, **document}, ensure_ascii=False), err=True)


class StderrHandler(logging.Handler):
    """Logs to what stderr is at the moment: progress bars stand in for it while they are drawn."""

    as_json = False

    def emit(self, record: logging.LogRecord) -> None:
        """Print one record."""
        if self.as_json:
            echo_event("log", {"level": record.levelname.lower(), "message": record.getMessage()})
        else:
            click.echo(f"{record.levelname}: {record.getMessage()}", err=True)


HANDLER = StderrHandler()


def log_to_stderr(given: Sequence[str]) -> None:
    """Send the log to stderr, warnings and worse; `given` is a command line that may not be one."""
    logging.basicConfig(level=logging.WARNING, handlers=[HANDLER])
    HANDLER.as_json = ("--log-format", "json") in pairwise(given) or "--log-format=json" in given


def set_log(quiet: bool, verbose: bool, as_json: bool) -> None:
    """Log as much, and in the form, that the command line asked for."""
    logging.getLogger().setLevel(logging.INFO if verbose else logging.ERROR if quiet else logging.WARNING)
    HANDLER.as_json = as_json
