"""Recipes that no picture would show to be wrong are refused by what the files themselves say."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ssdconvert.build_plan import plan
from ssdconvert.catalog import Catalog
from ssdconvert.errors import ConversionError, RecipeError
from ssdconvert.recipe import Recipe
from ssdconvert.stages.load import load
from ssdconvert.stand_in import make_stand_in

RETAIL = "face-detection-retail-0004"


def changed(name: str, **changes: Any) -> Recipe:
    """A shipped recipe with other values at dotted keys, `__` for the dot."""
    document = Catalog().find(name).recipe.model_dump(mode="json", by_alias=True)
    for key, value in changes.items():
        place = document
        *parts, last = key.split("__")
        for part in parts:
            place = place[part]
        place[last] = value
    return Recipe.model_validate_json(json.dumps(document))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], dict[str, Path]]:
    """Makes the stand-in of a recipe, once; returns its files by name."""
    folders: dict[str, Path] = {}

    def files(name: str) -> dict[str, Path]:
        recipe = Catalog().find(name).recipe
        if name not in folders:
            folders[name] = tmp_path_factory.mktemp(name)
            make_stand_in(recipe, folders[name])
        return {file.name: folders[name] / file.name for file in recipe.source.files}

    return files


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("score_threshold", 0.05, r"score_threshold 0\.0\d+, expected 0\.05"),
        ("iou_threshold", 0.5, r"iou_threshold 0\.45, expected 0\.5"),
        ("per_class", 300, r"per_class 400, expected 300"),
        ("keep", 100, r"keep 200, expected 100"),
        ("clip", True, r"clip no, expected yes"),
    ],
)
def test_another_rule_than_the_graphs_is_refused(
    made: Callable[[str], dict[str, Path]], key: str, value: Any, told: str
) -> None:
    files = made(RETAIL)
    load(changed(RETAIL), files)
    with pytest.raises(ConversionError, match=told):
        load(changed(RETAIL, **{f"detections__{key}": value}), files)


@pytest.mark.parametrize(
    "change",
    [
        {"input__color": {"model": "rgb", "converted": "bgr"}},
        {"input__mean": [1, 1, 1]},
        {"input__scale": [2, 2, 2]},
    ],
)
def test_a_ready_ir_cannot_be_given_preprocessing(change: dict[str, Any]) -> None:
    plan(changed(RETAIL), None)
    plan(changed(RETAIL, input__color={"model": "rgb", "converted": "rgb"}), None)
    with pytest.raises(RecipeError, match="nothing is converted"):
        plan(changed(RETAIL, **change), None)


def test_decoded_boxes_are_no_offsets(made: Callable[[str], dict[str, Path]]) -> None:
    name = "ultraface-slim-320-onnx"
    heads = {
        "scores": "scores",
        "boxes": "boxes",
        "default_boxes": "ultraface",
        "options": {"variant": "slim"},
    }
    with pytest.raises(ConversionError, match="they are decoded already"):
        load(changed(name, source__heads=heads), made(name))
