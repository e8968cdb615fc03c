"""ONNX files that suppress by themselves, and quantised ones, taken through the whole pipeline."""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import onnxruntime
import openvino
import pytest

from ssdconvert.errors import ConversionError
from ssdconvert.ir_contract import weight_types
from ssdconvert.pictures import EMBEDDED, read_picture
from ssdconvert.recipe import Recipe, load_recipe
from ssdconvert.report.result import Verification
from ssdconvert.resources import package_file
from ssdconvert.samples import Picture, Recorded, Sample, recorded_samples
from ssdconvert.stages.load import load
from ssdconvert.stages.verify import verify
from ssdconvert.stand_in.own_nms import write_with_own_nms
from ssdconvert.stand_in.quantised import write_quantised
from ssdconvert.stand_in.zoo_archive import write_zoo_archive

RECORDED = {"source.recorded": {"file": {"name": "own-nms.tar.gz", "urls": []}}}


def hops(result: Verification) -> set[str]:
    return {check.hop for check in result.checks}


def failing(result: Verification) -> set[str]:
    return {check.hop for check in result.checks if check.status == "fail"}


@pytest.fixture
def judge_original(mirrored: Any) -> Callable[..., Verification]:
    """Judge what the original says of itself, on the embedded pictures and other samples: no IR is made."""

    def call(recipe: Recipe, more: Sequence[Sample] = ()) -> Verification:
        original = load(recipe, {"own-nms.onnx": mirrored("own-nms") / "own-nms.onnx"})
        pictures = [Picture(name, read_picture(package_file(name))) for name in EMBEDDED]
        return verify(recipe, original, [], [*pictures, *more])

    return call


def run_in_onnxruntime(path: Path, image: Any) -> dict[str, Any]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, ["CPUExecutionProvider"])
    names = ["bboxes", "labels", "scores"]
    return dict(zip(names, session.run(names, {"image": image}), strict=True))


def normalised_rgb(recipe: Recipe, bgr: Any) -> Any:
    """Written out once more: nothing of ssdconvert stands between the two sides."""
    rgb = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB).astype(np.float32)
    image = (rgb - np.array(recipe.input.mean, np.float32)) / np.array(recipe.input.scale, np.float32)
    return np.ascontiguousarray(image.transpose(2, 0, 1)[None])


# --- what is read


def test_what_its_heads_are(own_nms: Any, recipe_file: Any, mirrored: Any) -> None:
    recipe = load_recipe(recipe_file(own_nms))
    original = load(recipe, {"own-nms.onnx": mirrored("own-nms") / "own-nms.onnx"})
    assert original.default_boxes == 80
    assert original.heads.names == ("class_probabilities", "decoded_boxes")
    assert (original.quantised, original.keeps_outputs, original.in_order_of_score) == (False, False, False)
    heads = original.run(np.zeros(recipe.input.shape, np.float32), "image")
    assert {name: array.shape for name, array in heads.items()} == {
        "class_probabilities": (1, 80, 4),
        "decoded_boxes": (1, 80, 4),
    }
    assert not heads["class_probabilities"][..., 0].any()  # its NMS sees no background
    assert heads["class_probabilities"][..., 1:].any()


# --- through the pipeline


@pytest.mark.parametrize("opset", [10, 12])
def test_it_passes(
    own_nms: Any, recipe_file: Any, build_here: Any, mirrored: Any, tiny_ssd: Any, opset: int, tmp_path: Path
) -> None:
    path = mirrored("own-nms") / "own-nms.onnx"
    write_with_own_nms(tiny_ssd(offsets=0.3), "image", tiny_ssd.shape, path, opset)
    result = build_here(recipe_file(own_nms))
    assert result.verdict == "pass", result.verification.reason
    assert hops(result.verification) == {"original", "onnx", "simplified", "ir", "control"}
    assert {(c.precision, c.level) for c in result.verification.checks if c.hop == "ir"} == {
        (precision, level) for precision in ("FP32", "FP16") for level in ("heads", "contract", "detections")
    }
    model = openvino.Core().read_model(tmp_path / "out" / "FP32" / "own-nms.xml")
    assert [(port.get_any_name(), list(port.shape)) for port in model.outputs] == [
        ("bboxes", [1, 200, 4]),
        ("labels", [1, 200]),
        ("scores", [1, 200]),
    ]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("iou_threshold", 0.4),
        ("iou_threshold", 0.6),
        ("score_threshold", 0.02),
        ("score_threshold", 0.2),
        ("keep", 20),
    ],
)
def test_another_rule_than_the_graphs_own_is_seen(
    own_nms: Any, recipe_file: Any, judge_original: Any, key: str, value: float
) -> None:
    result = judge_original(load_recipe(recipe_file(own_nms, {f"detections.{key}": value})))
    assert failing(result) == {"original"}
    assert result.reason.startswith("the original's own NMS")


