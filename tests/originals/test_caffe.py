"""Caffe networks in OpenCV, and through the pipeline: those that suppress by themselves, and those with heads."""

import json
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import pytest

from ssdconvert.build_plan import plan
from ssdconvert.caffe import read_weights
from ssdconvert.candidates import candidates_of
from ssdconvert.catalog import Catalog
from ssdconvert.errors import MissingDevice
from ssdconvert.operation_names import shared_names
from ssdconvert.pictures import EMBEDDED, read_picture
from ssdconvert.recipe import Recipe, load_recipe
from ssdconvert.report.result import Verification
from ssdconvert.resources import package_file
from ssdconvert.runners.openvino_runner import OpenvinoRunner
from ssdconvert.runners.toolchain_runner import ToolchainRunner
from ssdconvert.samples import Picture
from ssdconvert.stages.load import load
from ssdconvert.stages.verify import verify
from ssdconvert.stand_in.caffe import write_caffe

HEADS = """
name: "heads" input: "data" input_shape { dim: 1 dim: 3 dim: 64 dim: 96 }
layer { name: "conv1" type: "Convolution" bottom: "data" top: "conv1"
  convolution_param { num_output: 8 kernel_size: 3 stride: 4 pad: 1 } }
layer { name: "conv1/relu" type: "ReLU" bottom: "conv1" top: "conv1" }
layer { name: "centre" type: "Convolution" bottom: "conv1" top: "centre"
  convolution_param { num_output: 2 kernel_size: 3 pad: 1 } }
layer { name: "size" type: "Convolution" bottom: "conv1" top: "size"
  convolution_param { num_output: 2 kernel_size: 3 pad: 1 } }
layer { name: "side" type: "Sigmoid" bottom: "size" top: "side" }
layer { name: "half" type: "Power" bottom: "side" top: "half" power_param { scale: 0.2 } }
layer { name: "low" type: "Eltwise" bottom: "centre" bottom: "half" top: "low"
  eltwise_param { operation: SUM coeff: 1 coeff: -1 } }
layer { name: "high" type: "Eltwise" bottom: "centre" bottom: "half" top: "high"
  eltwise_param { operation: SUM coeff: 1 coeff: 1 } }
layer { name: "corners" type: "Concat" bottom: "low" bottom: "high" top: "corners" }
layer { name: "corners_perm" type: "Permute" bottom: "corners" top: "corners_perm"
  permute_param { order: 0 order: 2 order: 3 order: 1 } }
layer { name: "boxes" type: "Reshape" bottom: "corners_perm" top: "boxes"
  reshape_param { shape { dim: 0 dim: -1 dim: 4 } } }
layer { name: "conf" type: "Convolution" bottom: "conv1" top: "conf"
  convolution_param { num_output: 3 kernel_size: 3 pad: 1 } }
layer { name: "conf_perm" type: "Permute" bottom: "conf" top: "conf_perm"
  permute_param { order: 0 order: 2 order: 3 order: 1 } }
layer { name: "conf_rows" type: "Reshape" bottom: "conf_perm" top: "conf_rows"
  reshape_param { shape { dim: 0 dim: -1 dim: 3 } } }
layer { name: "scores" type: "Softmax" bottom: "conf_rows" top: "scores" softmax_param { axis: 2 } }
"""
TWIN = {"file": {"name": "twin.onnx", "urls": []}, "scores": "scores", "boxes": "boxes"}


def statuses(result: Any) -> dict[str, str]:
    return {stage.name: stage.status for stage in result.stages}


def outputs_of(path: Path) -> dict[str, list[int]]:
    model = openvino.Core().read_model(path)
    return {port.get_any_name(): list(port.shape) for port in model.outputs}


@pytest.fixture
def caffe_with_heads(caffe: Any, mirrored: Any) -> dict[str, Any]:
    """The recipe of a Caffe network without NMS, whose boxes are decoded."""
    folder = mirrored("tiny-caffe")
    prototxt, caffemodel = folder / "tiny.prototxt", folder / "tiny.caffemodel"
    prototxt.write_text(HEADS, "utf-8")
    document = json.loads(json.dumps(caffe))
    document["source"]["heads"] = {"scores": "scores", "boxes": "boxes"}
    recipe = Recipe.model_validate_json(json.dumps(document))
    write_caffe(recipe.input, prototxt, caffemodel, "scores", "boxes", 3, 0.4)
    return document


