"""What is foreseen of a device that is not there and computes in f16: its heads, simulated on the CPU.

That is no measurement. Nothing found here makes a device's result good, and nothing makes the file wrong: what
would be wrong there leaves the verdict open, so that it is looked at on the device.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ssdconvert.candidate import Candidate
from ssdconvert.errors import SsdconvertError
from ssdconvert.gate_limits import GateLimits, limits_between
from ssdconvert.judgement import detection_checks, head_checks
from ssdconvert.originals import Original
from ssdconvert.recipe import Recipe
from ssdconvert.references import Reference, References
from ssdconvert.report.result import SIMULATED, Check, judged
from ssdconvert.runners import Arrays
from ssdconvert.runners.inner_tensors import Feeds
from ssdconvert.samples import is_generated
from ssdconvert.ssd.detections import detections_of

if TYPE_CHECKING:
    from ssdconvert.runners.half_simulation import HalfSimulation


def foreseen_checks(
    base: Check, recipe: Recipe, original: Original, candidate: Candidate, references: References
) -> Iterator[Check]:
    """Simulate a candidate in f16 on each sample, where its device would compute so, and hold it against the limits.

    Heads are held against those of FP16, and the detections that follow from them. Skipped with the reason where
    that cannot be done.
    """
    if candidate.simulated is None:
        return
    base = replace(base, hop=SIMULATED, level="heads")
    try:
        simulation = candidate.simulated()
        base = replace(
            base, runtime=simulation.runtime, executed_on=simulation.executed_on,
            execution_precision=simulation.execution_precision,
        )  # fmt: skip
        limits = limits_between(recipe, candidate.precision, "FP16", original.precision)
        for _, reference in references:
            if reference is not None:
                yield from _on_a_sample(base, recipe, original, candidate, simulation, reference, limits)
    except SsdconvertError as error:
        yield replace(base, status="skipped", reason=error.message)


def _on_a_sample(
    base: Check,
    recipe: Recipe,
    original: Original,
    candidate: Candidate,
    simulation: "HalfSimulation",
    reference: Reference,
    limits: GateLimits,
) -> Iterator[Check]:
    sample = reference.sample
    feeds = {recipe.input.name: candidate.fed(sample, recipe.input)}
    outputs = simulation.run(feeds)
    heads = {ours: tensor.read(outputs[tensor.name]) for ours, tensor in candidate.tensors.items()}
    lost = sum(int((~np.isfinite(array)).sum()) for array in heads.values())
    here = replace(base, input=sample.name)
    numbers = replace(here, output="heads", metric="numbers that are none", **judged(lost, 0))
    checks = [numbers]
    if not lost and not is_generated(sample):
        checks += _compared(here, recipe, original, reference, heads, limits)
    cause = ""
    if any(check.status == "fail" for check in checks):
        cause = _cause(simulation, feeds)
    yield from (_open(check, cause) for check in checks)


def _compared(
    base: Check, recipe: Recipe, original: Original, reference: Reference, heads: Arrays, limits: GateLimits
) -> Iterator[Check]:
    """Hold heads, and the detections that follow from them, against the original's."""
    if not original.in_order_of_score:
        yield from head_checks(base, original, reference, heads, limits)
    if original.detects:
        found = detections_of(*original.heads.decoded(heads), recipe.detections)
        yield from detection_checks(base, recipe, reference, found, limits)


def _cause(simulation: "HalfSimulation", feeds: Feeds) -> str:
    """Say what f16 does not hold first on the way to the heads."""
    overflow = simulation.first_overflow(feeds)
    if overflow is None:
        return "f16 holds every number on the way"
    told = "numbers that are none" if overflow.largest is None else f"{overflow.largest:.3g}"
    return f"f16 ends at 65504, and {overflow.operation} ({overflow.type}) gives {told}"


def _open(check: Check, cause: str) -> Check:
    """Return a check that leaves the verdict open where the simulation is wrong."""
    if check.status != "fail":
        return check
    told = "; ".join(text for text in (cause, check.reason) if text)
    reason = f"foreseen for {check.device} by a simulation in f16, not seen on one: {told}"
    return replace(check, status="inconclusive", reason=reason)
