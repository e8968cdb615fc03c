"""Is an IR of rounded weights nearer to the original than any mistake would be?

Its limits allow for the rounding, and a mistake may cost less than that. So it is held against what each
deliberate mistake does, on the picture and the head that show that mistake best.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ssdconvert.controls import Mistake, errors_of
from ssdconvert.gate_limits import GateLimits, HeadError
from ssdconvert.originals import Original
from ssdconvert.report.result import Check, judged
from ssdconvert.report.words import NEARER

MARGIN = 0.5  # of what a mistake costs: as much as an IR may

Distances = Mapping[tuple[str, str], float]  # by picture and head


def nearness_check(
    base: Check, original: Original, limits: GateLimits, distances: Distances, mistakes: Sequence[Mistake]
) -> Check:
    """Return the check against the mistake that comes nearest to what the IR itself costs.

    `distances` are the IR's errors in the measure of `limits`. A mistake that no picture shows tells nothing:
    its control says so. One that costs hardly more than the rounding may leaves the check inconclusive.
    """
    base = replace(base, level="heads", output=NEARER)
    told: list[tuple[float, str, tuple[str, str], HeadError]] = []
    for mistake in mistakes:
        errors = {
            key: error for key, error in errors_of(original, mistake, limits).items() if key in distances
        }
        key = max(errors, key=lambda one: errors[one].value / errors[one].limit, default=None)
        if key is not None and errors[key].value > 0:
            told.append((distances[key] / errors[key].value, mistake.name, key, errors[key]))
    if not told:
        return replace(
            base, status="inconclusive", reason="no mistake can be seen on a picture that it is judged on"
        )
    _, mistake_name, (picture, head), error = max(told, key=lambda one: one[0])
    outcome = judged(distances[picture, head], error.value * MARGIN)
    if outcome["status"] == "fail":
        outcome["reason"] = f"the mistake {mistake_name!r} changes {head} there by {error.value:.2g}"
        if error.value * MARGIN < error.limit:  # which right weights may cost, too
            outcome |= {"status": "inconclusive"}
    return replace(base, input=picture, metric=error.metric, **outcome)
