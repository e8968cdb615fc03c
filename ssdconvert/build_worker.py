"""A process of `build_pool`: builds what comes through a pipe, one recipe after the other, and tells of it there.

Ctrl-C reaches every process of a terminal; a worker leaves it to its parent, and ends when that says so with
SIGTERM, closes the pipe, or is gone itself. Locks and temporary folders of a build go with it.
"""

import logging
import multiprocessing
import os
import pickle
import signal
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from typing import Any

from ssdconvert.build_result import BuildOptions
from ssdconvert.catalog import CatalogEntry

Send = Callable[[str, Any], None]


@dataclass(frozen=True)
class Job:
    """One recipe to build, up to the stage `until`."""

    entry: CatalogEntry
    options: BuildOptions
    until: str = "manifest"


def work(pipe: "Connection[Any, Any]", log_level: int) -> None:
    """Build the jobs that come through the pipe, until it is closed.

    Answers are pairs: ("stage", StageResult), ("waiting", None), ("fetch", Event) and ("log", (level, message)) while
    a job runs, and at its end ("ended", BuildResult) or ("failed", (an exception, its traceback as text)).
    """
    _leave_interrupts_to_the_parent()
    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    lock = threading.Lock()

    def send(kind: str, what: Any) -> None:
        with lock:  # files are fetched by several threads
            pipe.send((kind, what))

    logging.basicConfig(level=log_level, handlers=[_LogToParent(send)])
    with suppress(EOFError, KeyboardInterrupt, BrokenPipeError):
        while True:
            send(*_done(pipe.recv(), send))


def _done(job: Job, send: Send) -> tuple[str, Any]:
    """Build one recipe, and return the last message about it."""
    from ssdconvert.pipeline import build

    fetching = replace(job.options.fetch, tell=lambda event: send("fetch", event))
    try:
        result = build(
            job.entry,
            replace(job.options, fetch=fetching),
            job.until,
            on_stage=lambda stage: send("stage", stage),
            on_wait=lambda: send("waiting", None),
        )
    except Exception as error:  # whatever it is, the parent tells it, and the other recipes are built
        return "failed", (_that_pickles(error), traceback.format_exc())
    return "ended", result


def _that_pickles(error: Exception) -> Exception:
    """Return an exception, or one that tells the same where a library's own does not go through a pipe."""
    try:
        copy = pickle.loads(pickle.dumps(error))
    except Exception:  # a class with arguments of its own fails in any way
        copy = None
    return error if type(copy) is type(error) else RuntimeError(f"{type(error).__name__}: {error}")


class _LogToParent(logging.Handler):
    def __init__(self, send: Send) -> None:
        super().__init__()
        self._send = send

    def emit(self, record: logging.LogRecord) -> None:
        self._send("log", (record.levelno, record.getMessage()))


def _leave_interrupts_to_the_parent() -> None:
    """Ignore SIGINT, which the parent has blocked until now, and end by KeyboardInterrupt at the first SIGTERM."""

    def end(number: int, frame: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, end)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])


def _end_with_the_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
