"""A toolchain that is there: its worker can be asked."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ssdconvert.toolchains import Kind
from ssdconvert.toolchains.session import Session

TIMEOUT = 600.0  # seconds


@dataclass(frozen=True)
class Toolchain:
    """A toolchain that is there: its folder is a virtual environment."""

    kind: Kind
    folder: Path

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return python_of(self.folder)

    def session(self, stage: str = "toolchain") -> Session:
        """Start a worker, for several tasks."""
        return Session(self.kind.name, self.python, stage)

    def call(
        self, task: str, request: Mapping[str, Any], timeout: float = TIMEOUT, stage: str = "toolchain"
    ) -> dict[str, Any]:
        """Return the result of a single task of a worker; see `Session.ask`."""
        session = self.session(stage)
        try:
            return session.ask(task, request, timeout)
        finally:
            session.close()


def python_of(folder: Path) -> Path:
    """Return where a virtual environment has its interpreter."""
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