@pytest.fixture
def judge(mirrored: Any) -> Callable[[Path], Verification]:
    """Judge the original, and its twin where that is in the mirror: no IR is made, no toolchain needed."""

    def call(path: Path) -> Verification:
        recipe, folder = load_recipe(path), mirrored("tiny-caffe")
        original = load(recipe, {file.name: folder / file.name for file in recipe.source.files})
        twin = folder / "twin.onnx"
        candidates = candidates_of(plan(recipe, None), original, folder, (), twin if twin.is_file() else None)
        pictures = [Picture(name, read_picture(package_file(name))) for name in EMBEDDED]
        return verify(recipe, original, candidates, pictures)

    return call


def checks(result: Verification, hop: str) -> dict[str, list[str]]:
    """Statuses of a hop, by level."""
    found: dict[str, list[str]] = {}
    for check in result.checks:
        if check.hop == hop:
            found.setdefault(check.level, []).append(check.status)
    return found


# --- in OpenCV


def test_what_the_heads_of_detection_output_are(caffe: Any, recipe_file: Any, mirrored: Any) -> None:
    recipe = load_recipe(recipe_file(caffe))
    original = load(
        recipe, {name: mirrored("tiny-caffe") / name for name in ("tiny.caffemodel", "tiny.prototxt")}
    )
    assert original.default_boxes == 16 * 24 * 4
    assert original.heads.names == ("class_probabilities", "box_offsets")
    assert original.heads.coding is not None
    assert original.heads.coding.variances == pytest.approx((0.1, 0.2))
    # the first place, PriorBox: min_size 10, the centre half a step of 4 pixels inside 96x64
    np.testing.assert_allclose(
        original.heads.coding.default_boxes[0], [2 / 96, 2 / 64, 10 / 96, 10 / 64], rtol=1e-5
    )
    assert original.keeps_outputs
    heads = original.run(np.zeros(recipe.input.shape, np.float32), "data")
    assert heads["class_probabilities"].shape == (1, 1536, 3)
    np.testing.assert_allclose(heads["class_probabilities"].sum(axis=2), 1, rtol=1e-5)
    assert heads["box_offsets"].shape == (1, 1536, 4)


@pytest.mark.parametrize(
    ("changes", "seen"),
    [
        ({}, False),
        ({"iou_threshold": 0.3}, True),
        ({"iou_threshold": 0.6}, True),
        ({"score_threshold": 0.3}, True),
        ({"score_threshold": 0.5}, True),
        ({"keep": 10}, True),
    ],
)
def test_another_rule_than_the_layers_own_is_seen(
    caffe: Any, recipe_file: Any, judge: Any, changes: dict[str, float], seen: bool
) -> None:
    result = judge(recipe_file(caffe, {f"detections.{key}": value for key, value in changes.items()}))
    assert ("fail" in checks(result, "original")["detections"]) is seen


def test_a_network_with_heads_detects_nothing_itself(
    caffe_with_heads: Any, recipe_file: Any, judge: Any
) -> None:
    result = judge(recipe_file(caffe_with_heads))
    assert {check.hop for check in result.checks} == {"control"}
    assert result.reference_detections > 10


# --- a twin


def write_twin(
    caffemodel: Path, path: Path, change: Callable[[dict[str, Any]], None] = lambda w: None
) -> None:
    """Write the network of HEADS once more, in torch, with the weights of a caffemodel."""
    import torch
    from torch import Tensor, nn
    from torch.nn.functional import conv2d

    blobs = read_weights(caffemodel)
    weights = {name: [torch.from_numpy(array.copy()) for array in arrays] for name, arrays in blobs.items()}
    change(weights)

    class Twin(nn.Module):
        def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
            x = torch.relu(conv2d(image, *weights["conv1"], stride=4, padding=1))
            centre, size, conf = (conv2d(x, *weights[name], padding=1) for name in ("centre", "size", "conf"))
            half = 0.2 * torch.sigmoid(size)
            corners = torch.cat([centre - half, centre + half], 1)
            rows = [head.flatten(2).transpose(1, 2) for head in (conf, corners)]
            return torch.softmax(rows[0], 2), rows[1]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            Twin(), (torch.zeros(1, 3, 64, 96),), str(path), dynamo=False, opset_version=13,
            input_names=["data"], output_names=["scores", "boxes"],
        )  # fmt: skip


