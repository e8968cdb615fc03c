"""Is an IR of rounded weights nearer to the original than any mistake would be?

Its limits allow for the rounding, and a mistake may cost less than that. So it is held against what each
deliberate mistake does, on the picture and the head that show that mistake best.

What 8 bits cost may be near to what a mistake does, and still be something else: UltraFace's boxes lose 0.0018, and
0.0047 where its channels are swapped. So such an IR is held against its own distance to what the mistake makes: that is
small where it made the same one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ssdconvert.controls import Mistake, errors_of
from ssdconvert.gate_limits import GateLimits, HeadError, head_errors
from ssdconvert.originals import Original
from ssdconvert.report.result import Check, judged
from ssdconvert.report.words import NEARER
from ssdconvert.runners import Arrays

MARGIN = 0.5  # of what a mistake costs: as much as an IR may
# Of its distance to what a mistake makes: noise as large as the mistake gives 0.7, the mistake itself more than 1.
MARGIN_IN_BYTES = 0.7


def nearness_check(
    base: Check,
    original: Original,
    limits: GateLimits,
    heads: Mapping[str, Arrays],
    mistakes: Sequence[Mistake],
) -> Check:
    """Return the check against the mistake that comes nearest to what the IR itself costs.

    `heads` are the IR's by picture, and errors are in the measure of `limits`. A mistake that no picture shows tells
    nothing: its control says so. One that costs hardly more than the rounding may leaves the check inconclusive.
    """
    base = replace(base, level="heads", output=NEARER)
    told = [one for mistake in mistakes if (one := _nearness(original, limits, heads, mistake))]
    if not told:
        return replace(
            base, status="inconclusive", reason="no mistake can be seen on a picture that it is judged on"
        )
    worst = max(told, key=lambda one: one.cost / one.allowed)
    outcome = judged(worst.cost, worst.allowed)
    if outcome["status"] == "fail":
        outcome |= {"reason": worst.reason, "status": "fail" if worst.wrong else "inconclusive"}
    return replace(base, input=worst.picture, metric=worst.error.metric, **outcome)


@dataclass(frozen=True)
class _Nearness:
    """What an IR costs where a mistake shows best, and what it may; `wrong`: no right weights cost more than that."""

    picture: str
    error: HeadError
    cost: float
    allowed: float
    wrong: bool
    reason: str


def _nearness(
    original: Original, limits: GateLimits, heads: Mapping[str, Arrays], mistake: Mistake
) -> _Nearness | None:
    """Hold an IR against one mistake; None where no picture shows it."""
    errors = {key: one for key, one in errors_of(original, mistake, limits).items() if key[0] in heads}
    key = max(errors, key=lambda one: errors[one].value / errors[one].limit, default=None)
    if key is None or not errors[key].value:
        return None
    (picture, head), error = key, errors[key]
    right, wrong = mistake.heads[picture]

    def distance(made: Arrays) -> float:
        return next(
            e.value for e in head_errors(limits, original.heads, made, heads[picture]) if e.head == head
        )

    to_right = distance(right)
    if limits.share is None:
        reason = f"the mistake {mistake.name!r} changes {head} there by {error.value:.2g}"
        allowed = error.value * MARGIN
        return _Nearness(picture, error, to_right, allowed, allowed >= error.limit, reason)
    to_wrong = distance(wrong)
    reason = f"{head} is {to_wrong:.2g} away from what the mistake {mistake.name!r} makes of it"
    return _Nearness(picture, error, to_right, to_wrong * MARGIN_IN_BYTES, to_right > to_wrong, reason)
