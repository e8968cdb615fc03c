"""What a right copy of a model may differ by, and how the difference of heads is measured."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from ssdconvert.recipe import Recipe
from ssdconvert.report.result import BINS, BINS_A_DECADE, HISTOGRAM_START, SIMULATED, Check
from ssdconvert.runners import Arrays
from ssdconvert.ssd.boxes import FloatArray
from ssdconvert.ssd.heads import CLASS_PROBABILITIES, DECODED_BOXES, Heads, UnknownHeads, relative_error


@dataclass(frozen=True)
class GateLimits:
    """Limits of heads, scores, and boxes as IoU.

    Each is of the worst number, heads relative to the largest value of the head. Integers move single
    numbers far: with a `share` the limits are statistical. Then `heads` is of the foreground's
    probabilities and `boxes` of the decoded boxes, the sum of all errors relative to the sum of all values;
    `score` and `iou` are of means, and that share of the detections must have a counterpart.
    """

    heads: float
    score: float
    iou: float
    boxes: float | None = None
    share: float | None = None


# Float32 engines agree to about 1e-6 on trained networks. Weights rounded to 16 bits cost, on two dozen
# photographs, up to 0.017 of a head, 0.021 of a score and an IoU of 0.06 on the
# smallest boxes; the IR's file shows beside it that they are rounded and nothing else. SSD-ResNet34 at 1200 in 8
# bits, the same in two engines: probabilities 0.08 to 0.11, boxes 2e-3 to 4e-3, 93 % of the detections; with its
# channels swapped 0.4 to 0.6 and 1.6e-2.
DEFAULT_LIMITS = {
    "FP32": GateLimits(1e-4, 1e-4, 0.999),
    "FP16": GateLimits(3e-2, 3e-2, 0.92),
    "INT8": GateLimits(0.2, 6e-2, 0.8, boxes=7e-3, share=0.9),
}


LOOSE = 10  # times what was needed: a limit that would hide what is wrong


def limits_of(recipe: Recipe, precision: str) -> GateLimits:
    """Return the gate's limits for a precision, the recipe's where it has its own."""
    limits = DEFAULT_LIMITS[precision]
    own = recipe.limits.get(precision)  # type: ignore[call-overload]
    given = {name: value for name, value in own.model_dump().items() if value is not None} if own else {}
    return replace(limits, **given)


def loose_limits(recipe: Recipe, checks: Sequence[Check]) -> Iterator[str]:
    """Yield a warning for each limit of the recipe's own that is more than `LOOSE` times what was needed."""
    for precision, own in recipe.limits.items():
        for name, limit in own.model_dump(exclude_none=True).items():
            needed = [
                check.required
                for check in checks
                if check.precision == precision and check.required is not None and _limit_of(check) == name
            ]
            if not needed:
                continue
            worst = min(needed) if name == "iou" else max(needed)
            allowed, used = (1 - limit, 1 - worst) if name == "iou" else (limit, worst)
            if allowed > LOOSE * used:
                yield (
                    f"limits.{precision}.{name} of the recipe is {limit:g}, {worst:.3g} would have passed: "
                    f"more than {LOOSE} times tighter"
                )


def _limit_of(check: Check) -> str | None:
    """Return which limit of a recipe a check is judged by, None for those that it cannot change."""
    if check.hop in ("control", SIMULATED) or check.output in ("own heads", "nearer than any mistake"):
        return None
    if check.level == "heads":
        return "heads"
    return {"scores": "score", "bboxes": "iou"}.get(check.output) if check.level == "detections" else None


def limits_between(recipe: Recipe, *precisions: str) -> GateLimits:
    """Return the limits for files of several precisions beside each other: those of the roughest."""
    return limits_of(recipe, max(precisions, key=list(DEFAULT_LIMITS).index))


def precision_of_arithmetic(told: str) -> str:
    """Return the precision whose limits fit an engine's type, as a runner tells it: of several the roughest."""
    return "FP16" if {"f16", "bf16"} & {*told.replace(",", " ").split()} else "FP32"


@dataclass(frozen=True)
class HeadError:
    """How far a head is off, by what measure, and how far it may be; `histogram` is that of a `Check`."""

    head: str
    metric: str
    value: float
    limit: float
    statistics: dict[str, float] = field(default_factory=dict)
    histogram: tuple[int, ...] = ()


def head_errors(limits: GateLimits, heads: Heads, expected: Arrays, actual: Arrays) -> Iterator[HeadError]:
    """Yield the error of each head of `actual`, arrays by our names, against `expected`."""
    if limits.share is None:
        for name, array in actual.items():
            error = relative_error(expected[name], array)
            statistics = {"mean": float(error.mean()), "p99.9": float(np.quantile(error, 0.999))}
            if not np.isfinite(error).all():
                statistics = {}
            counts = histogram_of(error)
            yield HeadError(name, "max error / scale", float(error.max()), limits.heads, statistics, counts)
        return
    metric = "sum of errors / sum"
    if isinstance(heads, UnknownHeads):
        for name, array in actual.items():
            counts = histogram_of(relative_error(expected[name], array))
            yield HeadError(name, metric, _summed(expected[name], array), limits.heads, {}, counts)
        return
    (right, right_boxes), (wrong, wrong_boxes) = heads.decoded(expected), heads.decoded(actual)
    for name, expected_array, array, limit in (
        (CLASS_PROBABILITIES, right[:, 1:], wrong[:, 1:], limits.heads),
        (DECODED_BOXES, right_boxes, wrong_boxes, limits.boxes or limits.heads),
    ):
        counts = histogram_of(relative_error(expected_array, array))
        statistics = {"SNR, dB": snr} if (snr := _signal_to_noise(expected_array, array)) is not None else {}
        yield HeadError(name, metric, _summed(expected_array, array), limit, statistics, counts)


def histogram_of(error: FloatArray) -> tuple[int, ...]:
    """Count relative errors by size, in the bins of `Check.histogram`; none where one is not finite."""
    if not np.isfinite(error).all():
        return ()
    with np.errstate(divide="ignore"):  # of no error at all: the first bin takes it
        bins = (np.log10(error.astype(np.float32)) - HISTOGRAM_START) * BINS_A_DECADE
    counts = np.bincount(np.clip(bins, 0, BINS - 1).astype(np.intp).ravel(), minlength=BINS)
    return tuple(counts.tolist())


def _signal_to_noise(expected: FloatArray, actual: FloatArray) -> float | None:
    """Return the power of `expected` over that of the error, in dB; None where either is nothing, or not a number."""
    noise = np.square(actual.astype(np.float64) - expected).sum()
    signal = np.square(expected, dtype=np.float64).sum()
    told = 10 * float(np.log10(signal / noise)) if signal and noise else np.nan
    return told if np.isfinite(told) else None


def _summed(expected: FloatArray, actual: FloatArray) -> float:
    """Return the sum of |actual - expected|, relative to that of |expected|."""
    error = np.abs(actual.astype(np.float64) - expected).sum()
    return float(error / (np.abs(expected).sum(dtype=np.float64) or 1.0))
