"""A toolchain's worker that is running: it is asked one task after the other, and keeps what it has opened.

Requests and answers are lines of JSON over its standard input and output; models and arrays are files.
"""

import contextlib
import json
import os
import queue
import signal
import subprocess
import tempfile
import threading
import weakref
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import IO, Any

from ssdconvert.errors import ConversionError, EngineFailure
from ssdconvert.toolchains.worker import PROTOCOL

WORKER = Path(__file__).with_name("worker.py")
TOLD = 3  # lines of a crashed worker's stderr that a message has
PATIENCE = 10.0  # seconds that a worker has to end once it has closed its output


class Session:
    """The worker of the toolchain `name`, run by its interpreter `python`; failures are of the stage.

    `folder` is there for files that both sides read, and is gone with the session.
    """

    def __init__(self, name: str, python: Path, stage: str) -> None:
        self.name, self.stage = name, stage
        self._temporary = tempfile.TemporaryDirectory(prefix="ssdconvert-")
        self.folder = Path(self._temporary.name)
        self._errors = self.folder / "stderr"
        try:
            with self._errors.open("wb") as errors:
                self._worker = subprocess.Popen(
                    [str(python), str(WORKER)], env=_environment(self.folder), cwd=self.folder, stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE, stderr=errors, start_new_session=True,
                )  # fmt: skip
        except OSError as error:
            self._temporary.cleanup()
            raise self._failure(f"does not start: {error.strerror}", self._mend) from error
        self._lines: queue.Queue[bytes] = queue.Queue()
        # a thread, since pipes cannot be waited for with a timeout on every system
        threading.Thread(target=_read_lines, args=(self._worker.stdout, self._lines), daemon=True).start()
        self.close = weakref.finalize(self, _end, self._worker, self._temporary)

    def ask(
        self, task: str, arguments: Mapping[str, Any], timeout: float, expected: Collection[str] = ()
    ) -> dict[str, Any]:
        """Return the result of a task of `worker.py`, with the `expected` keys at least; `timeout` in seconds.

        Raises ConversionError where the task fails, EngineFailure where the worker crashes, takes longer, or
        answers nonsense or in another protocol; then the session has ended.
        """
        if not self.close.alive:
            raise self._failure("is not running any more", "see what failed before")
        request = {"protocol": PROTOCOL, "task": task, "arguments": dict(arguments)}
        assert self._worker.stdin is not None
        with contextlib.suppress(OSError):  # one that has crashed is told of below
            self._worker.stdin.write(json.dumps(request).encode() + b"\n")
            self._worker.stdin.flush()
        try:
            line = self._lines.get(timeout=timeout)
        except queue.Empty:
            self.close()
            raise self._failure(
                f"did not finish {task} in {timeout:g} s", "the machine may be busy: try again"
            ) from None
        if not line:
            raise self._failure(f"{self._ended()} in {task!r}", self._mend)
        return self._result(task, line, expected)

    def _result(self, task: str, line: bytes, expected: Collection[str]) -> dict[str, Any]:
        try:
            answer = json.loads(line)
            protocol, problem, result = (answer.get(key) for key in ("protocol", "error", "result"))
        except (ValueError, AttributeError):
            self.close()
            raise self._failure(f"gave an answer to {task} that is none", self._mend) from None
        if protocol != PROTOCOL:
            self.close()
            raise self._failure(f"answers in protocol {protocol}, expected {PROTOCOL}", self._mend)
        if problem is not None:
            hint = "correct what the message names, or report it with the recipe"
            told = f"the toolchain {self.name} cannot {task.replace('_', ' ')}: {problem}"
            raise ConversionError(told, hint=hint, stage=self.stage)
        if not isinstance(result, dict) or not result.keys() >= {*expected}:
            self.close()
            raise self._failure(f"gave an answer to {task} that is none", self._mend)
        return result

    def _ended(self) -> str:
        """Say how a worker without an answer ended."""
        try:
            code = self._worker.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.close()
            return "closed its output"
        told = self._errors.read_text("utf-8", "replace") if self._errors.exists() else ""
        self.close()
        lines = [line.strip() for line in told.splitlines() if line.strip()]
        if code < 0:
            ended = f"was killed by {signal.Signals(-code).name}"
        else:
            ended = f"ended with code {code} and without an answer"
        return f"{ended} ({'; '.join(lines[-TOLD:])})" if lines else ended

    @property
    def _mend(self) -> str:
        return f"see `ssdconvert toolchain check {self.name}`"

    def _failure(self, what: str, hint: str) -> EngineFailure:
        return EngineFailure(f"the toolchain {self.name} {what}", hint=hint, stage=self.stage)


def _environment(home: Path) -> dict[str, str]:
    """Return a worker's environment: nothing of our Python, a home that is thrown away, no telemetry.

    A fixed seed of hashes makes Model Optimizer number its nodes alike every time.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return kept | {"HOME": str(home), "CI": "true", "PYTHONHASHSEED": "0", "PYTHONNOUSERSITE": "1"}


def _read_lines(stdout: IO[bytes], lines: "queue.Queue[bytes]") -> None:
    """Hand on a worker's answers; an empty line stands for the end."""
    with contextlib.suppress(ValueError, OSError):  # closed while it is read
        for line in stdout:
            lines.put(line)
    lines.put(b"")


def _end(worker: "subprocess.Popen[bytes]", temporary: "tempfile.TemporaryDirectory[str]") -> None:
    if os.name == "posix":  # with what it has started
        with contextlib.suppress(ProcessLookupError):
            os.killpg(worker.pid, signal.SIGKILL)
    worker.kill()
    worker.wait()
    for pipe in (worker.stdin, worker.stdout):
        with contextlib.suppress(OSError):  # what could not be written to one that has crashed
            if pipe is not None:
                pipe.close()
    temporary.cleanup()