def test_fewer_candidates_than_default_boxes_are_refused(
    own_nms: Any, recipe_file: Any, mirrored: Any
) -> None:
    files = {"own-nms.onnx": mirrored("own-nms") / "own-nms.onnx"}
    with pytest.raises(ConversionError, match="suppresses all 80 default boxes") as caught:
        load(load_recipe(recipe_file(own_nms, {"detections.per_class": 79})), files)
    assert "write per_class: 80" in caught.value.hint
    assert load(load_recipe(recipe_file(own_nms, {"detections.per_class": 81})), files).default_boxes == 80


def test_only_the_original_can_tell_another_rule(own_nms: Any, recipe_file: Any, build_here: Any) -> None:
    """Every later hop follows the recipe and agrees with it."""
    result = build_here(recipe_file(own_nms, {"detections.iou_threshold": 0.4})).verification
    assert result.verdict == "fail"
    assert hops(result) == {"original", "onnx", "simplified", "ir", "control"}
    assert failing(result) == {"original"}


def test_the_ir_takes_bgr_and_agrees_with_the_file_fed_with_rgb(
    own_nms: Any, recipe_file: Any, build_here: Any, own_nms_file: Path, tmp_path: Path
) -> None:
    path = recipe_file(own_nms)
    build_here(path, until="convert")
    recipe = load_recipe(path)
    settings = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.Core().compile_model(tmp_path / "out" / "FP32" / "own-nms.xml", "CPU", settings)
    found = 0
    for reference in EMBEDDED:
        rgb = read_picture(package_file(reference))
        bgr = cv2.resize(cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), (16, 16))
        theirs = run_in_onnxruntime(own_nms_file, normalised_rgb(recipe, bgr))
        fed = np.ascontiguousarray(bgr.astype(np.float32).transpose(2, 0, 1)[None])
        ours = {port.get_any_name(): array[0] for port, array in compiled({"image": fed}).items()}
        used = ours["scores"] > 0
        assert int(used.sum()) == theirs["scores"].shape[1]
        assert not ours["bboxes"][~used].any()
        for box, label, score in zip(
            *(theirs[name][0] for name in ("bboxes", "labels", "scores")), strict=True
        ):
            same = (ours["labels"] == label) & (np.abs(ours["scores"] - score) < 1e-5)
            assert (np.abs(ours["bboxes"][same] - box).max(axis=1) < 1e-5).any(), (box, label, score)
            found += 1
    assert found > 50


def test_what_model_optimizer_was_asked_for_is_what_open_model_zoo_asks(
    own_nms: Any, recipe_file: Any, build_here: Any, tmp_path: Path
) -> None:
    """--reverse_input_channels --mean_values=image[123.675,116.28,103.53] --scale_values=image[58.395,...]."""
    published = {"input.mean": [123.675, 116.28, 103.53], "input.scale": [58.395, 57.12, 57.375]}
    build_here(recipe_file(own_nms, published))
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text("utf-8"))
    assert manifest["stages"]["convert"] == {
        "reverse_input_channels": True,
        "mean_values": {"image": [123.675, 116.28, 103.53]},
        "scale_values": {"image": [58.395, 57.12, 57.375]},
    }


# --- recorded outputs


