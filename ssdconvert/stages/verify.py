"""Verify: is the IR still the model? Every hop against the original, on pictures.

The original runs in its own engine, on normalised input in its own channel order; the IR runs as a
deployer runs it, on 0..255 in the converted order. Heads are compared as tensors, relative to their
own scale; detections by `ssdconvert.ssd.matching`; the shipped outputs by their contract. What the
original itself detects is judged too: else a recipe with another rule than the model's own would pass.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from ssdconvert.candidates import Candidate
from ssdconvert.controls import closer_checks, control_checks
from ssdconvert.errors import MissingDevice
from ssdconvert.gate_limits import GateLimits, head_errors, limits_of
from ssdconvert.originals import Original
from ssdconvert.outputs import output_spec
from ssdconvert.recipe import Recipe
from ssdconvert.report.result import Box, Check, Shown, Verification, describe, judged
from ssdconvert.runners import Arrays, Runner
from ssdconvert.samples import Picture, Recorded, Sample
from ssdconvert.ssd.boxes import FloatArray
from ssdconvert.ssd.detections import Detections, detections_of
from ssdconvert.ssd.heads import DECODED_BOXES
from ssdconvert.ssd.matching import Matching, Tolerance, agreement, match
from ssdconvert.traced_hops import traced

DOUBTFUL = 0.05  # of a score above the threshold: in 8 bits such a detection may be there or not


@dataclass(frozen=True)
class Reference:
    """What the original says of one sample.

    `detections` follow from its heads by the recipe's rule; `own` is what it detects itself, None where it
    ends in heads.
    """

    sample: Sample
    heads: Arrays
    probabilities: FloatArray
    boxes: FloatArray
    detections: Detections
    own: Detections | None


def verify(
    recipe: Recipe,
    original: Original,
    candidates: Iterable[Candidate],
    samples: Sequence[Sample],
    required_devices: Sequence[str] = (),
    trace_all: bool = False,
) -> Verification:
    """Compare each candidate with the original on each sample.

    A device that is absent is skipped with the reason; MissingDevice is raised for one of
    `required_devices`. The first candidate whose heads are wrong is traced, with `trace_all` every one.
    """
    references = [_reference(recipe, original, sample) for sample in samples]
    checks: list[Check] = []
    shown: dict[str, Shown] = {}
    for reference in references:
        checks.extend(_checks_of_the_original(recipe, original, reference))
    judgements: list[tuple[Candidate, list[Check]]] = []
    for candidate in candidates:
        try:
            runner = candidate.open()
        except MissingDevice as error:
            if candidate.device in required_devices:
                raise
            checks.append(_skipped(candidate, error.message))
            continue
        outcomes: list[Check] = []
        for reference in references:
            outputs = _outputs(recipe, candidate, runner, reference.sample)
            outcomes.extend(_judge(recipe, original, candidate, runner, reference, outputs))
            if candidate.shown and isinstance(reference.sample, Picture):
                one = _shown(recipe, candidate, runner, reference, outputs)
                shown.setdefault(one.input, one)
        checks += outcomes
        judgements.append((candidate, outcomes))
    seen = [(r.sample, r.heads) for r in references if isinstance(r.sample, Picture)]
    checks.extend(control_checks(recipe, original, seen, _limits_of_the_original(recipe, original)))
    checks.extend(closer_checks(checks))
    found = sum(len(reference.detections) for reference in references)
    names = tuple(sample.name for sample in samples)
    runtime = original.runner.runtime
    traces = traced(recipe, judgements, samples, trace_all)
    return Verification(
        recipe.name, tuple(checks), runtime, names, found, recipe.is_stand_in, tuple(shown.values()), traces
    )


def _limits_of_the_original(recipe: Recipe, original: Original) -> GateLimits:
    """Return what a right copy of the original itself may differ by, in another engine."""
    return limits_of(recipe, "INT8" if original.quantised else "FP32")


def _reference(recipe: Recipe, original: Original, sample: Sample) -> Reference:
    outputs = original.runner.run({recipe.input.name: sample.for_original(recipe.input)})
    heads = original.heads_in(outputs)
    own = original.own.read(outputs, output_spec(recipe)) if original.own else None
    probabilities, boxes = original.heads.decoded(heads)
    detections = detections_of(probabilities, boxes, recipe.detections)
    return Reference(sample, {DECODED_BOXES: boxes[None]} | heads, probabilities, boxes, detections, own)


def _checks_of_the_original(recipe: Recipe, original: Original, reference: Reference) -> Iterator[Check]:
    """Hold what the original detects, and what its publisher recorded, against its heads and the rule."""
    sample = reference.sample
    base = Check(
        "original", "detections", "CPU", original.runner.runtime, "FP32", sample.name, "", "",
        None, None, None, "skipped",
        executed_on=original.runner.executed_on, execution_precision=original.runner.execution_precision,
    )  # fmt: skip
    if reference.own is not None:
        yield from _detection_checks(base, recipe, reference, reference.own, limits_of(recipe, "FP32"))
    if isinstance(sample, Recorded) and original.own is not None:
        recorded = original.own.read(sample.outputs, output_spec(recipe))
        base = replace(base, hop="recorded", runtime="as published", executed_on="", execution_precision="")
        limits = _limits_of_the_original(recipe, original)
        yield from _detection_checks(base, recipe, reference, recorded, limits)


def _outputs(recipe: Recipe, candidate: Candidate, runner: Runner, sample: Sample) -> Arrays:
    prepared = (sample.for_original if candidate.normalised else sample.for_converted)(recipe.input)
    return runner.run({recipe.input.name: prepared})


def _shown(
    recipe: Recipe, candidate: Candidate, runner: Runner, reference: Reference, outputs: Arrays
) -> Shown:
    """Keep what both sides detect on one picture, for the report to draw."""
    spec = output_spec(recipe)
    whole = candidate.form is not None and not candidate.form.broken(outputs, spec)
    words = describe((candidate.hop, candidate.precision, candidate.device, runner.runtime))
    converted = _boxes(candidate.form.read(outputs, spec)) if candidate.form and whole else None
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


def _judge(
    recipe: Recipe,
    original: Original,
    candidate: Candidate,
    runner: Runner,
    reference: Reference,
    outputs: Arrays,
) -> Iterator[Check]:
    """Yield the checks of what a candidate makes of one sample."""
    sample = reference.sample
    spec = output_spec(recipe)
    limits = limits_of(recipe, candidate.precision)
    base = Check(
        candidate.hop, "heads", candidate.device, runner.runtime, candidate.precision,
        sample.name, "", "", None, None, None, "skipped",
        executed_on=runner.executed_on, execution_precision=runner.execution_precision,
    )  # fmt: skip
    heads = {ours: tensor.read(outputs[tensor.name]) for ours, tensor in candidate.tensors.items()}
    # heads in order of score are rows of other cells in another run
    if not candidate.is_reference and not original.in_order_of_score:
        yield from _head_checks(base, original, reference, heads, limits)
    if candidate.form is None:
        return
    broken = candidate.form.broken(outputs, spec)
    outcome = judged(len(broken), 0) | {"reason": "; ".join(broken)}
    if candidate.is_reference and not broken:
        outcome["reason"] = (
            "the original itself, in the same engine: no more than its contract can be checked"
        )
    elif original.in_order_of_score and not broken:
        outcome["reason"] = "its heads come in order of score: judged by detections alone"
    yield replace(base, level="contract", metric="broken promises", **outcome)
    if broken or candidate.is_reference:
        return
    found = candidate.form.read(outputs, spec)
    if all(array.shape == reference.heads[name].shape for name, array in heads.items()):
        yield from _own_heads_checks(base, recipe, original, heads, found, limits)
    yield from _detection_checks(base, recipe, reference, found, limits)


def _head_checks(
    base: Check, original: Original, reference: Reference, heads: Arrays, limits: GateLimits
) -> Iterator[Check]:
    """Compare heads with the original's, as tensors."""
    for name, array in heads.items():
        expected = list(reference.heads[name].shape)
        if expected != list(array.shape):
            reason = f"expected the shape {expected}, got {list(array.shape)}"
            yield replace(base, output=name, metric="shape", limit=limits.heads, status="fail", reason=reason)
            return
    for error in head_errors(limits, original.heads, reference.heads, heads):
        yield replace(
            base,
            output=error.head,
            metric=error.metric,
            statistics=error.statistics,
            histogram=error.histogram,
            **judged(error.value, error.limit),
        )


