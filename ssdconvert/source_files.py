"""The files that a build starts from: fetched, or made from a seed, and the evidence published beside them."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ssdconvert.build_plan import Plan
from ssdconvert.build_result import StageResult
from ssdconvert.fetching.options import Fetched, FetchOptions
from ssdconvert.recipe_source import OnnxSource
from ssdconvert.stage_runner import StageRunner
from ssdconvert.stages.fetch import fetch, fetch_if_near, local
from ssdconvert.versions import tool_versions
from ssdconvert.workspace import PRIVATE, Workspace


@dataclass(frozen=True)
class SourceFiles:
    """The original's files, and what its publisher recorded or published twice, None where it is not near."""

    files: tuple[Fetched, ...]
    evidence: Fetched | None

    @property
    def paths(self) -> dict[str, Path]:
        """The original's files by name."""
        return {file.name: file.path for file in self.files}

    @property
    def digests(self) -> dict[str, str]:
        """SHA-256 of the original's files by name."""
        return {file.name: file.sha256 for file in self.files}


def fetched_files(plan: Plan, options: FetchOptions, stages: StageRunner) -> SourceFiles:
    """Fetch what a build needs, and tell of it as the stage `fetch`."""
    started = time.monotonic()
    with stages.failing("fetch", started):
        files = fetch(plan.recipe, options, plan.files)
        evidence = fetch_if_near(plan.recipe, plan.evidence, options) if plan.evidence else None
    status = "cached" if all(file.origin == "cache" for file in files) else "done"
    reason = "in the cache" if status == "cached" else f"from {', '.join(f.origin for f in files)}"
    summary = ", ".join(f"{f.name} {f.bytes / 1e6:.1f} MB sha256 {f.sha256[:8]}..." for f in files)
    if plan.evidence and not evidence:
        summary += f"; without {plan.evidence.name}, which is neither in the cache nor in a mirror"
    stages.tell(StageResult("fetch", status, time.monotonic() - started, reason, summary))
    return SourceFiles(tuple(files), evidence)


def stand_in_files(plan: Plan, workspace: Workspace, stages: StageRunner) -> SourceFiles:
    """Make what a build needs from a seed, unless that is up to date, as the stage `fetch`."""
    folder, recipe = f"{PRIVATE}/stand-in", plan.recipe
    recorded = plan.evidence if isinstance(recipe.source, OnnxSource) else None
    files = [*plan.files, *([recorded] if recorded else [])]

    def action() -> str:
        from ssdconvert.stand_in import make_stand_in

        make_stand_in(recipe, workspace.path(folder))
        return f"made {', '.join(file.name for file in files)} from a seed: a STAND-IN, which detects nothing real"

    inputs: dict[str, Any] = recipe.model_dump(mode="json", include={"source", "input", "detections"})
    names = [f"{folder}/{file.name}" for file in files]
    stages.run("fetch", {**inputs, "tools": tool_versions()}, names, action)
    made = [local(file, workspace.path(name)) for file, name in zip(files, names, strict=True)]
    return SourceFiles(tuple(made[: len(plan.files)]), made[-1] if recorded else None)
