"""Verify: is the IR still the model? Every hop against the original, on pictures.

The original runs in its own engine, on normalised input in its own channel order; the IR runs as a
deployer runs it, on 0..255 in the converted order. Heads are compared as tensors, relative to their
own scale; detections by `ssdconvert.ssd.matching`; the shipped outputs by their contract.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssdconvert.controls import control_checks
from ssdconvert.errors import MissingDevice
from ssdconvert.recipe import Recipe
from ssdconvert.report.result import Check, Verification, judged
from ssdconvert.runners import Arrays, Runner
from ssdconvert.runners.onnx_runner import OnnxRunner
from ssdconvert.runners.openvino_runner import OpenvinoRunner
from ssdconvert.ssd.boxes import FloatArray
from ssdconvert.ssd.detections import Detections, detections_of
from ssdconvert.ssd.heads import relative_error
from ssdconvert.ssd.matching import Tolerance, match
from ssdconvert.ssd.preprocess import Pixels, converted_input, original_input
from ssdconvert.stages.load import Original
from ssdconvert.tails.nms import OUTPUTS, output_shapes


@dataclass(frozen=True)
class GateLimits:
    """What a right copy may differ by: heads relative to their largest value, scores, boxes as IoU."""

    heads: float
    score: float
    iou: float


# Float32 engines agree to about 1e-6 on trained networks; weights rounded to 16 bits cost up to 1e-2
# of a head, 0.002 of a score and an IoU of 0.04 on the smallest boxes.
DEFAULT_LIMITS = {"FP32": GateLimits(1e-4, 1e-4, 0.999), "FP16": GateLimits(2e-2, 1e-2, 0.93)}

FARTHEST_BOX = 5  # boxes are not clipped, and may leave the picture, but by a few of its sides at most


@dataclass(frozen=True)
class Candidate:
    """A file to judge. `normalised` says whether it takes the original's input or 0..255."""

    hop: str
    precision: str
    device: str
    normalised: bool
    open: Callable[[], Runner]


@dataclass(frozen=True)
class Reference:
    """What the original says of one picture."""

    picture: str
    pixels: Pixels
    heads: Arrays
    probabilities: FloatArray
    boxes: FloatArray


def limits_of(recipe: Recipe, precision: str) -> GateLimits:
    """Return the gate's limits for a precision, the recipe's where it has its own."""
    limits = DEFAULT_LIMITS[precision]
    own = recipe.limits.get(precision)  # type: ignore[call-overload]
    given = {name: value for name, value in own.model_dump().items() if value is not None} if own else {}
    return replace(limits, **given)


def verify(
    recipe: Recipe,
    original: Original,
    candidates: Iterable[Candidate],
    pictures: Sequence[tuple[str, Pixels]],
    required_devices: Sequence[str] = (),
) -> Verification:
    """Compare each candidate with the original on each picture (name, RGB pixels).

    A device that is absent is skipped with the reason; MissingDevice is raised for one of
    `required_devices`.
    """
    references = [_reference(recipe, original, name, pixels) for name, pixels in pictures]
    checks: list[Check] = []
    for candidate in candidates:
        try:
            runner = candidate.open()
        except MissingDevice as error:
            if candidate.device in required_devices:
                raise
            checks.append(_skipped(candidate, error.message))
            continue
        for reference in references:
            checks.extend(_judge(recipe, original, candidate, runner, reference))
    seen = [(reference.picture, reference.pixels, reference.heads) for reference in references]
    checks.extend(control_checks(recipe, original, seen, limits_of(recipe, "FP32").heads))
    found = sum(len(detections_of(r.probabilities, r.boxes, recipe.detections)) for r in references)
    names = tuple(name for name, _ in pictures)
    return Verification(recipe.name, tuple(checks), original.runner.runtime, names, found)


def candidates_of(
    original: Original,
    exported: Path,
    simplified: Path,
    irs: Mapping[str, Path],
    devices: Sequence[str],
) -> Iterator[Candidate]:
    """Yield every hop: the exported graph, the simplified one, each IR (precision -> path) on each device."""
    heads = original.heads.names
    yield Candidate("onnx", "FP32", "CPU", True, lambda: OnnxRunner(exported, heads))
    yield Candidate("simplified", "FP32", "CPU", True, lambda: OnnxRunner(simplified, heads))
    for precision, path in irs.items():
        for device in devices:
            yield Candidate(
                "ir",
                precision,
                device,
                False,
                lambda p=path, d=device: OpenvinoRunner(p, d, heads),  # type: ignore[misc]
            )


def _reference(recipe: Recipe, original: Original, name: str, pixels: Pixels) -> Reference:
    heads = original.run(original_input(pixels, recipe.input), recipe.input.name)
    return Reference(name, pixels, heads, *original.heads.decoded(heads))


