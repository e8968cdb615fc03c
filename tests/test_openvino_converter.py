"""What the toolchain is asked for: the recipe's own filter, in its own passes."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from ssdconvert.openvino_converter import TOOLCHAIN, baked_resize, made_by
from ssdconvert.recipe import Recipe
from ssdconvert.toolchains import KINDS


@pytest.mark.parametrize(
    ("library", "expected"),
    [
        ("pillow", {"mode": "bilinear_pillow", "passes": [{"3": 96}, {"2": 48}]}),
        ("opencv", {"mode": "linear", "passes": [{"2": 48, "3": 96}]}),
    ],
)
def test_each_librarys_filter(
    documents: dict[str, Mapping[str, Any]], library: str, expected: dict[str, Any]
) -> None:
    document = json.loads(json.dumps(documents["onnx"]))
    document["input"] |= {"name": "photo", "shape": [1, 3, 48, 96]}
    document["input"]["resize"]["library"] = library
    recipe = Recipe.model_validate_json(json.dumps(document))
    assert baked_resize(recipe.input) == expected | {"name": "photo/resized"}


def test_who_made_it() -> None:
    assert made_by("mo") == "Model Optimizer 2024.6.0"
    assert made_by("openvino") == f"openvino.convert_model {KINDS[TOOLCHAIN].runs}"
