"""Verify: is the IR still the model? Every hop against the original, on pictures.

The original runs in its own engine, on normalised input in its own channel order; the IR runs as a
deployer runs it, on 0..255 in the converted order. Heads are compared as tensors, relative to their
own scale; detections by `ssdconvert.ssd.matching`; the shipped outputs by their contract. What the
original itself detects is judged too: else a recipe with another rule than the model's own would pass.

Whatever fails on the way, a file that does not load or an engine that stops, is a check that tells so:
the others go on.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from ssdconvert.candidate import Candidate
from ssdconvert.controls import control_checks, controls_by_detections, mistakes_of
from ssdconvert.errors import EngineFailure, MissingDevice, SsdconvertError
from ssdconvert.evidence import checks_owed
from ssdconvert.foreseen import foreseen_checks
from ssdconvert.gate_limits import limits_between, limits_of, loose_limits, precision_of_arithmetic
from ssdconvert.judgement import (
    checks_against,
    checks_of_outputs,
    detection_checks,
    head_distances,
    limits_of_following,
)
from ssdconvert.nearness import nearness_check
from ssdconvert.originals import Original
from ssdconvert.outputs import output_spec
from ssdconvert.recipe import Recipe
from ssdconvert.references import Reference, References, reference_of
from ssdconvert.report.result import Box, Check, Shown, Status, Verification, describe, judged
from ssdconvert.runners import Runner
from ssdconvert.samples import Picture, PictureFile, Recorded, Sample, is_generated
from ssdconvert.ssd.detections import Detections
from ssdconvert.traced_hops import traced
from ssdconvert.whole_pictures import WholePictures

CONTROL_PICTURES = (
    2  # on which mistakes are made on purpose, of photographs and of coloured generated ones each
)
MOST_SHOWN = 8  # pictures whose detections a report draws, beside those on which something failed


@dataclass
class _Judged:
    """What was found of a candidate."""

    candidate: Candidate
    base: Check
    checks: list[Check] = field(default_factory=list)
    shown: list[Shown] = field(default_factory=list)
    distances: dict[tuple[str, str], float] = field(default_factory=dict)  # by control picture and head


def verify(
    recipe: Recipe,
    original: Original,
    candidates: Iterable[Candidate],
    samples: Iterable[Sample | PictureFile],
    required_devices: Sequence[str] = (),
    trace_all: bool = False,
) -> Verification:
    """Compare each candidate with the original on each sample.

    A device that is absent is skipped with the reason; MissingDevice is raised for one of
    `required_devices`. The first candidate whose heads are wrong is traced, with `trace_all` every one.
    """
    with TemporaryDirectory(prefix="ssdconvert-") as folder:
        references = References(Path(folder))
        samples = list(samples)  # read one by one: in memory are their names
        checks = list(_look_at_the_original(recipe, original, samples, references))
        whole = WholePictures(recipe, original, samples, references, Path(folder) / "whole")
        found = [
            _judge(recipe, original, candidate, references, required_devices, whole)
            for candidate in candidates
        ]
        checks += [check for one in found for check in one.checks]
        checks += _controls(recipe, original, references, found)
        return Verification(
            recipe.name,
            tuple(checks),
            original.runner.runtime,
            references.names,
            references.detections if original.detects else None,
            recipe.is_stand_in,
            tuple({one.input: one for judged in reversed(found) for one in judged.shown}.values()),
            traced(
                recipe,
                [(one.candidate, one.checks) for one in found],
                references,
                trace_all,
                original,
            ),
            (*loose_limits(recipe, checks), *_computed_roughly(found)),
        )


def _control_pictures(references: References) -> list[str]:
    """Return the names of the first photographs and the first generated pictures, which have strong colours."""
    return [name for kind in (False, True) for name in references.pictures(kind)[:CONTROL_PICTURES]]


def _computed_roughly(found: Sequence[_Judged]) -> Iterator[str]:
    """Yield a warning for each candidate that is judged by looser limits than those of its weights."""
    for one in found:
        if (one.candidate.precision, one.candidate.computed_in) == ("FP32", "FP16"):
            yield (
                f"{describe(one.base.candidate)} computes in {one.base.execution_precision}: "
                "judged by the limits of FP16"
            )


def _controls(
    recipe: Recipe, original: Original, references: References, found: Sequence[_Judged]
) -> Iterator[Check]:
    """Make mistakes on purpose: the gate must see them, and rounded weights must cost less than they do."""
    limits = limits_of(recipe, "INT8" if original.quantised else "FP32")
    loaded = (references[name] for name in _control_pictures(references))
    seen = [reference for _, reference in loaded if reference is not None]
    if original.in_order_of_score:
        yield from controls_by_detections(recipe, original, seen, limits)
        return
    mistakes = mistakes_of(recipe, original, [(reference.sample, reference.heads) for reference in seen])
    yield from control_checks(original, mistakes, limits)
    for one in found:
        if one.distances and one.candidate.rounded:
            between = limits_between(recipe, *one.candidate.precisions, original.precision)
            yield nearness_check(one.base, original, between, one.distances, mistakes)


def _look_at_the_original(
    recipe: Recipe, original: Original, samples: Iterable[Sample | PictureFile], references: References
) -> Iterator[Check]:
    """Put what the original says of each sample into `references`, and judge that by the recipe's rule."""
    runner = original.runner
    base = Check(
        "original", "detections", "CPU", runner.runtime, "FP32", "", "", "", None, None, None, "skipped",
        executed_on=runner.executed_on, execution_precision=runner.execution_precision,
    )  # fmt: skip
    for sample in samples:
        here = replace(base, input=sample.name)
        try:
            opened = sample.opened(recipe.input) if isinstance(sample, PictureFile) else sample
        except SsdconvertError as error:
            yield _not_judged(replace(here, hop="input", runtime="", level="contract"), error)
            continue
        try:
            reference = reference_of(recipe, original, opened)
        except SsdconvertError as error:
            references.add(opened, None)
            yield _not_judged(replace(here, level="heads"), error)
            continue
        references.add(opened, reference)
        yield from _checks_of_the_original(here, recipe, original, reference)


