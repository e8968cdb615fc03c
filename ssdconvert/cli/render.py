"""Results as text for people: every number beside its unit and its limit."""

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import click

from ssdconvert.build_result import BuildResult, StageResult
from ssdconvert.catalog import CatalogEntry
from ssdconvert.report.markdown import worst_checks
from ssdconvert.report.result import Check, Verification, describe
from ssdconvert.stages.detect import Found

COLOURS = {"done": "green", "cached": "cyan", "pass": "green", "failed": "red", "fail": "red"}


def coloured(status: str, width: int = 0) -> str:
    """Return a status word in its colour, padded to a width."""
    return click.style(f"{status:{width}}", fg=COLOURS.get(status, "yellow"), bold=True)


def stage_line(stage: StageResult, verbose: bool) -> str:
    """Return the line that tells how a stage ended."""
    if stage.status == "failed":  # the error that follows says why
        return f"  {stage.name:9} {coloured(stage.status)}"
    why = stage.reason if verbose or "changed" in stage.reason else ""
    what = stage.summary or stage.reason
    if why and why != what:
        what += f"  [{why}]"
    took = f"  {stage.seconds:.1f} s" if stage.seconds >= 0.05 else ""
    return f"  {stage.name:9} {coloured(stage.status, 8)} {what}{took}"


def build_text(result: BuildResult) -> str:
    """Return the result of a build: the verdict, the evidence in short, and where things are."""
    assert result.verification is not None
    places = [("picture", "reference.png"), ("report", "report.md"), ("manifest", "manifest.json")]
    lines = [verification_text(result.verification)]
    lines += [f"  {name:9} {result.output / path}" for name, path in places]
    return "\n".join(lines)


def verification_text(verification: Verification) -> str:
    """Return the verdict and a line for each candidate."""
    lines = [f"{verification.model}: {coloured(verification.verdict)}"]
    if verification.reason:
        lines.append(f"  {verification.reason}")
    lines.append(
        f"  original in {verification.reference}: {verification.reference_detections} detections "
        f"on {len(verification.pictures)} pictures"
    )
    for candidate, checks in groupby(worst_checks(verification.checks), key=lambda check: check.candidate):
        lines.append(_candidate_line(describe(candidate), list(checks)))
    return "\n".join(lines)


def _candidate_line(name: str, checks: Sequence[Check]) -> str:
    statuses = {check.status for check in checks}
    status = next(s for s in ("fail", "inconclusive", "skipped", "pass") if s in statuses)
    if status == "skipped":
        return f"  {name:44} {coloured(status)}  {checks[0].reason}"
    if checks[0].level == "control":
        seen = [check for check in checks if check.status == "pass"]
        weakest = min(checks, key=lambda check: float("inf") if check.value is None else check.value)
        told = f"{len(seen)} of {len(checks)} mistakes seen, the least of them {weakest.output}: "
        told += f"{weakest.value or 0:.2g} (must exceed {weakest.limit:.2g})"
        return f"  {name:44} {coloured(status)}  {told}"
    parts = []
    heads = [check for check in checks if check.level == "heads"]
    if heads:
        worst = max(heads, key=lambda check: float("inf") if check.value is None else check.value)
        parts.append(f"heads {_with_limit(worst)}")
    for check in checks:
        if check.level == "detections" and check.output:
            parts.append(f"{'IoU' if check.output == 'bboxes' else 'score'} {_with_limit(check)}")
        elif check.status == "fail" and check.level in ("contract", "detections"):
            parts.append(f"{check.metric}: {check.reason}")
    return f"  {name:44} {coloured(status)}  {', '.join(parts)}"


def _with_limit(check: Check) -> str:
    value = (
        "not a number"
        if check.value is None
        else f"{check.value:.2g}"
        if check.value < 0.1
        else f"{check.value:.4f}"
    )
    return f"{value} (limit {check.limit:g})"


def found_text(found: Sequence[Found], picture: Path) -> str:
    """Return detections as a table, boxes in pixels."""
    lines = [
        f"{f.name:16} {f.score:.3f}  x {f.box[0]:7.1f} .. {f.box[2]:7.1f}  y {f.box[1]:7.1f} .. {f.box[3]:7.1f} px"
        for f in found
    ]
    return "\n".join([*(lines or ["nothing found"]), f"picture: {picture}"])


def recipe_text(entry: CatalogEntry) -> str:
    """Return a recipe in words."""
    recipe, spec, rule = entry.recipe, entry.recipe.input, entry.recipe.detections
    height, width = spec.shape[2:]
    mean, scale = (" ".join(f"{v:g}" for v in values) for values in (spec.mean, spec.scale))
    lines = [
        f"{recipe.name}: {recipe.title}",
        f"  recipe      {entry.path}",
        f"  licence     {recipe.licence}",
        *([f"  homepage    {recipe.homepage}"] if recipe.homepage else []),
        *(f"  file        {_file_text(file)}" for file in recipe.source.files),
        "",
        f"  original    {recipe.source.kind}; input {spec.name!r} [1, 3, {height}, {width}] {spec.color.model}, "
        f"(value - mean) / scale of 0..255",
        f"              mean {mean}; scale {scale} ({spec.color.model} order)",
        f"  converted   OpenVINO IR {', '.join(recipe.precisions)}; input {spec.name!r} f32 [1, 3, {height}, {width}] "
        f"{spec.color.converted} 0..255",
        f"              bboxes f32 [1, {rule.keep}, 4] x_min y_min x_max y_max 0..1; labels i64 [1, {rule.keep}]; "
        f"scores f32 [1, {rule.keep}]",
        f"  picture     {spec.resize.mode} to {width}x{height}, {spec.resize.filter} ({spec.resize.library})",
        f"  detections  score > {rule.score_threshold:g}, best {rule.per_class} of a class, IoU {rule.iou_threshold:g} "
        f"({rule.at_iou_threshold} at equality{', boxes clipped first' if rule.clip else ''}), best {rule.keep} in all",
        f"  labels      0 background, {_labels_text(recipe.class_names)}",
        *(f"  accuracy    {a.metric} {a.value:g} by {a.by} ({a.source})" for a in recipe.accuracy),
        *(f"  note        {note}" for note in recipe.notes),
    ]
    return "\n".join(lines)


def _file_text(file: object) -> str:
    from ssdconvert.recipe_source import File

    assert isinstance(file, File)
    size = f"{file.size} bytes" if file.size else "size not published"
    digest = (
        f"sha256 {file.sha256}" if file.sha256 else f"sha384 {file.sha384}" if file.sha384 else "unpinned"
    )
    return f"{file.name}  {size}  {digest}"


def _labels_text(names: Sequence[str]) -> str:
    shown = ", ".join(f"{label} {name}" for label, name in enumerate(names[:6], start=1))
    return shown + (f", ... {len(names)} {names[-1]}" if len(names) > 6 else "")
