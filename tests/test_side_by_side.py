"""Both models' detections in one picture: what differs is marked on its side, what does not is pale."""

from typing import Any

import numpy as np
import pytest

from ssdconvert.report.comparison import CONVERTED, ORIGINAL
from ssdconvert.side_by_side import ALIKE, LONGEST, NARROWEST, Compared, compared
from ssdconvert.ssd.detections import Detections

NAMES = ("cat", "dog")
ONE, TWO = (0.1, 0.1, 0.4, 0.5), (0.6, 0.3, 0.9, 0.9)


def detections(*rows: tuple[Any, int, float]) -> Detections:
    return Detections(
        np.array([row[0] for row in rows], np.float32).reshape(-1, 4),
        np.array([row[1] for row in rows], np.int64),
        np.array([row[2] for row in rows], np.float32),
    )


def both(left: Detections, right: Detections, size: tuple[int, int] = (240, 400)) -> Compared:
    pixels = np.full((*size, 3), 90, np.uint8)
    return compared(pixels, left, right, (NAMES, NAMES), ("the original", "the model"), 0.5)


def colours(picture: Any) -> list[set[tuple[int, ...]]]:
    """Return the marks' colours in the left and in the right half."""
    pixels = np.asarray(picture)
    middle = pixels.shape[1] // 2
    marks = (ORIGINAL, CONVERTED, ALIKE)
    return [
        {one for one in marks if int((half == one).all(axis=-1).sum()) > 100}
        for half in (pixels[:, :middle], pixels[:, middle:])
    ]


def test_no_difference() -> None:
    same = detections((ONE, 1, 0.9), (TWO, 2, 0.8))
    result = both(same, same)
    assert result.told == "2 in both, no difference"
    assert result.counts == {"in_both": 2, "lost": 0, "new": 0, "of_another_class": 0, "displaced": 0}
    assert colours(result.picture) == [{ALIKE}, {ALIKE}]
    assert result.picture.width == 2 * 400 + 8
    assert result.picture.height > 240


def test_lost_and_new() -> None:
    result = both(detections((ONE, 1, 0.9)), detections((TWO, 1, 0.9)))
    assert result.told == "0 in both, 1 lost, 1 new"
    assert colours(result.picture) == [{ORIGINAL}, {CONVERTED}]


def test_of_another_class_and_displaced() -> None:
    moved = (0.15, 0.1, 0.45, 0.5)
    result = both(detections((ONE, 1, 0.9), (TWO, 1, 0.7)), detections((moved, 1, 0.9), (TWO, 2, 0.7)))
    assert result.counts == {"in_both": 1, "lost": 0, "new": 0, "of_another_class": 1, "displaced": 1}
    assert colours(result.picture) == [{ORIGINAL}, {CONVERTED}]


def test_a_pair_on_both_sides_of_the_threshold_is_one() -> None:
    result = both(detections((ONE, 1, 0.51)), detections((ONE, 1, 0.49)))
    assert result.told == "1 in both, no difference"
    assert both(detections((ONE, 1, 0.49)), detections((ONE, 1, 0.45))).told == "0 in both, no difference"
    assert both(detections((ONE, 1, 0.9)), detections((ONE, 1, 0.3))).told == "0 in both, 1 lost"


@pytest.mark.parametrize("size", [(8, 8), (30, 4000), (6000, 8000), (4000, 30)])
def test_pictures_of_all_sizes(size: tuple[int, int]) -> None:
    """Titles are cut where they do not fit; no half is larger than can be looked at."""
    picture = both(detections((ONE, 1, 0.9)), detections(), size).picture
    assert max(picture.size) <= 2 * LONGEST + 100
    assert picture.width >= 2 * min(NARROWEST, size[1] * LONGEST // max(size))
