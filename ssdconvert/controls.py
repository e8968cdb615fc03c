"""Negative controls: would the gate see the usual mistakes at all?

Each control makes one mistake on purpose, in the preprocessing or in the heads of the original, and is
held against the original by the same limit as an FP32 IR. A control that stays within the limit shows
that the pictures, or the model, cannot tell right from wrong: the verdict is then `inconclusive`.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ssdconvert.gate_limits import GateLimits, HeadError, head_errors
from ssdconvert.originals import Original
from ssdconvert.outputs import output_spec
from ssdconvert.recipe import Input, Recipe
from ssdconvert.references import fed
from ssdconvert.report.result import SHIPPED, Check, judged
from ssdconvert.runners import Arrays
from ssdconvert.samples import Picture
from ssdconvert.ssd.detections import Detections
from ssdconvert.ssd.heads import Heads
from ssdconvert.ssd.matching import Tolerance, match

COMPARED = "max error / scale"  # the measure in which both mistakes and rounded weights are told
MARGIN = 0.5


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


def control_checks(
    recipe: Recipe, original: Original, references: Sequence[tuple[Picture, Arrays]], limits: GateLimits
) -> Iterator[Check]:
    """Yield a check for each mistake, on the picture that shows it best.

    `references` are pictures with the original's heads; `limits` are those of a right copy of the original.
    """

    if not references:
        return
    if original.in_order_of_score:
        yield from _controls_by_detections(recipe, original, [picture for picture, _ in references], limits)
        return

    def worst(outputs_of: Callable[[Picture, Arrays], Arrays]) -> tuple[HeadError, str]:
        errors = [
            (error, picture.name)
            for picture, heads in references
            for error in head_errors(limits, original.heads, heads, outputs_of(picture, heads))
        ]
        return max(errors, key=lambda error: error[0].value / error[0].limit)

    for mistake, spec in wrong_inputs(recipe.input).items():

        def rerun(picture: Picture, _: Arrays, spec: Input = spec) -> Arrays:
            return original.run(fed(original, picture, spec, recipe.input), recipe.input.name)

        yield _control(mistake, original, *worst(rerun))
    for mistake, change in WRONG_HEADS.items() if original.detects else ():
        yield _control(mistake, original, *worst(lambda _, heads, c=change: c(original.heads, heads)))  # type: ignore[misc]


def closer_checks(checks: Sequence[Check]) -> Iterator[Check]:
    """Yield, for each IR of a lower precision, whether it is nearer to the original than any mistake.

    Its own limit allows for rounded weights, and a mistake may cost less than they do: so its worst head
    must stay below `MARGIN` of what the least of the mistakes does. `checks` are all others of a verification.
    """
    mistakes = [check for check in checks if check.hop == "control" and check.metric.startswith(COMPARED)]
    heads: dict[tuple[str, ...], list[Check]] = {}
    for check in checks:
        lower = check.hop in SHIPPED and check.level == "heads" and check.precision != "FP32"
        if lower and check.metric == COMPARED and check.value is not None:
            heads.setdefault(check.candidate, []).append(check)
    if not mistakes:
        return
    least = min(mistakes, key=lambda check: check.value or 0.0)
    for found in heads.values():
        worst = max(found, key=lambda check: check.value or 0.0)
        outcome = judged(worst.value or 0.0, (least.value or 0.0) * MARGIN)
        if outcome["status"] == "fail":
            outcome["reason"] = f"the mistake {least.output!r} changes the heads by {least.value:.2g}"
        yield replace(worst, output="nearer than any mistake", statistics={}, histogram=(), **outcome)


def _controls_by_detections(
    recipe: Recipe, original: Original, pictures: Sequence[Picture], limits: GateLimits
) -> Iterator[Check]:
    """Yield the checks for an original whose heads are in order of score: rows of two runs are not the same."""
    assert original.own is not None
    spec, read, tolerance = output_spec(recipe), original.own.read, Tolerance(limits.score, limits.iou)

    def run(picture: Picture, prepared: Input) -> tuple[Detections, Arrays]:
        outputs = original.runner.run({recipe.input.name: fed(original, picture, prepared, recipe.input)})
        return read(outputs, spec), original.heads_in(outputs)

    found: dict[str, list[tuple[int, str]]] = {}
    for picture in pictures:
        own, heads = run(picture, recipe.input)
        swapped = replace(own, boxes=own.boxes[:, [1, 0, 3, 2]])
        wrong = {mistake: run(picture, changed)[0] for mistake, changed in wrong_inputs(recipe.input).items()}
        wrong |= {
            "labels shifted by one": replace(own, labels=own.labels + 1),
            "x and y of boxes swapped": swapped,
        }
        for mistake, detections in wrong.items():
            result = match(*original.heads.decoded(heads), recipe.detections, tolerance, detections)
            found.setdefault(mistake, []).append((result.faults, picture.name))
    for mistake, faults in found.items():
        worst, picture_name = max(faults)
        yield _control(mistake, original, HeadError("", "unmatched detections", worst, 0.5), picture_name)


def _control(mistake: str, original: Original, error: HeadError, picture: str) -> Check:
    outcome: dict[str, Any] = judged(error.value, np.nextafter(error.limit, 1.0), at_least=True)
    if outcome["status"] == "fail":
        outcome |= {"status": "inconclusive", "reason": "this mistake would pass: no picture shows it"}
    return Check(
        "control", "control", "CPU", original.runner.runtime, "FP32", picture, mistake,
        f"{error.metric}, must exceed", **outcome,
    )  # fmt: skip
