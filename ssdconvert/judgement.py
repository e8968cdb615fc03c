"""What a candidate makes of one sample, held against the reference: its contract, heads and detections."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from ssdconvert.candidate import Candidate
from ssdconvert.gate_limits import GateLimits, head_errors, limits_between, limits_of
from ssdconvert.originals import Original
from ssdconvert.recipe import Recipe
from ssdconvert.references import Reference
from ssdconvert.report.result import Check, judged
from ssdconvert.runners import Arrays
from ssdconvert.samples import is_generated
from ssdconvert.ssd.detections import Detections
from ssdconvert.ssd.matching import Agreement, Matching, Tolerance, agreement, match

# In 8 bits a detection of a score little above the threshold may be there or not, and one below FLOOR is background
# whatever threshold lets it in: of 450 of UltraFace's above 0.01 that had no counterpart four had more than 0.1.
DOUBTFUL = 0.05
FLOOR = 0.05


def checks_of_outputs(
    base: Check, original: Original, candidate: Candidate, broken: Sequence[str]
) -> Iterator[Check]:
    """Judge outputs by their contract alone, of which `broken` is broken; for that no reference is needed."""
    if candidate.form is None and not candidate.is_reference:
        return
    outcome = judged(len(broken), 0) | {"reason": "; ".join(broken)}
    if candidate.is_reference and not broken:
        outcome["reason"] = (
            "the original itself, in the same engine: no more than its contract can be checked"
        )
    elif original.in_order_of_score and not broken:
        outcome["reason"] = "its heads come in order of score: judged by detections alone"
    yield replace(base, level="contract", metric="broken promises", **outcome)


def checks_against(
    base: Check,
    recipe: Recipe,
    original: Original,
    candidate: Candidate,
    reference: Reference,
    outputs: Arrays,
    found: Detections | None,
) -> Iterator[Check]:
    """Hold heads and detections against the reference's; `found` is None where the outputs are none."""
    limits = limits_between(recipe, *candidate.precisions, original.precision)
    if candidate.is_reference:
        return
    # what rounded weights cost is bounded on what the network was trained on, not on black or on noise
    rounded = candidate.rounded and is_generated(reference.sample)
    heads = {ours: tensor.read(outputs[tensor.name]) for ours, tensor in candidate.tensors.items()}
    # heads in order of score are rows of other cells in another run
    if not original.in_order_of_score and not rounded:
        yield from head_checks(replace(base, level="heads"), original, reference, heads, limits)
    if found is None:
        return
    if heads and all(array.shape == reference.heads[name].shape for name, array in heads.items()):
        follows = limits_of_following(recipe, candidate.computed_in, candidate.precision, original.precision)
        yield from _own_heads_checks(base, recipe, original, heads, found, not rounded, follows)
    if not rounded:
        yield from detection_checks(base, recipe, reference, found, limits)


def head_checks(
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


def comparable_heads(candidate: Candidate, reference: Reference, outputs: Arrays) -> Arrays:
    """Return the heads of a candidate by our names; none where their shapes are not the reference's."""
    heads = {ours: tensor.read(outputs[tensor.name]) for ours, tensor in candidate.tensors.items()}
    fits = all(array.shape == reference.heads[name].shape for name, array in heads.items())
    return heads if fits else {}


def limits_of_following(recipe: Recipe, computed_in: str, *precisions: str) -> GateLimits:
    """Return how exactly detections follow from the heads of the same run, whatever the weights are.

    Scores do as in the arithmetic's precision, so that a wrong threshold cannot hide in what rounded weights
    may cost. Default boxes are rounded with the weights: in 8 bits they are of 16.
    """
    precisions = (computed_in, *precisions)
    rounded = limits_between(recipe, *("FP32" if precision == "FP32" else "FP16" for precision in precisions))
    return replace(
        limits_of(recipe, computed_in), iou=min(rounded.iou, limits_between(recipe, *precisions).iou)
    )


def _own_heads_checks(
    base: Check, recipe: Recipe, original: Original, heads: Arrays, found: Detections, places: bool,
    follows: GateLimits,
) -> Iterator[Check]:  # fmt: skip
    """Hold detections against the heads of the same run, with `places` also where exactly their boxes are.

    Not where default boxes are rounded and boxes may be of any size: on noise the smallest overlap by 0.93.
    """
    probabilities, boxes = original.heads.decoded(heads)
    result = match(probabilities, boxes, recipe.detections, Tolerance(follows.score, follows.iou), found)
    base = replace(base, level="detections", output="own heads", statistics={"matched": result.matched})
    wrong = judged(result.faults, 0)
    if result.faults:
        wrong["reason"] = _faults(result)
    yield replace(base, metric="detections that do not follow from them", **wrong)
    yield replace(base, metric="max score difference", **judged(result.score_error, follows.score))
    if places:
        yield replace(base, metric="min IoU", **judged(result.smallest_iou, follows.iou, at_least=True))


def _faults(result: Matching) -> str:
    return (
        f"{result.missing} missing (best score {result.worst_missing:.3f}), "
        f"{result.extra} extra (best score {result.worst_extra:.3f}), {result.overlapping} overlapping"
    )


def detection_checks(
    base: Check, recipe: Recipe, reference: Reference, found: Detections, limits: GateLimits
) -> Iterator[Check]:
    """Match detections with what follows from the reference's heads."""
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


def agreement_in_bytes(recipe: Recipe, expected: Detections, found: Detections) -> Agreement:
    """Compare detections of models of which one computes in 8 bits."""
    return agreement(expected, found, max(FLOOR, recipe.detections.score_threshold), DOUBTFUL)


def _agreement_checks(
    base: Check, recipe: Recipe, reference: Reference, found: Detections, limits: GateLimits, share: float
) -> Iterator[Check]:
    """Compare detections as statistics."""
    expected = reference.detections
    result = agreement_in_bytes(recipe, expected, found)
    base = replace(base, level="detections", statistics={"matched": result.matched, "found": len(found)})
    yield replace(base, metric="min share matched", **judged(result.share, share, at_least=True))
    yield replace(
        base, output="scores", metric="mean score difference", **judged(result.score_error, limits.score)
    )
    yield replace(
        base, output="bboxes", metric="min mean IoU", **judged(result.iou, limits.iou, at_least=True)
    )