def _own_heads_checks(
    base: Check, recipe: Recipe, original: Original, heads: Arrays, found: Detections, limits: GateLimits
) -> Iterator[Check]:
    """Hold detections against the heads of the same run: how they follow does not depend on the weights.

    So scores are as exact as in FP32 at any precision, and a wrong threshold cannot hide in what rounded
    weights may cost. Default boxes are rounded with the weights.
    """
    exact, rounded = limits_of(recipe, "FP32"), limits_of(recipe, "FP16")
    iou = exact.iou if base.precision == "FP32" else min(rounded.iou, limits.iou)
    probabilities, boxes = original.heads.decoded(heads)
    result = match(probabilities, boxes, recipe.detections, Tolerance(exact.score, iou), found)
    base = replace(base, level="detections", output="own heads", statistics={"matched": result.matched})
    wrong = judged(result.faults, 0)
    if result.faults:
        wrong["reason"] = _faults(result)
    yield replace(base, metric="detections that do not follow from them", **wrong)
    yield replace(base, metric="max score difference", **judged(result.score_error, exact.score))


def _faults(result: Matching) -> str:
    return (
        f"{result.missing} missing (best score {result.worst_missing:.3f}), "
        f"{result.extra} extra (best score {result.worst_extra:.3f}), {result.overlapping} overlapping"
    )


