"""Judges one candidate on every sample: its file, what it hands out, and how far that is from the reference."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from ssdconvert.candidate import Candidate
from ssdconvert.errors import EngineFailure, MissingDevice, SsdconvertError
from ssdconvert.evidence import checks_owed
from ssdconvert.foreseen import foreseen_checks
from ssdconvert.gate_limits import precision_of_arithmetic
from ssdconvert.judgement import checks_against, checks_of_outputs, comparable_heads
from ssdconvert.originals import Original
from ssdconvert.outputs import output_spec
from ssdconvert.recipe import Recipe
from ssdconvert.references import Reference, References
from ssdconvert.report.result import Box, Check, Shown, Status, describe, judged
from ssdconvert.runners import Arrays, Runner
from ssdconvert.samples import Picture, Recorded, Sample, is_generated
from ssdconvert.ssd.detections import Detections
from ssdconvert.whole_pictures import WholePictures

# Pictures on which mistakes are made on purpose, of photographs and of coloured generated ones each.
CONTROL_PICTURES = 2
MOST_SHOWN = 8  # pictures whose detections a report draws, beside those on which something failed


@dataclass
class JudgedCandidate:
    """What was found of a candidate."""

    candidate: Candidate
    base: Check
    checks: list[Check] = field(default_factory=list)
    shown: list[Shown] = field(default_factory=list)
    heads: dict[str, Arrays] = field(default_factory=dict)  # by control picture


def control_pictures(references: References) -> list[str]:
    """Return the names of the first photographs and the first generated pictures, which have strong colours."""
    return [name for kind in (False, True) for name in references.pictures(kind)[:CONTROL_PICTURES]]


def judge_candidate(
    recipe: Recipe,
    original: Original,
    candidate: Candidate,
    references: References,
    required_devices: Sequence[str],
    whole: WholePictures | None,
) -> JudgedCandidate:
    """Open a candidate and judge its file and what it makes of each sample.

    `whole` judges one that resizes pictures itself; None where the original cannot be run again, and so makes no
    mistakes to be nearer than.
    Raises MissingDevice for a device that is absent and among `required_devices`.
    """
    base = Check(
        candidate.hop, "contract", candidate.device, "", candidate.precision, "", "", "",
        None, None, None, "skipped",
    )  # fmt: skip
    result = JudgedCandidate(candidate, base)
    try:
        runner = candidate.open()
    except MissingDevice as error:
        if candidate.device in required_devices:
            raise
        reason = f"{error.message}; {error.hint}" if error.hint else error.message
        result.checks.append(replace(base, level="heads", reason=reason))
        result.checks += foreseen_checks(base, recipe, original, candidate, references)
        return result
    except SsdconvertError as error:
        result.checks += _kept_promises(base, candidate)
        result.checks.append(_failed(base, "loads", error))
        return result
    base = replace(
        base, runtime=runner.runtime, executed_on=runner.executed_on,
        execution_precision=runner.execution_precision,
    )  # fmt: skip
    same_engine = (runner.runtime, runner.executed_on) == (
        original.runner.runtime,
        original.runner.executed_on,
    )
    candidate = replace(
        candidate,
        is_reference=candidate.is_reference and same_engine,
        computed_in=precision_of_arithmetic(runner.execution_precision),
    )
    result.candidate, result.base = candidate, base
    result.checks += _kept_promises(base, candidate)
    to_be_near = whole is not None and candidate.rounded and not candidate.is_reference
    held = control_pictures(references) if to_be_near else []
    for sample, reference in references:
        _judge_sample(recipe, original, runner, sample, reference, sample.name in held, result)
    if candidate.resized and whole:
        result.checks += whole.checks(base, candidate, runner)
    result.checks += checks_owed(base, original, candidate, result.checks, references.detections)
    return result


def _judge_sample(
    recipe: Recipe,
    original: Original,
    runner: Runner,
    sample: Sample,
    reference: Reference | None,
    held: bool,
    result: JudgedCandidate,
) -> None:
    """Judge what a candidate makes of one sample; `held`: against deliberate mistakes, too."""
    candidate, spec = result.candidate, output_spec(recipe)
    here = replace(result.base, input=sample.name)
    if candidate.resized and isinstance(sample, Recorded):
        reason = "it takes pictures, and a recorded input is none"
        result.checks.append(replace(here, metric="runs", reason=reason))
        return
    try:
        outputs = runner.run({recipe.input.name: candidate.fed(sample, recipe.input)})
    except SsdconvertError as error:
        result.checks.append(_failed(here, "runs", error))
        return
    broken = candidate.form.broken(outputs, spec) if candidate.form else []
    checks = list(checks_of_outputs(here, original, candidate, broken))
    if reference is not None:
        found = candidate.form.read(outputs, spec) if candidate.form and not broken else None
        checks += checks_against(here, recipe, original, candidate, reference, outputs, found)
        wrong = any(check.status == "fail" for check in checks)
        worth_a_look = not is_generated(sample) and len(result.shown) < MOST_SHOWN
        if candidate.shown and isinstance(sample, Picture) and (wrong or worth_a_look):
            result.shown.append(_shown(candidate, runner, reference, found))
        # integers are calibrated for photographs
        if held and not (candidate.precision == "INT8" and is_generated(sample)):
            heads = comparable_heads(candidate, reference, outputs)
            result.heads |= {sample.name: heads} if heads else {}
    result.checks += checks


def _kept_promises(base: Check, candidate: Candidate) -> Iterator[Check]:
    for promise, broken in (candidate.promises() if candidate.promises else {}).items():
        outcome = judged(len(broken), 0) | {"reason": "; ".join(broken)}
        yield replace(base, output="file", metric=promise, **outcome)


def _failed(base: Check, metric: str, error: SsdconvertError) -> Check:
    status: Status = "inconclusive" if isinstance(error, EngineFailure) else "fail"
    output = base.output or ("engine" if status == "inconclusive" else "")
    return replace(base, output=output, metric=metric, status=status, reason=error.message)


def _shown(candidate: Candidate, runner: Runner, reference: Reference, found: Detections | None) -> Shown:
    """Keep what both sides detect on one picture, for the report to draw."""
    words = describe((candidate.hop, candidate.precision, candidate.device, runner.runtime))
    converted = None if found is None else _boxes(found)
    return Shown(reference.sample.name, words, _boxes(reference.detections), converted)


def _boxes(detections: Detections) -> tuple[Box, ...]:
    """Round detections to what a drawing can show: 1e-5 is a hundredth of a pixel at 1200."""
    return tuple(
        Box(int(label), round(float(score), 6), tuple(round(value, 5) for value in box))
        for label, score, box in zip(
            detections.labels, detections.scores, detections.boxes.tolist(), strict=True
        )
        if all(map(math.isfinite, box))
    )
