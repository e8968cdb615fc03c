"""How far a mean average precision may be off by the choice of pictures: the paired bootstrap.

Pictures are drawn with replacement, as many as there are, the same ones for every model; the spread of what each
draw gives is the interval. Detections are matched to annotations once, by pycocotools; a draw only changes how
often each picture counts, so that its precisions are sums over weighted matches.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95
BLOCK = 50  # draws that are computed at once
MOST = 4_000_000  # numbers in an array of matches and draws
AT_50, AT_75 = 0, 5  # of pycocotools' ten thresholds of IoU
METRICS = ("ap", "ap50", "ap75")
Interval = tuple[float, float]


@dataclass(frozen=True)
class Matches:
    """The detections of one category over all pictures, best first.

    `picture` i64 [D] is the index of each one's picture; `right` and `counted` bool [10, D] say at each threshold of
    IoU whether it is an annotated object, and whether it counts at all. `owed` i64 [pictures] are the objects.
    """

    picture: NDArray[np.int64]
    right: NDArray[np.bool_]
    counted: NDArray[np.bool_]
    owed: NDArray[np.int64]


def matches_of(evaluation: Any) -> list[Matches]:
    """Return the matches of each category from a COCOeval that has matched, objects of all sizes."""
    parameters = evaluation.params
    pictures, areas, most = len(parameters.imgIds), len(parameters.areaRng), parameters.maxDets[-1]
    found = []
    for category in range(len(parameters.catIds)):
        first = category * areas * pictures  # all sizes are the first of its areas
        own = [(i, one) for i, one in enumerate(evaluation.evalImgs[first : first + pictures]) if one]
        owed = np.zeros(pictures, np.int64)
        for index, one in own:
            owed[index] = np.count_nonzero(np.logical_not(one["gtIgnore"]))
        empty = np.zeros((len(parameters.iouThrs), 0), bool)
        scores = np.concatenate([[], *(one["dtScores"][:most] for _, one in own)])
        order = np.argsort(-scores, kind="mergesort")
        picture = np.concatenate([[], *([i] * len(one["dtScores"][:most]) for i, one in own)]).astype(
            np.int64
        )
        matched = np.concatenate([empty, *(one["dtMatches"][:, :most] > 0 for _, one in own)], axis=1)
        ignored = np.concatenate([empty, *(one["dtIgnore"][:, :most] > 0 for _, one in own)], axis=1)
        counted = np.logical_not(ignored)
        found.append(Matches(picture[order], (matched & counted)[:, order], counted[:, order], owed))
    return found


def drawn_precisions(
    matches: Sequence[Matches], weights: NDArray[np.int64], recalls: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return AP, AP50 and AP75 [draws, 3] where picture i counts `weights` [draws, i] times; NaN where undefined."""
    by_class = np.stack([_of_category(one, weights, recalls) for one in matches])  # [categories, draws, IoU]
    defined = np.logical_not(np.isnan(by_class[..., 0]))
    with np.errstate(invalid="ignore"):
        means = np.where(defined[..., None], by_class, 0).sum(axis=0) / defined.sum(axis=0)[:, None]
    return np.stack([means.mean(axis=1), means[:, AT_50], means[:, AT_75]], axis=1)


def intervals(
    models: Sequence[Sequence[Matches]], pictures: int, recalls: NDArray[np.float64], draws: int, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the intervals of each model, and of its difference to the first one, [models, 3, low and high] each."""
    values = [
        np.stack([drawn_precisions(matches, weights, recalls) for matches in models])
        for weights in _draws(pictures, draws, seed)
    ]
    together = np.concatenate(values, axis=1)  # [models, draws, metrics]
    return _interval(together), _interval(together - together[:1])


def _interval(values: NDArray[np.float64]) -> NDArray[np.float64]:
    ends = [50 * (1 - CONFIDENCE), 50 * (1 + CONFIDENCE)]
    found = np.full((values.shape[0], values.shape[2], 2), np.nan)
    for model, metric in np.ndindex(found.shape[:2]):
        own = values[model, :, metric]
        own = own[np.isfinite(own)]
        if len(own):
            found[model, metric] = np.percentile(own, ends)
    return found


def _draws(pictures: int, draws: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """Yield how often each picture is drawn, blocks of [draws, pictures]."""
    random = np.random.default_rng(seed)
    chances = np.full(pictures, 1 / pictures)
    for start in range(0, draws, BLOCK):
        yield random.multinomial(pictures, chances, min(BLOCK, draws - start)).astype(np.int64)


def _of_category(
    one: Matches, weights: NDArray[np.int64], recalls: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the average precisions of a category, [draws, 10]; NaN where nothing is owed.

    Precision at a recall is the best one from the first detection on that reaches it. That one is right: only
    right detections need be looked at.
    """
    draws = len(weights)
    owed = weights @ one.owed
    found = np.zeros((draws, len(one.right)))
    step = max(1, MOST // max(1, len(one.picture)))
    for start in range(0, draws, step):
        part = slice(start, min(start + step, draws))
        each = weights[part][:, one.picture]
        everything = np.cumsum(each, axis=1)
        for level, (right, counted) in enumerate(zip(one.right, one.counted, strict=True)):
            places = np.flatnonzero(right)
            if not len(places):
                continue
            passed_over = np.flatnonzero(np.logical_not(counted))
            all_counted = everything[:, places] - _sums_before(each[:, passed_over], passed_over, places)
            all_right = np.cumsum(each[:, places], axis=1).astype(np.float64)
            precision = all_right / (all_counted + np.spacing(1))
            best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
            for row in range(len(best)):
                if owed[start + row]:
                    reached = np.searchsorted(all_right[row] / owed[start + row], recalls, side="left")
                    within = reached[reached < len(places)]
                    found[start + row, level] = best[row, within].sum() / len(recalls)
    found[owed == 0] = np.nan
    return found


def _sums_before(
    values: NDArray[np.int64], positions: NDArray[np.int64], places: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return the sums of values [draws, N] at sorted `positions` [N] up to each of `places`, [draws, places]."""
    sums = np.cumsum(np.pad(values, ((0, 0), (1, 0))), axis=1)
    found: NDArray[np.int64] = sums[:, np.searchsorted(positions, places, side="right")]
    return found