def _judge(
    recipe: Recipe, original: Original, candidate: Candidate, runner: Runner, reference: Reference
) -> Iterator[Check]:
    """Run a candidate on one picture and yield its checks."""
    prepare = original_input if candidate.normalised else converted_input
    outputs = runner.run({recipe.input.name: prepare(reference.pixels, recipe.input)})
    limits = limits_of(recipe, candidate.precision)
    base = Check(
        candidate.hop, "heads", candidate.device, runner.runtime, candidate.precision,
        reference.picture, "", "", None, None, None, "skipped",
        executed_on=runner.executed_on, execution_precision=runner.execution_precision,
    )  # fmt: skip
    for name in original.heads.names:
        yield _head_check(base, name, reference.heads[name], outputs[name], limits)
    broken = broken_promises(recipe, outputs)
    outcome = judged(len(broken), 0) | {"reason": "; ".join(broken)}
    yield replace(base, level="contract", metric="broken promises", **outcome)
    if not broken:
        yield from _detection_checks(base, recipe, reference, detections_in(outputs), limits)


def _head_check(
    base: Check, name: str, expected: NDArray[Any], actual: NDArray[Any], limits: GateLimits
) -> Check:
    """Compare a head, the error relative to the largest value of the original's."""
    if expected.shape != actual.shape:
        reason = f"expected the shape {list(expected.shape)}, got {list(actual.shape)}"
        return replace(
            base, output=name, metric="max error / scale", limit=limits.heads, status="fail", reason=reason
        )
    error = relative_error(expected, actual)
    statistics = {"mean": float(error.mean()), "p99.9": float(np.quantile(error, 0.999))}
    if not np.isfinite(error).all():
        statistics = {}
    return replace(
        base,
        output=name,
        metric="max error / scale",
        statistics=statistics,
        **judged(float(error.max()), limits.heads),
    )


def _detection_checks(
    base: Check, recipe: Recipe, reference: Reference, found: Detections, limits: GateLimits
) -> Iterator[Check]:
    tolerance = Tolerance(limits.score, limits.iou)
    result = match(reference.probabilities, reference.boxes, recipe.detections, tolerance, found)
    base = replace(base, level="detections", statistics={"matched": result.matched, "found": len(found)})
    wrong = judged(result.faults, 0)
    if result.faults:
        wrong["reason"] = (
            f"{result.missing} missing (best score {result.worst_missing:.3f}), "
            f"{result.extra} extra (best score {result.worst_extra:.3f}), {result.overlapping} overlapping"
        )
    yield replace(base, metric="unmatched detections", **wrong)
    yield replace(
        base, output="scores", metric="max score difference", **judged(result.score_error, limits.score)
    )
    yield replace(
        base, output="bboxes", metric="min IoU", **judged(result.smallest_iou, limits.iou, at_least=True)
    )


def detections_in(outputs: Mapping[str, NDArray[Any]]) -> Detections:
    """Return the used rows of `bboxes`, `labels`, `scores`."""
    used = outputs["scores"][0] > 0
    return Detections(outputs["bboxes"][0][used], outputs["labels"][0][used], outputs["scores"][0][used])


def broken_promises(recipe: Recipe, outputs: Mapping[str, NDArray[Any]]) -> list[str]:
    """Return what the outputs `bboxes`, `labels`, `scores` do not keep of their contract."""
    broken = [
        f"{name} has the shape {list(outputs[name].shape)}, expected {shape}"
        for name, shape in output_shapes(recipe.detections.keep).items()
        if list(outputs[name].shape) != shape
    ]
    if broken:
        return broken
    boxes, labels, scores = (outputs[name][0] for name in OUTPUTS)
    unused = scores == 0
    promises = {
        "labels is not i64": labels.dtype == np.int64,
        "bboxes or scores hold NaN or infinity": bool(np.isfinite(boxes).all() and np.isfinite(scores).all()),
        "scores are not best first": bool((np.diff(scores) <= 0).all()),
        "scores leave 0..1": bool(((scores >= 0) & (scores <= 1)).all()),
        "unused rows are not zero": not labels[unused].any() and not boxes[unused].any(),
        f"labels leave 1..{recipe.classes - 1}": bool(
            ((labels[~unused] >= 1) & (labels[~unused] < recipe.classes)).all()
        ),
        "boxes are not x_min <= x_max, y_min <= y_max": bool((boxes[:, :2] <= boxes[:, 2:]).all()),
        f"boxes leave 0..1 by more than {FARTHEST_BOX}: are they pixels?": bool(
            ((boxes >= -FARTHEST_BOX) & (boxes <= 1 + FARTHEST_BOX)).all()
        ),
    }
    return [promise for promise, kept in promises.items() if not kept]


def _skipped(candidate: Candidate, reason: str) -> Check:
    hop, device, precision = candidate.hop, candidate.device, candidate.precision
    return Check(hop, "heads", device, "", precision, "", "", "", None, None, None, "skipped", reason)
