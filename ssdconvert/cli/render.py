"""Results as text for people: every number beside its unit and its limit."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ssdconvert.report.result import Check, Verification, describe, divergence_text
from ssdconvert.report.words import FILTER_COST, LEVELS, NEARER, worst_checks, worst_status

if TYPE_CHECKING:
    from ssdconvert.build_result import BuildResult, StageResult
    from ssdconvert.side_by_side import Compared
    from ssdconvert.stages.detect import Found, Seen

UNMEASURED = ("inconclusive", "skipped")
COLOURS = {"done": "green", "cached": "cyan", "pass": "green", "failed": "red", "fail": "red"}


def coloured(status: str, width: int = 0) -> str:
    """Return a status word in its colour, padded to a width."""
    return click.style(f"{status:{width}}", fg=COLOURS.get(status, "yellow"), bold=True)


def stage_line(stage: "StageResult", verbose: bool) -> str:
    """Return the line that tells how a stage ended."""
    if stage.status == "failed":  # the error that follows says why
        return f"  {stage.name:9} {coloured(stage.status)}"
    why = stage.reason if verbose or "changed" in stage.reason else ""
    what = stage.summary or stage.reason
    if why and why != what:
        what += f"  [{why}]"
    took = f"  {stage.seconds:.1f} s" if stage.seconds >= 0.05 else ""
    return f"  {stage.name:9} {coloured(stage.status, 8)} {what}{took}"


def build_text(result: "BuildResult") -> str:
    """Return the result of a build: the verdict, the evidence in short, and where things are."""
    if result.verification is None:
        return unverified_text(result)
    places = [("picture", "reference.png"), ("report", "report.html"), ("manifest", "manifest.json")]
    lines = [verification_text(result.verification)]
    lines += [f"  {name:9} {result.output / path}" for name, path in places]
    return "\n".join(lines)


def unverified_text(result: "BuildResult") -> str:
    """Return where the IRs are of a build that ended there, and that nobody has verified them."""
    irs = [entry["path"] for entry in result.artefacts if entry["path"].endswith(".xml")]
    lines = [
        f"{result.recipe}: {coloured('not verified')}: do not deploy it before `ssdconvert build` passes it"
    ]
    return "\n".join([*lines, *(f"  {'IR':9} {result.output / path}" for path in irs)])


def profile_text(result: "BuildResult") -> str:
    """Return what each stage took, as a table."""
    lines = [f"{result.recipe}: {'stage':9} {'seconds':>8} {'share':>6} {'CPU s':>7} {'peak memory':>12}"]
    indent = " " * (len(result.recipe) + 2)
    total: dict[str, Any] = {"name": "total", "share": 1.0}
    total |= {
        key: sum(row[key] for row in result.profile) for key in ("seconds", "cpu_seconds", "peak_growth")
    }
    for row in (*result.profile, total):
        grown = f"{row['peak_growth'] / 1e6:+.0f} MB"
        taken = f"{row['seconds']:8.2f} {row['share']:6.0%} {row['cpu_seconds']:7.2f} {grown:>12}"
        lines.append(f"{indent}{row['name']:9} {taken}")
    return "\n".join(lines)


def verification_text(verification: Verification) -> str:
    """Return the verdict and a line for each candidate."""
    lines = [f"{verification.model}: {coloured(verification.verdict)}"]
    if verification.stand_in:
        lines.append("  STAND-IN: the weights come from a seed and detect nothing real; do not deploy it")
    if verification.reason:
        lines.append(f"  {verification.reason}")
    lines.append(
        f"  original in {verification.reference}: {_detections(verification)} "
        f"on {len(verification.pictures)} pictures"
    )
    lines += [f"  {click.style('warning', fg='yellow')}: {warning}" for warning in verification.warnings]
    judged: dict[str, list[Check]] = {}
    for check in worst_checks(verification.checks):
        judged.setdefault(describe(check.candidate), []).append(check)
    width = max(map(len, judged), default=0)
    lines += [_candidate_line(f"{name:{width}}", checks) for name, checks in judged.items()]
    lines += [f"  trace: {divergence_text(trace)}" for trace in verification.traces]
    return "\n".join(lines)


def _detections(verification: Verification) -> str:
    found = verification.reference_detections
    return "outputs of which nobody says what they mean," if found is None else f"{found} detections"


def _candidate_line(name: str, checks: Sequence[Check]) -> str:
    status = worst_status(checks)
    if status == "skipped":
        return f"  {name}  {coloured(status)}  {checks[0].reason}"
    if checks[0].hop == "control":
        seen = [check for check in checks if check.status == "pass"]
        weakest = min(checks, key=lambda check: float("inf") if check.value is None else check.value)
        told = f"{len(seen)} of {len(checks)} mistakes seen, the least of them {weakest.output}: "
        told += f"{weakest.value or 0:.2g} (must exceed {weakest.limit:.2g})"
        return f"  {name}  {coloured(status)}  {told}"
    parts = []
    heads = [c for c in checks if c.level == "heads" and c.output != NEARER and c.status not in UNMEASURED]
    if heads:
        worst = max(heads, key=lambda check: float("inf") if check.value is None else check.value)
        parts.append(f"heads {_with_limit(worst)}")
    for check in checks:
        if check.level == "accuracy" and check.status not in UNMEASURED:
            parts.append(f"{check.output} {check.statistics['INT8']:.2f} of {check.statistics['FP32']:.2f}: "
                         f"{check.value:.2f} points lower (limit {check.limit:g})")  # fmt: skip
        elif check.level == "detections" and check.output in ("scores", "bboxes"):
            parts.append(f"{'IoU' if check.output == 'bboxes' else 'score'} {_with_limit(check)}")
        elif check.output == FILTER_COST:
            parts += [f"filter costs {check.metric} {_value(check)} (no limit)"] if check.value else []
        elif check.metric == LEVELS and check.status != "fail":
            parts.append(f"resize {check.value:.0f} of 255 (limit {check.limit:g})")
        elif check.status == "fail" and check.level in ("contract", "detections"):
            parts.append(f"{check.output} {check.metric}: {check.reason or _with_limit(check)}".strip())
        elif check.output == NEARER and check.status == "fail":
            parts.append(f"{NEARER}: {_with_limit(check)}")
        elif check.status in UNMEASURED:
            parts.append(f"{check.output}: {check.reason}")
        elif check.level == "contract" and check.reason:
            parts.append(check.reason)
    return f"  {name}  {coloured(status)}  {', '.join(parts)}"


def _with_limit(check: Check) -> str:
    return f"{_value(check)} (limit {check.limit:g})"


def _value(check: Check) -> str:
    if check.value is None:
        return "not a number"
    return f"{check.value:.2g}" if check.value < 0.1 else f"{check.value:.4f}"


def found_text(found: "Sequence[Found]", picture: Path | None, both: "Compared | None" = None) -> str:
    """Return detections as a table, boxes in pixels."""
    lines = _found_lines(found) or ["nothing found"]
    if both:
        lines.append(f"against the original: {both.told}")
    if picture:
        lines.append(f"picture: {picture}")
    return "\n".join(lines)


def seen_text(seen: "Seen") -> str:
    """Return what was found in one of several pictures."""
    from ssdconvert.pictures import shown

    told = [f"{len(seen.found)} found" if seen.found else "nothing found"]
    told += [f"against the original: {seen.compared.told}"] if seen.compared else []
    told += [f"picture {seen.target.output}"] if seen.target.output else []
    title = f"{shown(seen.target.path)}: {'; '.join(told)}"
    return "\n".join([title, *(f"  {line}" for line in _found_lines(seen.found))])


def _found_lines(found: "Sequence[Found]") -> list[str]:
    width = max((len(one.name) for one in found), default=0)
    return [
        f"{one.name:{max(16, width)}} {one.score:.3f}  x {one.box[0]:7.1f} .. {one.box[2]:7.1f}  "
        f"y {one.box[1]:7.1f} .. {one.box[3]:7.1f} px"
        for one in found
    ]
