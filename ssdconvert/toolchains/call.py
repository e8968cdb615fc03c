"""Asks a toolchain's worker to do a task."""

import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ssdconvert.errors import ConversionError
from ssdconvert.toolchains import Kind
from ssdconvert.toolchains.worker import PROTOCOL

WORKER = Path(__file__).with_name("worker.py")
TOLD = 3  # lines of a crashed worker's stderr that a message has


@dataclass(frozen=True)
class Toolchain:
    """A toolchain that is there: its folder is a virtual environment."""

    kind: Kind
    folder: Path

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return python_of(self.folder)

    def call(
        self, task: str, request: Mapping[str, Any], timeout: float = 600, stage: str = "toolchain"
    ) -> dict[str, Any]:
        """Return the result of a task of `worker.py` for its arguments; `timeout` in seconds.

        Raises ConversionError, of the stage, where the task fails, crashes, takes longer, or answers
        in another protocol.
        """
        with tempfile.TemporaryDirectory(prefix="ssdconvert-") as folder:
            asked, answered = Path(folder) / "request.json", Path(folder) / "answer.json"
            asked.write_text(
                json.dumps({"protocol": PROTOCOL, "task": task, "arguments": dict(request)}), "utf-8"
            )
            command = [str(self.python), str(WORKER), str(asked), str(answered)]
            try:
                done = subprocess.run(
                    command, env=_environment(folder), stdin=subprocess.DEVNULL, capture_output=True,
                    timeout=timeout, check=False,
                )  # fmt: skip
            except subprocess.TimeoutExpired:
                raise self._failure(
                    f"did not finish {task} in {timeout:g} s", "the machine may be busy: try again", stage
                ) from None
            except OSError as error:
                raise self._failure(f"does not start: {error.strerror}", self._mend, stage) from error
            try:
                answer = json.loads(answered.read_text("utf-8"))
                protocol, problem, result = (answer.get(key) for key in ("protocol", "error", "result"))
            except FileNotFoundError:
                raise self._failure(f"{_end(done)} in {task!r}", self._mend, stage) from None
            except (ValueError, AttributeError):
                raise self._failure(f"gave an answer to {task} that is none", self._mend, stage) from None
        if protocol != PROTOCOL:
            raise self._failure(f"answers in protocol {protocol}, expected {PROTOCOL}", self._mend, stage)
        if problem is not None:
            hint = "correct what the message names, or report it with the recipe"
            raise self._failure(f"cannot {task.replace('_', ' ')}: {problem}", hint, stage)
        if not isinstance(result, dict):
            raise self._failure(f"gave an answer to {task} that is none", self._mend, stage)
        return result

    @property
    def _mend(self) -> str:
        return f"see `ssdconvert toolchain check {self.kind.name}`"

    def _failure(self, what: str, hint: str, stage: str) -> ConversionError:
        return ConversionError(f"the toolchain {self.kind.name} {what}", hint=hint, stage=stage)


def python_of(folder: Path) -> Path:
    """Return where a virtual environment has its interpreter."""
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def _environment(home: str) -> dict[str, str]:
    """Return a worker's environment: nothing of our Python, a home that is thrown away, no telemetry.

    A fixed seed of hashes makes Model Optimizer number its nodes alike every time.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return kept | {"HOME": home, "CI": "true", "PYTHONHASHSEED": "0", "PYTHONNOUSERSITE": "1"}


def _end(done: "subprocess.CompletedProcess[bytes]") -> str:
    """Say how a worker without an answer ended."""
    lines = [line.strip() for line in done.stderr.decode("utf-8", "replace").splitlines() if line.strip()]
    if done.returncode < 0:
        ended = f"was killed by {signal.Signals(-done.returncode).name}"
    else:
        ended = f"ended with code {done.returncode} and without an answer"
    return f"{ended} ({'; '.join(lines[-TOLD:])})" if lines else ended
