"""Negative controls: would the gate see the usual mistakes at all?

Each control makes one mistake on purpose, in the preprocessing or in the heads of the original, and is
held against the original by the same limit as an FP32 IR. A control that stays within the limit shows
that the pictures, or the model, cannot tell right from wrong: the verdict is then `inconclusive`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ssdconvert.gate_limits import GateLimits, HeadError, head_errors
from ssdconvert.originals import Original
from ssdconvert.outputs import output_spec
from ssdconvert.recipe import Input, Recipe
from ssdconvert.references import Reference, fed
from ssdconvert.report.result import Check, judged
from ssdconvert.runners import Arrays
from ssdconvert.samples import Sample
from ssdconvert.ssd.detections import Detections
from ssdconvert.ssd.heads import Heads
from ssdconvert.ssd.matching import Tolerance, match


def wrong_inputs(spec: Input) -> dict[str, Input]:
    """Return the preprocessing mistakes that can be made for an input; one that changes nothing is none."""
    other = "bgr" if spec.color.model == "rgb" else "rgb"
    mistakes = {
        "channels swapped": spec.model_copy(update={"color": spec.color.model_copy(update={"model": other})}),
        "mean dropped": spec.model_copy(update={"mean": (0.0, 0.0, 0.0)}),
        "scale dropped": spec.model_copy(update={"scale": (1.0, 1.0, 1.0)}),
    }
    return {name: wrong for name, wrong in mistakes.items() if wrong != spec}


def labels_shifted(heads: Heads, outputs: Arrays) -> Arrays:
    """Give every class the scores of the one before it."""
    return {**outputs, heads.scores: np.roll(outputs[heads.scores], 1, axis=2)}


def x_and_y_swapped(heads: Heads, outputs: Arrays) -> Arrays:
    """Exchange the coordinates of every box, or of its offsets."""
    return {**outputs, heads.boxes: outputs[heads.boxes][..., [1, 0, 3, 2]]}


WRONG_HEADS: dict[str, Callable[[Heads, Arrays], Arrays]] = {
    "labels shifted by one": labels_shifted,
    "x and y of boxes swapped": x_and_y_swapped,
}


@dataclass(frozen=True)
class Mistake:
    """A mistake made on purpose: what it does to each head, by the name of the picture."""

    name: str
    heads: Mapping[str, tuple[Arrays, Arrays]]  # picture -> right heads, wrong heads


def mistakes_of(
    recipe: Recipe, original: Original, references: Sequence[tuple[Sample, Arrays]]
) -> list[Mistake]:
    """Make each mistake on pictures, given with the original's heads."""
    made = []
    for name, spec in wrong_inputs(recipe.input).items():
        wrong = {
            picture.name: (
                heads,
                original.run(fed(original, picture, spec, recipe.input), recipe.input.name),
            )
            for picture, heads in references
        }
        made.append(Mistake(name, wrong))
    for name, change in WRONG_HEADS.items() if original.detects else ():
        made.append(
            Mistake(name, {p.name: (heads, change(original.heads, heads)) for p, heads in references})
        )
    return made


def control_checks(original: Original, mistakes: Sequence[Mistake], limits: GateLimits) -> Iterator[Check]:
    """Yield a check for each mistake, on the picture that shows it best.

    `limits` are those of a right copy of the original.
    """
    for mistake in mistakes:
        errors = errors_of(original, mistake, limits)
        if errors:
            (picture, _), worst = max(errors.items(), key=lambda item: item[1].value / item[1].limit)
            yield _control(mistake.name, original, worst, picture)


def errors_of(original: Original, mistake: Mistake, limits: GateLimits) -> dict[tuple[str, str], HeadError]:
    """Return what a mistake costs by picture and head, in the measure of some limits."""
    return {
        (picture, error.head): error
        for picture, (right, wrong) in mistake.heads.items()
        for error in head_errors(limits, original.heads, right, wrong)
    }


def controls_by_detections(
    recipe: Recipe, original: Original, references: Sequence[Reference], limits: GateLimits
) -> Iterator[Check]:
    """Yield the checks for an original whose heads are in order of score: rows of two runs are not the same."""
    assert original.own is not None
    spec, read, tolerance = output_spec(recipe), original.own.read, Tolerance(limits.score, limits.iou)

    def run(picture: Sample, prepared: Input) -> Detections:
        image = fed(original, picture, prepared, recipe.input)
        return read(original.runner.run({recipe.input.name: image}), spec)

    found: dict[str, list[tuple[int, str]]] = {}
    for reference in references:
        picture, own = reference.sample, reference.own
        assert own is not None
        wrong = {mistake: run(picture, changed) for mistake, changed in wrong_inputs(recipe.input).items()}
        wrong |= {
            "labels shifted by one": replace(own, labels=own.labels + 1),
            "x and y of boxes swapped": replace(own, boxes=own.boxes[:, [1, 0, 3, 2]]),
        }
        for mistake, detections in wrong.items():
            result = match(reference.probabilities, reference.boxes, recipe.detections, tolerance, detections)
            found.setdefault(mistake, []).append((result.faults, picture.name))
    for mistake, faults in found.items():
        worst, picture_name = max(faults)
        yield _control(mistake, original, HeadError("", "unmatched detections", worst, 0.5), picture_name)


def _control(mistake: str, original: Original, error: HeadError, picture: str) -> Check:
    outcome: dict[str, Any] = judged(error.value, np.nextafter(error.limit, 1.0), at_least=True)
    if outcome["status"] == "fail":
        outcome |= {"status": "inconclusive", "reason": "this mistake would pass: no picture shows it"}
    outcome["limit"] = error.limit
    return Check(
        "control", "control", "CPU", original.runner.runtime, "FP32", picture, mistake,
        f"{error.metric}, must exceed", **outcome,
    )  # fmt: skip
