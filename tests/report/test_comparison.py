import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ssdconvert.recipe import Recipe
from ssdconvert.report.comparison import CONVERTED, MOST_BYTES, ORIGINAL, differences, picture_row
from ssdconvert.ssd.detections import Detections

LEFT, RIGHT = (0.1, 0.1, 0.4, 0.5), (0.6, 0.5, 0.9, 0.9)
MOVED = (0.13, 0.1, 0.43, 0.5)  # IoU with LEFT: 0.27 / 0.33


def of(*rows: tuple[int, float, tuple[float, float, float, float]]) -> Detections:
    labels, scores, boxes = zip(*rows, strict=True) if rows else ((), (), ())
    return Detections(
        np.array(boxes, np.float32).reshape(-1, 4), np.array(labels, np.int64), np.array(scores, np.float32)
    )


BOTH = of((1, 0.9, LEFT), (2, 0.8, RIGHT))


@pytest.mark.parametrize(
    ("converted", "told"),
    [
        (BOTH, "2 in both, no difference"),
        (of((2, 0.8, RIGHT), (1, 0.9, LEFT)), "2 in both, no difference"),
        (of((1, 0.9, LEFT)), "1 in both, 1 lost"),
        (of((1, 0.9, LEFT), (2, 0.8, RIGHT), (3, 0.7, (0.0, 0.6, 0.2, 0.9))), "2 in both, 1 new"),
        (of((1, 0.9, LEFT), (3, 0.8, RIGHT)), "1 in both, 1 of another class"),
        (of((1, 0.9, MOVED), (2, 0.8, RIGHT)), "2 in both, 1 displaced (IoU under 0.9)"),
        (of(), "0 in both, 2 lost"),
        (of((1, 0.9, LEFT), (2, 0.8, RIGHT), (3, 0.055, (0.0, 0.6, 0.2, 0.9))), "2 in both, no difference"),
    ],
)
def test_differences_in_words(converted: Detections, told: str) -> None:
    assert str(differences(BOTH, converted, 0.05)) == told


def pixels_of(jpeg: bytes) -> Any:
    return np.asarray(Image.open(io.BytesIO(jpeg)).convert("RGB")).astype(int)


def shows(jpeg: bytes | None, colour: tuple[int, int, int]) -> bool:
    """Whether a colour is somewhere in a JPEG, as near as it keeps it."""
    assert jpeg
    return bool((np.abs(pixels_of(jpeg) - colour).max(axis=-1) < 40).sum() > 20)


def test_each_side_has_its_colour_and_the_difference_shows_what_is_not_alike(recipe: Recipe) -> None:
    grey = np.full((300, 300, 3), 90, np.uint8)
    row = picture_row(recipe, "a.jpg", grey, BOTH, of((1, 0.9, LEFT)))
    assert (shows(row.original, ORIGINAL), shows(row.original, CONVERTED)) == (True, False)
    assert (shows(row.converted, ORIGINAL), shows(row.converted, CONVERTED)) == (False, True)
    assert (shows(row.difference, ORIGINAL), shows(row.difference, CONVERTED)) == (True, False)
    same = picture_row(recipe, "a.jpg", grey, BOTH, BOTH)
    assert (shows(same.difference, ORIGINAL), shows(same.difference, CONVERTED)) == (False, False)
    assert same.difference
    faint = pixels_of(same.difference)
    assert len(np.unique(faint.mean(axis=-1).round())) > 1  # the boxes of both, faintly


def test_outputs_that_cannot_be_read_leave_the_original(recipe: Recipe) -> None:
    row = picture_row(recipe, "a.jpg", np.zeros((50, 50, 3), np.uint8), BOTH, None)
    assert row.original
    assert (row.converted, row.difference) == (None, None)
    assert "break their contract" in row.told


def test_unconfident_models_are_drawn_too(recipe: Recipe) -> None:
    weak = of((1, 0.09, LEFT), (2, 0.08, RIGHT))
    grey = np.full((300, 300, 3), 90, np.uint8)
    assert shows(picture_row(recipe, "a.jpg", grey, weak, weak).original, ORIGINAL)


@pytest.mark.parametrize("size", [(1, 1), (3, 900), (2000, 1000)])
def test_pictures_of_any_size_and_noise_stay_small(recipe: Recipe, size: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    wild = of(
        (1, 0.9, (0.9, 0.9, 0.1, 0.1)), (7, 0.9, (-3.0, -3.0, 4.0, 4.0)), (0, 0.6, (0.5, 0.5, 0.5, 0.5))
    )
    row = picture_row(recipe, "a.jpg", noise, wild, BOTH)
    for jpeg in (row.original, row.converted, row.difference):
        assert jpeg
        assert max(pixels_of(jpeg).shape) <= 640
        assert len(jpeg) <= MOST_BYTES