@pytest.fixture
def archive(own_nms: Any, own_nms_file: Path, mirrored: Any) -> Callable[..., None]:
    """Put an archive into the mirror; `change` is made to the outputs that are recorded."""

    def write(change: Callable[[dict[str, Any]], None] = lambda outputs: None) -> None:
        pixels = cv2.resize(read_picture(package_file("package:images/shapes-3.jpg")), (16, 16))
        image = ((pixels.astype(np.float32) - 110) / 50).transpose(2, 0, 1)[None]
        outputs = run_in_onnxruntime(own_nms_file, np.ascontiguousarray(image))
        assert outputs["scores"].shape[1] > 20
        change(outputs)
        target = mirrored("own-nms") / "own-nms.tar.gz"
        write_zoo_archive(target, "own-nms", own_nms_file.read_bytes(), {"image": image}, outputs)

    return write


def test_recorded_outputs_are_evidence(archive: Any, own_nms: Any, recipe_file: Any, build_here: Any) -> None:
    archive()
    result = build_here(recipe_file(own_nms, RECORDED))
    assert result.verdict == "pass", result.verification.reason
    assert hops(result.verification) == {"original", "recorded", "onnx", "simplified", "ir", "control"}
    assert {c.input for c in result.verification.checks if c.hop == "recorded"} == {"test_data_set_0"}
    assert result.verification.pictures[-1] == "test_data_set_0"
    judged = {c.hop for c in result.verification.checks if c.input == "test_data_set_0"}
    assert judged == {"original", "recorded", "onnx", "simplified", "ir"}


def label(outputs: dict[str, Any]) -> None:
    outputs["labels"][0, 3] = outputs["labels"][0, 3] % 3 + 1


def score(outputs: dict[str, Any]) -> None:
    outputs["scores"][0, 3] -= 0.01


def box(outputs: dict[str, Any]) -> None:
    outputs["bboxes"][0, 3] += 0.05


def x_and_y(outputs: dict[str, Any]) -> None:
    outputs["bboxes"] = outputs["bboxes"][..., [1, 0, 3, 2]]


def first_row_gone(outputs: dict[str, Any]) -> None:
    outputs.update({name: array[:, 1:] for name, array in outputs.items()})


def nothing(outputs: dict[str, Any]) -> None:
    outputs.update({name: array[:, :0] for name, array in outputs.items()})


@pytest.mark.parametrize("change", [label, score, box, x_and_y, first_row_gone, nothing])
def test_wrong_recorded_outputs_make_the_verdict_fail(
    archive: Any, own_nms: Any, recipe_file: Any, judge_original: Any, mirrored: Any, change: Any
) -> None:
    archive(change)
    recipe = load_recipe(recipe_file(own_nms, RECORDED))
    result = judge_original(recipe, recorded_samples(recipe, mirrored("own-nms") / "own-nms.tar.gz"))
    assert (result.verdict, failing(result)) == ("fail", {"recorded"})
    assert "test_data_set_0" in result.reason


def test_without_the_archive_the_fetch_stage_says_so(own_nms: Any, recipe_file: Any, build_here: Any) -> None:
    result = build_here(recipe_file(own_nms, RECORDED), until="fetch")
    told = "without own-nms.tar.gz, which is neither in the cache nor in a mirror"
    assert told in result.stages[0].summary


def test_evidence_that_turns_up_later_is_looked_at(
    archive: Any, own_nms: Any, recipe_file: Any, build_here: Any
) -> None:
    path = recipe_file(own_nms, RECORDED)
    assert hops(build_here(path).verification) == {"original", "onnx", "simplified", "ir", "control"}
    archive(score)
    again = build_here(path)
    status = {stage.name: stage.status for stage in again.stages}
    assert (status["convert"], status["verify"]) == ("cached", "done")
    assert failing(again.verification) == {"recorded"}