def _detection_checks(
    base: Check, recipe: Recipe, reference: Reference, found: Detections, limits: GateLimits
) -> Iterator[Check]:
    if limits.share is not None:
        yield from _agreement_checks(base, recipe, reference, found, limits, limits.share)
        return
    tolerance = Tolerance(limits.score, limits.iou)
    result = match(reference.probabilities, reference.boxes, recipe.detections, tolerance, found)
    base = replace(base, level="detections", statistics={"matched": result.matched, "found": len(found)})
    wrong = judged(result.faults, 0)
    if result.faults:
        wrong["reason"] = _faults(result)
    yield replace(base, metric="unmatched detections", **wrong)
    yield replace(
        base, output="scores", metric="max score difference", **judged(result.score_error, limits.score)
    )
    yield replace(
        base, output="bboxes", metric="min IoU", **judged(result.smallest_iou, limits.iou, at_least=True)
    )


def _agreement_checks(
    base: Check, recipe: Recipe, reference: Reference, found: Detections, limits: GateLimits, share: float
) -> Iterator[Check]:
    """Compare detections as statistics."""
    expected = reference.detections
    result = agreement(expected, found, recipe.detections.score_threshold, DOUBTFUL)
    base = replace(base, level="detections", statistics={"expected": len(expected), "found": len(found)})
    yield replace(base, metric="min share matched", **judged(result.share, share, at_least=True))
    yield replace(
        base, output="scores", metric="mean score difference", **judged(result.score_error, limits.score)
    )
    yield replace(
        base, output="bboxes", metric="min mean IoU", **judged(result.iou, limits.iou, at_least=True)
    )


def _skipped(candidate: Candidate, reason: str) -> Check:
    hop, device, precision = candidate.hop, candidate.device, candidate.precision
    return Check(hop, "heads", device, "", precision, "", "", "", None, None, None, "skipped", reason)
