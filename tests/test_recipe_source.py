"""The part of a recipe's schema that is of one kind of source, and names that are taken."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ssdconvert.errors import RecipeError
from ssdconvert.recipe import load_recipe, recipe_digest
from ssdconvert.recipe_source import CaffeSource, IrSource, OnnxSource, caffe_pair


def files(*names: str) -> list[dict[str, Any]]:
    return [{"name": name, "urls": []} for name in names]


@pytest.fixture
def refused(recipe_file: Any) -> Callable[..., None]:
    def call(document: Any, changes: dict[str, Any], *words: str) -> None:
        path = recipe_file(document, changes)
        with pytest.raises(RecipeError) as caught:
            load_recipe(path)
        for word in words:
            assert word in caught.value.message
        assert caught.value.message.startswith(f"{path}:")

    return call


def test_a_reserved_name_is_told_with_its_line(refused: Any, documents: Any) -> None:
    refused(
        documents["caffe"],
        {"name": "my-stand-in"},
        "yaml:2: name: expected a name that does not end in -stand-in, got",
    )


@pytest.mark.parametrize("name", ["stand-in", "my-stand-in-2", "my-standin"])
def test_names_that_are_free(recipe_file: Any, documents: Any, name: str) -> None:
    assert load_recipe(recipe_file(documents["onnx"], {"name": name})).name == name


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        (["a.prototxt"], "one file whose name ends in .caffemodel"),
        (["a.caffemodel"], "one file whose name ends in .prototxt"),
        (["a.prototxt", "b.prototxt", "a.caffemodel"], "one file whose name ends in .prototxt"),
        (["a.prototxt", "a.caffemodel", "b.caffemodel"], "one file whose name ends in .caffemodel"),
        (["a.onnx"], "one file whose name ends in .prototxt"),
        ([], "at least 1 item"),
    ],
)
def test_caffe_is_a_pair(refused: Any, documents: Any, names: list[str], problem: str) -> None:
    refused(documents["caffe"], {"source.files": files(*names)}, "source.files: expected", problem)


def test_a_caffe_pair_may_have_two_names_and_any_order(
    recipe_file: Any, documents: Any, tmp_path: Path
) -> None:
    changes = {"source.files": files("x/weights.caffemodel", "deploy.prototxt")}
    source = load_recipe(recipe_file(documents["caffe"], changes)).source
    assert isinstance(source, CaffeSource)
    paths = {file.name: tmp_path / file.name for file in source.files}
    assert caffe_pair(paths) == (tmp_path / "deploy.prototxt", tmp_path / "x" / "weights.caffemodel")


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        (["FP32/m.xml"], "pairs of NAME.xml and NAME.bin"),
        (["FP32/m.xml", "FP32/n.bin"], "pairs of NAME.xml and NAME.bin"),
        (["FP32/m.xml", "FP16/m.bin"], "pairs of NAME.xml and NAME.bin"),
        (["FP32/m.xml", "FP32/m.bin", "FP16/m.xml"], "pairs of NAME.xml and NAME.bin"),
        (["FP32/m.xml", "FP32/m.bin", "README.md"], "pairs of NAME.xml and NAME.bin"),
        (["m.xml", "m.bin"], "each in a folder FP32, FP16, FP16-INT8, INT8"),
        (["FP64/m.xml", "FP64/m.bin"], "each in a folder FP32, FP16, FP16-INT8, INT8"),
        (["fp32/m.xml", "fp32/m.bin"], "each in a folder FP32, FP16, FP16-INT8, INT8"),
        (["FP32/m.xml", "FP32/m.bin", "FP32/n.xml", "FP32/n.bin"], "one pair a precision"),
        (["INT8/m.xml", "INT8/m.bin", "FP16-INT8/m.xml", "FP16-INT8/m.bin"], "one pair a precision"),
        (["a/FP32/m.xml", "a/FP32/m.bin", "b/FP32/m.xml", "b/FP32/m.bin"], "one pair a precision"),
    ],
)
def test_an_ir_is_pairs_in_folders(refused: Any, documents: Any, names: list[str], problem: str) -> None:
    refused(documents["ir"], {"source.files": files(*names)}, "source.files: expected", problem)


def test_the_pair_of_a_precision(recipe_file: Any, documents: Any) -> None:
    names = ["deep/FP16-INT8/m.bin", "deep/FP16-INT8/m.xml", "FP16/other.xml", "FP16/other.bin"]
    source = load_recipe(recipe_file(documents["ir"], {"source.files": files(*names)})).source
    assert isinstance(source, IrSource)
    assert source.pair("INT8") == ("deep/FP16-INT8/m.xml", "deep/FP16-INT8/m.bin")
    assert source.pair("FP16") == ("FP16/other.xml", "FP16/other.bin")
    assert source.pair("FP32") is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"source.recorded": {"name": "a.tar.gz", "urls": []}}, ["source.recorded.file: required, and missing"]),
        ({"source.recorded": {"file": {"name": "../a", "urls": []}}}, ["recorded.file.name: expected a relative"]),
        ({"source.heads": {"scores": "s"}}, ["source.heads.boxes: required, and missing"]),
        ({"source.heads": {"scores": "s", "boxes": "b", "default_box": "x"}}, ["did you mean 'default_boxes'?"]),
        ({"source.stand_in": {"network": "n"}}, ["source.stand_in.opset: required, and missing"]),
        ({"source.stand_in": {"network": "n", "opset": 10, "quantised": "int8"}}, ["'qoperator' or 'qdq'"]),
        ({"source.stand_in": {"network": "n", "opset": 10, "options": {"classes": 3}}}, ["no option 'classes'"]),
        ({"source.twin": {}}, ["source.twin: unknown key"]),
        ({"detections.first_label": 2}, ["detections.first_label: expected 0 or 1, got 2"]),
    ],
)  # fmt: skip
def test_keys_of_onnx_sources(refused: Any, documents: Any, changes: Any, words: list[str]) -> None:
    refused(documents["onnx"], changes, *words)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"source.twin": {"file": {"name": "t", "urls": []}, "scores": "s"}},
            ["source.twin.boxes: required"],
        ),
        ({"source.stand_in": "vgg"}, ["source.stand_in: expected 'mobilenet_ssd' or 'ultraface_rfb'"]),
        ({"source.recorded": {}}, ["source.recorded: unknown key"]),
    ],
)
def test_keys_of_caffe_sources(refused: Any, documents: Any, changes: Any, words: list[str]) -> None:
    refused(documents["caffe"], changes, *words)


def test_a_stand_in_promises_no_digests_and_no_accuracy(recipe_file: Any, documents: Any) -> None:
    pinned = [
        {
            "name": "own-nms.onnx",
            "urls": ["https://host/x"],
            "size": 5,
            "sha256": "0" * 64,
            "sha384": "1" * 96,
        }
    ]
    accuracy = [{"metric": "coco-map", "by": "authors", "value": 0.2, "source": "paper"}]
    recipe = load_recipe(recipe_file(documents["onnx"], {"source.files": pinned, "accuracy": accuracy}))
    assert not recipe.is_stand_in
    made = recipe.stand_in()
    assert (made.name, made.is_stand_in) == ("own-nms-stand-in", True)
    assert made.title.startswith("STAND-IN")
    assert recipe.title in made.title
    (file,) = made.source.files
    assert (file.name, file.size, file.sha256, file.sha384) == ("own-nms.onnx", None, None, None)
    assert made.accuracy == ()
    assert (made.input, made.detections, made.precisions) == (
        recipe.input,
        recipe.detections,
        recipe.precisions,
    )
    assert recipe_digest(made) != recipe_digest(recipe)
    assert recipe.source.files[0].size == 5


def test_the_defaults_of_an_onnx_source(recipe_file: Any, documents: Any) -> None:
    source = load_recipe(recipe_file(documents["onnx"])).source
    assert isinstance(source, OnnxSource)
    assert (source.heads, source.recorded, source.stand_in) == (None, None, None)
