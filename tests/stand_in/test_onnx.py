import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import yaml

from ssdconvert.errors import RecipeError
from ssdconvert.quantised_onnx import computes_in_integers, is_quantised
from ssdconvert.recipe import Recipe
from ssdconvert.stand_in.onnx import write_files
from ssdconvert.zoo_archive import read_zoo_archive

RECIPES = Path(__file__).resolve().parents[2] / "recipes"


def small(name: str, **changes: Any) -> Recipe:
    """A shipped recipe at 400x400 with an eighth of the channels."""
    document = yaml.safe_load((RECIPES / f"{name}.yaml").read_text("utf-8"))
    document["input"]["shape"] = [1, 3, 400, 400]
    document["source"]["stand_in"]["options"] = {"channel_multiplier": 0.125}
    document["source"] |= changes
    return Recipe.model_validate_json(json.dumps(document))


@pytest.mark.parametrize(
    ("name", "opset", "quantised", "integers"),
    [("ssd-10", 10, False, False), ("ssd-12-int8", 12, True, True), ("ssd-12-qdq", 12, True, False)],
)
def test_the_files_of_the_zoo(name: str, opset: int, quantised: bool, integers: bool, tmp_path: Path) -> None:
    write_files(small(name), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{name}.onnx", f"{name}.tar.gz"]
    model = onnx.load(tmp_path / f"{name}.onnx")
    assert next(entry.version for entry in model.opset_import if entry.domain == "") == opset
    assert (is_quantised(model), computes_in_integers(model)) == (quantised, integers)
    archive = read_zoo_archive(tmp_path / f"{name}.tar.gz")
    assert archive.model == (tmp_path / f"{name}.onnx").read_bytes()
    (recording,) = archive.recordings
    scores = recording.outputs["scores"][0]
    assert 20 < len(scores) <= 200
    assert (np.diff(scores) <= 0).all()
    assert scores[-1] > 0.05


def test_a_file_without_an_archive(tmp_path: Path) -> None:
    write_files(small("ssd-resnet34-1200-onnx"), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["resnet34-ssd1200.onnx"]


def test_a_recipe_that_tells_nothing_of_it_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="with NMS or with decoded boxes"):
        write_files(small("ssd-10", stand_in=None), tmp_path)
    with pytest.raises(RecipeError, match="with NMS or with decoded boxes"):
        write_files(
            small("ssd-10", heads={"scores": "a", "boxes": "b", "default_boxes": "ultraface"}), tmp_path
        )
    assert not list(tmp_path.iterdir())
