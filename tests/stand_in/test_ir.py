"""Stand-ins of ready IRs: their form, their agreement between precisions, their bytes."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import pytest

from ssdconvert.recipe import Recipe
from ssdconvert.ssd.preprocess import converted_input
from ssdconvert.stand_in.calibration_pictures import all_pictures
from ssdconvert.stand_in.ir import write_files

FOLDERS = ("FP32", "FP16", "FP16-INT8")
HEADS = {"normalised": ("mbox_conf_flatten", "mbox_loc"), "pixels": ("class_scores", "corners")}


def recipe_of(units: str, labels: list[str], first_label: int, keep: int) -> Recipe:
    """A ready IR of 96 rows and 128 columns in three precisions."""
    names = [f"{folder}/tiny.{suffix}" for folder in FOLDERS for suffix in ("xml", "bin")]
    document = {
        "schema": 1,
        "name": "tiny",
        "title": "tiny",
        "licence": "Apache-2.0",
        "source": {"kind": "ir", "files": [{"name": name, "urls": []} for name in names]},
        "input": {
            "name": "picture",
            "shape": [1, 3, 96, 128],
            "color": {"model": "bgr"},
            "resize": {"mode": "stretch", "filter": "bilinear", "library": "opencv"},
        },
        "detections": {
            "boxes": "xyxy",
            "units": units,
            "labels": labels,
            "first_label": first_label,
            "score_threshold": 0.05,
            "iou_threshold": 0.45,
            "per_class": 100,
            "keep": keep,
        },
    }
    return Recipe.model_validate_json(json.dumps(document))


RECIPES = {
    "one class": recipe_of("normalised", ["face"], 1, 40),
    "background last": recipe_of("normalised", ["vehicle", "person", "bike"], 0, 40),
    "boxes": recipe_of("pixels", ["vehicle", "person", "bike"], 0, 40),
    "static boxes": recipe_of("pixels", ["face"], 0, 60),
}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder of each recipe."""
    folders = {name: tmp_path_factory.mktemp("ir") for name in RECIPES}
    for name, recipe in RECIPES.items():
        write_files(recipe, folders[name], static_rows=name.startswith("static"))
    return folders


def outputs_of(path: Path, units: str, images: list[Any]) -> list[dict[str, Any]]:
    """Every output and head of the IR, by name, of each image."""
    model = openvino.Core().read_model(path)
    model.add_outputs(list(HEADS[units]))
    compiled = openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    names = [port.get_any_name() for port in compiled.outputs]
    return [{name: np.array(compiled(image)[name]) for name in names} for image in images]


def images_of(recipe: Recipe) -> list[Any]:
    return [converted_input(pixels, recipe.input) for pixels in all_pictures()]


def scores_and_labels(outputs: dict[str, Any]) -> tuple[Any, Any]:
    if "boxes" in outputs:
        return outputs["boxes"][:, 4], outputs["labels"]
    rows = outputs["detection_out"].reshape(-1, 7)
    used = np.logical_and.accumulate(rows[:, 0] >= 0)
    return rows[used, 2], rows[used, 1]


@pytest.mark.parametrize("name", ["one class", "background last"])
@pytest.mark.parametrize("folder", FOLDERS)
def test_detection_out_is_static(written: dict[str, Path], name: str, folder: str) -> None:
    model = openvino.Core().read_model(written[name] / folder / "tiny.xml")
    assert [(port.get_any_name(), list(port.shape)) for port in model.inputs] == [
        ("picture", [1, 3, 96, 128])
    ]
    assert [(port.get_any_name(), list(port.shape)) for port in model.outputs] == [
        ("detection_out", [1, 1, 40, 7])
    ]
    kinds = Counter(operation.get_type_name() for operation in model.get_ops())
    assert kinds["DetectionOutput"] == 1
    assert kinds["PriorBoxClustered"] == 2


@pytest.mark.parametrize(
    ("name", "shapes"), [("boxes", ["[..40,5]", "[..40]"]), ("static boxes", ["[60,5]", "[60]"])]
)
def test_boxes_and_labels_are_dynamic_unless_asked_for(
    written: dict[str, Path], name: str, shapes: list[str]
) -> None:
    for folder in FOLDERS:
        model = openvino.Core().read_model(written[name] / folder / "tiny.xml")
        ports = [(p.get_any_name(), str(p.partial_shape), p.element_type.to_string()) for p in model.outputs]
        assert ports == [("boxes", shapes[0], "f32"), ("labels", shapes[1], "i64")]


