"""Runs a stage unless it is up to date, and tells how it ended.

The evidence (report, reference picture, manifest and what follows from it) stands for the files beside it,
so it goes before any of them is made anew: a build that fails or is killed leaves no verdict on files
that it does not belong to.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from ssdconvert.build_result import StageResult
from ssdconvert.errors import RecipeError, SsdconvertError
from ssdconvert.release.names import ACCEPTANCE, DOCUMENTS
from ssdconvert.workspace import Workspace, code_digest

REPORTS = ("report.html", "report.md", "report.xml")
EVIDENCE = (*REPORTS, "report.json", ACCEPTANCE, "detections.json", "reference.png")


class StageRunner:
    """The stages of one build so far: `results`, and the artefacts `made` (relative paths)."""

    def __init__(
        self, workspace: Workspace, rerun: Sequence[str], on_stage: Callable[[StageResult], None]
    ) -> None:
        self.workspace, self.rerun, self.on_stage = workspace, rerun, on_stage
        self.results: list[StageResult] = []
        self.made: list[str] = []
        self.code = code_digest()

    def run(
        self,
        name: str,
        inputs: Mapping[str, Any],
        outputs: Sequence[str],
        action: Callable[[], str],
        keep: Callable[[], bool] = lambda: True,
        possible: Sequence[str] = (),
    ) -> None:
        """Run a stage unless it is up to date; it is remembered when `keep` says so afterwards.

        The `possible` are outputs that it need not make: it deletes those that it does not.
        """
        reason = self.why_stale(name, inputs, outputs, possible)
        inputs = {**inputs, "code": self.code}
        self.made += outputs
        if not reason:
            self.made += self._there(possible)
            self.tell(StageResult(name, "cached", 0.0, "up to date"))
            return
        self.workspace.forget(name)
        for path in (*DOCUMENTS, *(path for path in EVIDENCE if path not in self.made or path in outputs)):
            self.workspace.path(path).unlink(missing_ok=True)
        told = len(self.results)
        started = time.monotonic()
        with self.failing(name, started):
            summary = action()
        # a stage that ran inside this one, such as load, has told its own time
        inside = sum(result.seconds for result in self.results[told:])
        found = self._there(possible)
        self.made += found
        if keep():
            self.workspace.record(name, inputs, [*outputs, *found])
        self.tell(StageResult(name, "done", time.monotonic() - started - inside, reason, summary))

    def why_stale(
        self, name: str, inputs: Mapping[str, Any], outputs: Sequence[str], possible: Sequence[str] = ()
    ) -> str:
        """Return why a stage must run, or an empty string when it is up to date and need not run again."""
        reason = self.workspace.why_stale(name, {**inputs, "code": self.code}, outputs, possible)
        return reason or ("asked for" if name in self.rerun else "")

    def _there(self, paths: Sequence[str]) -> list[str]:
        return [path for path in paths if self.workspace.path(path).is_file()]

    def tell(self, result: StageResult) -> None:
        """Note how a stage ended, and pass it on."""
        self.results.append(result)
        self.on_stage(result)

    @contextmanager
    def failing(self, name: str, started: float) -> Iterator[None]:
        """Tell of a stage that ends in an expected failure, once, and let the failure go on."""
        try:
            try:
                yield
            except OSError as error:
                raise RecipeError(
                    f"{name}: {error}",
                    hint=f"make {self.workspace.folder} writable, with space left, or give another --output",
                    stage="output",
                ) from error
        except SsdconvertError as error:
            if not any(result.status == "failed" for result in self.results):
                self.tell(StageResult(name, "failed", time.monotonic() - started, error.message))
            raise