def test_what_was_recorded_is_fed_to_the_ir_as_pixels(own_nms: Any, recipe_file: Any) -> None:
    spec = load_recipe(recipe_file(own_nms)).input  # RGB to BGR, mean 120 110 100, scale 60 50 40
    image = np.zeros(spec.shape, np.float32)
    image[0, :, 0, 0] = [1, -2, 0.5]
    sample = Recorded("test_data_set_0", image, {})
    assert sample.for_original(spec) is image
    pixels = sample.for_converted(spec)
    assert pixels[0, :, 0, 0].tolist() == [120, 10, 180]
    assert pixels[0, :, 1, 1].tolist() == [100, 110, 120]
    same = spec.model_copy(update={"color": spec.color.model_copy(update={"converted": "rgb"})})
    assert sample.for_converted(same)[0, :, 0, 0].tolist() == [180, 10, 120]


# --- quantised


@pytest.fixture(scope="module", params=["qoperator", "qdq"])
def quantised(request: Any, tiny_ssd: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp(request.param)
    plain, path = folder / "plain.onnx", folder / "own-nms.onnx"
    write_with_own_nms(tiny_ssd(offsets=0.3), "image", tiny_ssd.shape, plain, 12)
    pictures = [cv2.resize(read_picture(package_file(name)), (16, 16)) for name in EMBEDDED]
    mean, scale = np.array([120, 110, 100], np.float32), np.array([60, 50, 40], np.float32)
    images = [
        np.ascontiguousarray(((p - mean) / scale).astype(np.float32).transpose(2, 0, 1)[None])
        for p in pictures
    ]
    write_quantised(plain, path, request.param, "image", images)
    return path


def test_a_quantised_file_passes(
    quantised: Path, own_nms: Any, recipe_file: Any, build_here: Any, mirrored: Any, tmp_path: Path
) -> None:
    shutil.copy(quantised, mirrored("own-nms") / "own-nms.onnx")
    result = build_here(recipe_file(own_nms, {"precisions": ["INT8"]}))
    assert result.verdict == "pass", result.verification.reason
    assert hops(result.verification) == {"original", "onnx", "simplified", "ir", "control"}
    assert {c.precision for c in result.verification.checks if c.hop == "ir"} == {"INT8"}
    types = weight_types(openvino.Core().read_model(tmp_path / "out" / "INT8" / "own-nms.xml"))
    assert types["i8"] > types["f32"] > 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir() if path.is_dir()) == [
        ".ssdconvert",
        "INT8",
    ]
    domains = {entry.domain for entry in onnx.load(tmp_path / "out" / "own-nms.onnx").opset_import}
    assert domains <= {"", "ai.onnx"}


def test_a_quantised_file_of_other_weights_fails(
    quantised: Path, own_nms: Any, recipe_file: Any, build_here: Any, mirrored: Any, monkeypatch: Any
) -> None:
    """The gate's limits for integers are wide, but not so wide that swapped channels pass."""
    import ssdconvert.stages.convert as stage

    shutil.copy(quantised, mirrored("own-nms") / "own-nms.onnx")
    true_arguments = stage.conversion_arguments
    wrong = {"reverse_input_channels": False}
    monkeypatch.setattr(stage, "conversion_arguments", lambda recipe: true_arguments(recipe) | wrong)
    result = build_here(recipe_file(own_nms, {"precisions": ["INT8"]}))
    assert result.verdict == "fail"
    assert failing(result.verification) == {"ir"}


@pytest.mark.parametrize("form", ["float", "qoperator"])
def test_the_precisions_of_a_recipe_are_those_of_the_file(
    form: str, own_nms: Any, recipe_file: Any, mirrored: Any, tiny_ssd: Any, tmp_path: Path
) -> None:
    path = mirrored("own-nms") / "own-nms.onnx"
    if form == "qoperator":
        write_with_own_nms(tiny_ssd(), "image", tiny_ssd.shape, tmp_path / "plain.onnx", 12)
        write_quantised(tmp_path / "plain.onnx", path, form, "image", [np.zeros(tiny_ssd.shape, np.float32)])
    wrong, told = (["INT8"], "is not quantised") if form == "float" else (["FP32", "FP16"], "is quantised")
    with pytest.raises(ConversionError, match=told) as caught:
        load(load_recipe(recipe_file(own_nms, {"precisions": wrong})), {"own-nms.onnx": path})
    assert caught.value.stage == "load"
    assert "precisions: [" in caught.value.hint