def _not_judged(base: Check, error: SsdconvertError) -> Check:
    reason = error.message.removeprefix(f"{base.input} ")
    return replace(base, output=base.input, metric="usable", status="inconclusive", reason=reason)


def _checks_of_the_original(
    base: Check, recipe: Recipe, original: Original, reference: Reference
) -> Iterator[Check]:
    """Hold what the original detects, and what its publisher recorded, against its heads and the rule."""
    sample = reference.sample
    if reference.own is not None:
        follows = limits_of_following(recipe, "FP32", original.precision)
        yield from detection_checks(base, recipe, reference, reference.own, follows)
    if isinstance(sample, Recorded) and original.own is not None:
        recorded = original.own.read(sample.outputs, output_spec(recipe))
        base = replace(base, hop="recorded", runtime="as published", executed_on="", execution_precision="")
        limits = limits_of(recipe, "INT8" if original.quantised else original.precision)
        yield from detection_checks(base, recipe, reference, recorded, limits)


def _judge(
    recipe: Recipe,
    original: Original,
    candidate: Candidate,
    references: References,
    required_devices: Sequence[str],
    whole: WholePictures,
) -> _Judged:
    """Open a candidate and judge its file and what it makes of each sample."""
    base = Check(
        candidate.hop, "contract", candidate.device, "", candidate.precision, "", "", "",
        None, None, None, "skipped",
    )  # fmt: skip
    result = _Judged(candidate, base)
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
    held = _control_pictures(references) if candidate.rounded and not candidate.is_reference else []
    for sample, reference in references:
        _judge_sample(recipe, original, runner, sample, reference, sample.name in held, result)
    if candidate.resized:
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
    result: _Judged,
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
            distances = head_distances(recipe, original, candidate, reference, outputs)
            result.distances |= {(sample.name, head): value for head, value in distances.items()}
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
