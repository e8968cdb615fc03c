"""Which pictures are drawn to calibrate on, and which measure what it costs."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from ssdconvert.catalog import Catalog
from ssdconvert.errors import RecipeError
from ssdconvert.quantisation.calibration import FEWEST, CalibrationSet, opened
from ssdconvert.quantisation.options import CalibrationOptions
from ssdconvert.recipe import Recipe

LABELS = ["red disc", "blue disc", "triangle", "square", "star"]


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    return Catalog().find("ssd-demo").recipe


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(12):
        Image.new("RGB", (8, 8), (number, 0, 0)).save(tmp_path / f"{number:02}.png")
    return tmp_path


def drawn(source: Path | str, recipe: Recipe, **options: Any) -> CalibrationSet:
    with opened(str(source), CalibrationOptions(**options), recipe) as pictures:
        return pictures


def annotated(folder: Path, count: int, names: list[str] = LABELS) -> Path:
    (folder / "images").mkdir(parents=True)
    for number in range(count):
        Image.new("RGB", (8, 8), (number, 0, 0)).save(folder / "images" / f"{number}.png")
    document = {
        "images": [
            {"id": n + 1, "file_name": f"{n}.png", "width": 8, "height": 8} for n in range(count)
        ],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 4, 4], "area": 16, "iscrowd": 0}],
        "categories": [{"id": number, "name": name} for number, name in enumerate(names, start=1)],
    }  # fmt: skip
    path = folder / "annotations.json"
    path.write_text(json.dumps(document))
    return path


def test_two_draws_are_the_same_and_in_no_order_of_names(folder: Path, recipe: Recipe) -> None:
    first = drawn(folder, recipe, samples=5)
    assert first == drawn(folder, recipe, samples=5)
    assert len(first.calibrated) == 5
    assert list(first.calibrated) != sorted(first.calibrated)


def test_of_few_pictures_all_serve_for_both_and_it_is_said(
    folder: Path, recipe: Recipe, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        pictures = drawn(folder, recipe)
    assert set(pictures.calibrated) == set(pictures.measured) == set(folder.iterdir())
    assert "12 pictures, and 300 samples" in caplog.text


@pytest.mark.parametrize(
    ("count", "samples", "calibrated", "measured"),
    [
        (2 * FEWEST, 300, FEWEST, FEWEST),
        (2 * FEWEST + 20, FEWEST, FEWEST, FEWEST),
        (2 * FEWEST - 1, 300, 2 * FEWEST - 1, 2 * FEWEST - 1),
        (2 * FEWEST, 10, 10, 10),
    ],
)
def test_pictures_that_measure_are_others_where_there_are_enough(
    tmp_path: Path, recipe: Recipe, caplog: pytest.LogCaptureFixture, count: int, samples: int, calibrated: int,
    measured: int,
) -> None:  # fmt: skip
    with caplog.at_level(logging.WARNING):
        pictures = drawn(annotated(tmp_path / "set", count), recipe, samples=samples)
    assert ("for want of others" in caplog.text) == (calibrated == count)
    assert (len(pictures.calibrated), len(pictures.measured)) == (calibrated, measured)
    assert bool({*pictures.calibrated} & {*pictures.measured}) == (calibrated == count)
    assert [picture.path for picture in pictures.annotated] == list(pictures.measured)
    assert pictures.category_ids == {1: 1, 2: 2, 3: 3, 4: 4, 5: 5}


def test_classes_without_a_category_are_left_out(tmp_path: Path, recipe: Recipe) -> None:
    pictures = drawn(annotated(tmp_path / "set", 3, ["star", "zebra"]), recipe)
    assert pictures.category_ids == {5: 1}


def test_a_picture_that_is_missing_is_told_without_options_of_evaluate(
    tmp_path: Path, recipe: Recipe
) -> None:
    path = annotated(tmp_path / "set", 3)
    (path.parent / "images" / "1.png").unlink()
    with pytest.raises(RecipeError, match=r"1 of 3 pictures .*: 1\.png") as raised:
        drawn(path, recipe)
    assert raised.value.hint.startswith("put the pictures there")


def test_generated_pictures_are_those_of_the_demo_and_go_away(recipe: Recipe) -> None:
    with opened("generated:4", CalibrationOptions(samples=4), recipe) as pictures:
        paths = pictures.calibrated
        assert all(path.is_file() for path in paths)
        digests = pictures.digests()
    assert not any(path.exists() for path in paths)
    with opened("generated:4", CalibrationOptions(samples=4), recipe) as again:
        assert again.digests() == digests


def test_digests_follow_the_pictures(folder: Path, recipe: Recipe) -> None:
    before = drawn(folder, recipe).digests()
    Image.new("RGB", (8, 8), "white").save(folder / "03.png")
    assert drawn(folder, recipe).digests() != before


def test_a_largest_drop_needs_annotations(folder: Path, recipe: Recipe) -> None:
    with pytest.raises(RecipeError, match="without annotations"):
        drawn(folder, recipe, max_drop=0.5)


def test_an_empty_folder_is_refused(tmp_path: Path, recipe: Recipe) -> None:
    with pytest.raises(RecipeError, match="holds no picture"):
        drawn(tmp_path, recipe)
