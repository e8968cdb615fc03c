"""What quantisation costs: by annotations where there are some, else by what both models find."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ssdconvert.accuracy.coco_map import METRIC
from ssdconvert.accuracy.data_set import read_data_set
from ssdconvert.catalog import Catalog
from ssdconvert.errors import RecipeError
from ssdconvert.quantisation.calibration import CalibrationSet
from ssdconvert.quantisation.criteria import AGREEMENT, Found, criterion_for
from ssdconvert.recipe import Recipe
from ssdconvert.ssd.detections import Detections

BOX = [0.1, 0.1, 0.5, 0.5]


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    return Catalog().find("ssd-demo").recipe


def found(*boxes: list[float], score: float = 0.9, label: int = 1) -> Detections:
    count = len(boxes)
    return Detections(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.full(count, label, np.int64),
        np.full(count, score, np.float32),
    )


def unannotated(count: int) -> CalibrationSet:
    return CalibrationSet((), tuple(Path(f"{number}.png") for number in range(count)))


@pytest.fixture
def annotated(tmp_path: Path) -> CalibrationSet:
    """Two pictures of 100x100, of which the first has BOX."""
    (tmp_path / "images").mkdir()
    for name in ("a.png", "b.png"):
        (tmp_path / "images" / name).touch()
    document: dict[str, Any] = {
        "images": [
            {"id": 7, "file_name": "a.png", "width": 100, "height": 100},
            {"id": 9, "file_name": "b.png", "width": 100, "height": 100},
        ],
        "annotations": [
            {"id": 1, "image_id": 7, "category_id": 4, "bbox": [10, 10, 40, 40], "area": 1600, "iscrowd": 0}
        ],
        "categories": [{"id": 4, "name": "red disc"}],
    }
    (tmp_path / "annotations.json").write_text(json.dumps(document))
    data = read_data_set(tmp_path / "annotations.json")
    paths = tuple(picture.path for picture in data.pictures)
    return CalibrationSet(paths, paths, data, data.pictures, {1: 4})


def test_with_annotations_it_is_map(annotated: CalibrationSet, recipe: Recipe) -> None:
    right: Found = {0: found(BOX), 1: found()}
    criterion = criterion_for(recipe, annotated, 0.5, right)
    assert (criterion.metric, criterion.limit) == (METRIC, 0.005)
    assert criterion.value(right) == pytest.approx(1.0)
    assert criterion.value({0: found([0.1, 0.1, 0.5, 0.45]), 1: found()}) == pytest.approx(0.8)
    assert criterion.value({0: found(BOX, label=2), 1: found()}) == 0.0
    assert criterion.value({1: found()}) == 0.0


def test_without_annotations_it_is_the_share_with_a_counterpart(recipe: Recipe) -> None:
    other = [0.6, 0.6, 0.9, 0.9]
    reference: Found = {0: found(BOX, other), 1: found(BOX)}
    criterion = criterion_for(recipe, unannotated(2), 0.5, reference)
    assert (criterion.metric, round(criterion.limit, 9)) == (AGREEMENT, 0.1)
    assert criterion.value(reference) == 1.0
    assert criterion.value({0: found(BOX), 1: found(BOX)}) == pytest.approx((2 / 3 + 1) / 2)
    assert criterion.value({1: found(BOX)}) == 1.0


def test_pictures_of_nothing_do_not_hide_what_is_lost(recipe: Recipe) -> None:
    """Of twenty pictures one shows something, which is not found any more."""
    reference: Found = {index: found(*[BOX] * (index == 0)) for index in range(20)}
    criterion = criterion_for(recipe, unannotated(20), 0.5, reference)
    assert criterion.value(reference) == 1.0
    assert criterion.value(dict.fromkeys(reference, found())) == 0.0
    assert criterion.value({**reference, 1: found(BOX)}) == 0.5


def test_what_hardly_passes_the_threshold_does_not_count(recipe: Recipe) -> None:
    """Nor does background that a low threshold lets in."""
    low = recipe.model_copy(
        update={"detections": recipe.detections.model_copy(update={"score_threshold": 0.01})}
    )
    reference: Found = {0: Detections(
        np.array([BOX, [0.6, 0.6, 0.9, 0.9]], np.float32), np.array([1, 1]), np.array([0.9, 0.09], np.float32)
    )}  # fmt: skip
    for one in (recipe, low):
        assert criterion_for(one, unannotated(1), 0.5, reference).value({0: found(BOX)}) == 1.0


@pytest.mark.parametrize("label", [1, 2])
def test_pictures_that_tell_nothing_are_refused(
    annotated: CalibrationSet, recipe: Recipe, label: int
) -> None:
    with pytest.raises(RecipeError, match="finds nothing that is annotated"):
        criterion_for(recipe, annotated, 0.5, {0: found(*[BOX] * (label - 1), label=label), 1: found()})


def test_nothing_found_tells_nothing(recipe: Recipe) -> None:
    with pytest.raises(RecipeError, match="finds nothing in the 1 calibration"):
        criterion_for(recipe, unannotated(1), 0.5, {0: found()})


def test_what_may_be_lost_tells_nothing(recipe: Recipe) -> None:
    """A model that finds nothing at all would pass."""
    doubtful = recipe.detections.score_threshold + 0.04
    with pytest.raises(RecipeError, match="finds nothing in the 1 calibration"):
        criterion_for(recipe, unannotated(1), 0.5, {0: found(BOX, score=doubtful)})