def test_a_twin_is_a_second_reference(
    caffe_with_heads: Any, recipe_file: Any, judge: Any, mirrored: Any
) -> None:
    write_twin(mirrored("tiny-caffe") / "tiny.caffemodel", mirrored("tiny-caffe") / "twin.onnx")
    result = judge(recipe_file(caffe_with_heads, {"source.twin": TWIN}))
    assert checks(result, "twin") == {"heads": ["pass"] * 2 * len(EMBEDDED)}
    (runtime,) = {check.runtime.split()[0] for check in result.checks if check.hop == "twin"}
    assert (runtime, result.reference.split()[0]) == ("onnxruntime", "opencv")


def a_little(weights: dict[str, Any]) -> None:
    weights["conf"][1][1] += 0.01


def channels(weights: dict[str, Any]) -> None:
    weights["conv1"][0] = weights["conv1"][0].flip(1)


def labels(weights: dict[str, Any]) -> None:
    weights["conf"] = [blob.roll(1, 0) for blob in weights["conf"]]


@pytest.mark.parametrize("change", [a_little, channels, labels])
def test_a_wrong_twin_makes_the_verdict_fail(
    caffe_with_heads: Any, recipe_file: Any, judge: Any, mirrored: Any, change: Any
) -> None:
    write_twin(mirrored("tiny-caffe") / "tiny.caffemodel", mirrored("tiny-caffe") / "twin.onnx", change)
    result = judge(recipe_file(caffe_with_heads, {"source.twin": TWIN}))
    assert result.verdict == "fail"
    assert {check.hop for check in result.checks if check.status == "fail"} == {"twin"}
    assert result.reason.startswith("published ONNX twin")


# --- through the pipeline


def test_without_the_toolchain(caffe: Any, recipe_file: Any, build_here: Any, tmp_path: Path) -> None:
    with pytest.raises(MissingDevice) as caught:
        build_here(recipe_file(caffe))
    assert caught.value.exit_code == 5
    assert "ssdconvert toolchain add caffe" in caught.value.hint
    assert [path.name for path in (tmp_path / "out").iterdir()] == [".ssdconvert"]


def test_a_detection_output_is_kept(
    caffe_toolchain: Any, caffe: Any, recipe_file: Any, build_here: Any, tmp_path: Path
) -> None:
    path = recipe_file(caffe)
    result = build_here(path)
    assert result.verdict == "pass", result.verification.reason
    assert {check.hop for check in result.verification.checks} == {"original", "ir", "control"}
    assert (statuses(result)["export"], statuses(result)["simplify"]) == ("skipped", "skipped")
    for precision in ("FP32", "FP16"):
        assert outputs_of(tmp_path / "out" / precision / "tiny-caffe.xml") == {"detection_out": [1, 1, 50, 7]}
    model = openvino.Core().read_model(tmp_path / "out" / "FP32" / "tiny-caffe.xml")
    assert model.get_rt_info(["ssdconvert", "input_color"]).astype(str) == "bgr"
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text("utf-8"))
    assert manifest["stages"]["convert"]["reverse_input_channels"] is True
    assert manifest["stages"]["convert"]["mean_values"] == {"data": [120, 110, 100]}

    again = build_here(path, "again")
    assert [entry["sha256"] for entry in again.artefacts] == [entry["sha256"] for entry in result.artefacts]
    assert statuses(build_here(path))["convert"] == "cached"


def test_heads_get_our_outputs(
    caffe_toolchain: Any,
    caffe_with_heads: Any,
    recipe_file: Any,
    build_here: Any,
    mirrored: Any,
    tmp_path: Path,
) -> None:
    write_twin(mirrored("tiny-caffe") / "tiny.caffemodel", mirrored("tiny-caffe") / "twin.onnx")
    result = build_here(recipe_file(caffe_with_heads, {"source.twin": TWIN}))
    assert result.verdict == "pass", result.verification.reason
    assert {check.hop for check in result.verification.checks} == {"ir", "twin", "control"}
    for precision in ("FP32", "FP16"):
        path = tmp_path / "out" / precision / "tiny-caffe.xml"
        assert outputs_of(path) == {"bboxes": [1, 50, 4], "labels": [1, 50], "scores": [1, 50]}
        model = openvino.Core().read_model(path)
        assert model.input().get_any_name() == "data"
        assert shared_names(model) == []  # network and tail are numbered each by itself
        names = {name for op in model.get_ops() for port in op.outputs() for name in port.get_names()}
        assert {"class_probabilities", "decoded_boxes"} <= names  # a debugger finds the heads in the IR