def test_unused_static_rows_are_zero(written: dict[str, Path]) -> None:
    path = written["static boxes"] / "FP32" / "tiny.xml"
    for outputs in outputs_of(path, "pixels", images_of(RECIPES["static boxes"])):
        unused = outputs["boxes"][:, 4] == 0
        assert unused.any()
        assert not outputs["boxes"][unused].any()
        assert not outputs["labels"][unused].any()
        assert (np.diff(outputs["boxes"][:, 4]) <= 0).all()


@pytest.mark.parametrize("name", RECIPES)
def test_pictures_have_detections_of_every_class_with_spread_scores(
    written: dict[str, Path], name: str
) -> None:
    recipe = RECIPES[name]
    runs = outputs_of(written[name] / "FP32" / "tiny.xml", recipe.detections.units, images_of(recipe))
    found = [scores_and_labels(outputs) for outputs in runs]
    scores = np.concatenate([one for one, _ in found])
    labels = np.concatenate([one for _, one in found])[scores > 0.05]
    first = recipe.detections.first_label
    assert set(labels) == set(range(first, first + len(recipe.class_names)))
    seen = scores[scores > 0.05]
    assert 5 < len(seen) / len(runs) < recipe.detections.keep
    assert np.quantile(seen, 0.95) - np.quantile(seen, 0.05) > 0.2


@pytest.mark.parametrize("name", RECIPES)
def test_precisions_are_one_network(written: dict[str, Path], name: str) -> None:
    recipe = RECIPES[name]
    units, images = recipe.detections.units, images_of(recipe)
    reference = outputs_of(written[name] / "FP32" / "tiny.xml", units, images)
    for folder, least, most in (("FP16", 1e-6, 1e-2), ("FP16-INT8", 1e-3, 0.15)):
        errors = [
            np.abs(theirs[head] - ours[head]).max() / np.abs(ours[head]).max()
            for theirs, ours in zip(
                outputs_of(written[name] / folder / "tiny.xml", units, images), reference, strict=True
            )
            for head in HEADS[units]
        ]
        assert least < max(errors) < most, folder


@pytest.mark.parametrize("name", RECIPES)
def test_swapped_channels_change_the_heads(written: dict[str, Path], name: str) -> None:
    units = RECIPES[name].detections.units
    for image in images_of(RECIPES[name]):
        path = written[name] / "FP32" / "tiny.xml"
        right, wrong = outputs_of(path, units, [image, np.ascontiguousarray(image[:, ::-1])])
        for head in HEADS[units]:
            assert np.abs(right[head] - wrong[head]).max() > 1e-2 * np.abs(right[head]).max()


@pytest.mark.parametrize("name", RECIPES)
def test_weights_are_stored_as_the_folder_says(written: dict[str, Path], name: str) -> None:
    expected = {"FP32": {"f32"}, "FP16": {"f16"}, "FP16-INT8": {"f16", "i8"}}
    for folder in FOLDERS:
        model = openvino.Core().read_model(written[name] / folder / "tiny.xml")
        sizes: Counter[str] = Counter()
        for operation in model.get_ops():
            if operation.get_type_name() == "Constant":
                sizes[operation.get_element_type().to_string()] += operation.get_data().size
        floating = {kind for kind in sizes if not kind.startswith("i64")}
        assert floating <= expected[folder] | {"i32"}, sizes
        kinds = Counter(operation.get_type_name() for operation in model.get_ops())
        assert (kinds["FakeQuantize"] > 0) == (folder == "FP16-INT8")
        if folder == "FP16-INT8":
            assert sizes["i8"] > sizes["f16"]


def test_bytes_repeat_in_another_process_and_name_no_path(written: dict[str, Path], tmp_path: Path) -> None:
    code = (
        "import sys\nfrom pathlib import Path\nfrom ssdconvert.recipe import Recipe\n"
        "from ssdconvert.stand_in.ir import write_files\n"
        "recipe = Recipe.model_validate_json(sys.stdin.read())\n"
        "write_files(recipe, Path(sys.argv[1]))\nwrite_files(recipe, Path(sys.argv[1]) / 'again')"
    )
    text = RECIPES["boxes"].model_dump_json(by_alias=True)
    root = Path(__file__).resolve().parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], input=text, text=True, check=True, env=environment
    )
    for file in RECIPES["boxes"].source.files:
        first = (written["boxes"] / file.name).read_bytes()
        assert first == (tmp_path / file.name).read_bytes() == (tmp_path / "again" / file.name).read_bytes()
        assert str(tmp_path).encode() not in first
        assert str(written["boxes"]).encode() not in first


def test_the_file_says_that_it_is_a_stand_in(written: dict[str, Path]) -> None:
    model = openvino.Core().read_model(written["boxes"] / "FP16" / "tiny.xml")
    assert "seed" in model.get_rt_info(["ssdconvert", "stand_in"]).astype(str)