@pytest.mark.parametrize(
    ("tail", "outputs"),
    [
        ("detection-output", {"detection_out": [1, 1, 50, 7]}),
        ("heads", {"class_probabilities": [1, 384, 3], "decoded_boxes": [1, 384, 4]}),
    ],
)
def test_heads_get_another_tail(
    caffe_toolchain: Any,
    caffe_with_heads: Any,
    recipe_file: Any,
    build_here: Any,
    tmp_path: Path,
    tail: str,
    outputs: dict[str, list[int]],
) -> None:
    result = build_here(recipe_file(caffe_with_heads), tail=tail)
    assert result.verdict == "pass", result.verification.reason
    assert checks(result.verification, "ir").keys() >= {"contract", "heads"}
    assert ("detections" in checks(result.verification, "ir")) == (tail == "detection-output")
    for precision in ("FP32", "FP16"):
        path = tmp_path / "out" / precision / "tiny-caffe.xml"
        assert outputs_of(path) == outputs
        assert shared_names(openvino.Core().read_model(path)) == []


def test_older_and_newer_versions_read_heads_with_a_tail(
    caffe_toolchain: Any,
    installed: Any,
    caffe_with_heads: Any,
    recipe_file: Any,
    build_here: Any,
    tmp_path: Path,
) -> None:
    """2022.3 reads no IR in which two operations have one name; 2026.4 finds the wrong one of the two."""
    build_here(recipe_file(caffe_with_heads), until="convert")
    path = tmp_path / "out" / "FP32" / "tiny-caffe.xml"
    names = ["class_probabilities", "decoded_boxes"]
    feeds = {"data": np.random.default_rng(2).uniform(0, 255, (1, 3, 64, 96)).astype(np.float32)}
    expected = OpenvinoRunner(path, "CPU", names).run(feeds)
    for version in ("ov-2022", "ov-2026"):
        actual = ToolchainRunner(installed(version), path, "CPU", names).run(feeds)
        for name in names:
            np.testing.assert_allclose(actual[name], expected[name], atol=1e-5)


def test_a_wrong_conversion_is_seen(
    caffe_toolchain: Any, caffe: Any, recipe_file: Any, build_here: Any, monkeypatch: Any
) -> None:
    import ssdconvert.model_optimizer as module

    true_arguments = module.conversion_arguments
    wrong = {"reverse_input_channels": False}
    monkeypatch.setattr(module, "conversion_arguments", lambda recipe: true_arguments(recipe) | wrong)
    result = build_here(recipe_file(caffe), until="verify")
    assert result.verdict == "fail"
    assert {check.hop for check in result.verification.checks if check.status == "fail"} == {"ir"}


# --- the published one


@pytest.mark.parametrize("twin", ["version-RFB-320.onnx", "version-slim-320.onnx"])
def test_rfb_320_against_the_published_onnx(mirror: Path, tmp_path: Path, twin: str) -> None:
    """The same weights in Caffe and ONNX, heads decoded by us; those of another network are told apart."""
    recipe = Catalog().find("ultraface-rfb-320-caffe").recipe
    folder = mirror / recipe.name
    original = load(recipe, {file.name: folder / file.name for file in recipe.source.files})
    name = f"ultraface-{'slim' if 'slim' in twin else 'rfb'}-320-onnx"
    candidates = candidates_of(plan(recipe, None), original, folder, (), mirror / name / twin)
    pictures = [Picture(reference, read_picture(package_file(reference))) for reference in EMBEDDED]
    result = verify(recipe, original, candidates, pictures)
    status = "pass" if "RFB" in twin else "fail"
    assert set(checks(result, "twin")["heads"]) == {status}
    worst = max(check.value or 0 for check in result.checks if check.hop == "twin")
    assert (worst < 1e-5) is (status == "pass")


def test_rfb_320_passes(
    caffe_toolchain: Any, mirror: Path, mirrored: Any, build_here: Any, tmp_path: Path
) -> None:
    here = mirrored("ultraface-rfb-320-caffe", mirror / "ultraface-rfb-320-caffe")
    shutil.copy(mirror / "ultraface-rfb-320-onnx" / "version-RFB-320.onnx", here)
    result = build_here(Catalog().find("ultraface-rfb-320-caffe").path)
    assert result.verdict == "pass", result.verification.reason
    assert {check.hop for check in result.verification.checks} == {"ir", "twin", "control"}
    path = tmp_path / "out" / "FP16" / "ultraface-rfb-320-caffe.xml"
    assert outputs_of(path) == {"bboxes": [1, 200, 4], "labels": [1, 200], "scores": [1, 200]}
