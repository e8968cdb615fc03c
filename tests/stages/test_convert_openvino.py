"""openvino.convert_model in the toolchain ov-2026: the same model as Model Optimizer's, the same bytes every time."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import openvino
import pytest
from PIL import Image

from ssdconvert.build_plan import Plan
from ssdconvert.candidates import candidates_of
from ssdconvert.devices import Machine
from ssdconvert.errors import ConversionError
from ssdconvert.given.candidate import candidate_of
from ssdconvert.operation_names import shared_names
from ssdconvert.recipe import Recipe
from ssdconvert.report.result import Check, Verification
from ssdconvert.runners.inner_tensors import OnnxTensors, OpenvinoTensors
from ssdconvert.runners.openvino_runner import OpenvinoRunner
from ssdconvert.ssd.preprocess import converted_input, original_input, picture_input
from ssdconvert.stages.convert import convert
from ssdconvert.stages.detect import detect
from ssdconvert.stages.verify import verify
from ssdconvert.toolchains.call import Toolchain

pytestmark = pytest.mark.usefixtures("ov_2026_toolchain")
PILLOW = {"mode": "stretch", "filter": "bilinear", "library": "pillow"}
BAKES = ["values", "image"]


def converted(tiny: Any, folder: Path, bake: str, recipe: Recipe | None = None) -> dict[str, Path]:
    """Convert the tiny model into a build folder."""
    made = {precision: folder / precision / "tiny.xml" for precision in ("FP32", "FP16")}
    convert(recipe or tiny.recipe, tiny.simplified, made, {}, "openvino", bake)
    return made


def judged(tiny: Any, folder: Path, recipe: Recipe | None = None) -> Verification:
    """Judge what a build folder holds as IRs that take pictures."""
    planned = Plan(recipe or tiny.recipe, ("FP32", "FP16"), converter="openvino", bake="image")
    made = candidates_of(planned, tiny.original, folder, (Machine(),))
    irs = [replace(one, inner=None) for one in made if one.hop == "ir"]
    return verify(planned.recipe, tiny.original, irs, tiny.pictures)


def failed(result: Verification, precision: str) -> list[Check]:
    return [one for one in result.checks if one.status == "fail" and one.precision == precision]


@pytest.mark.parametrize("bake", BAKES)
def test_the_same_bytes_every_time(tiny: Any, tmp_path: Path, bake: str) -> None:
    first, second = (converted(tiny, tmp_path / name, bake) for name in "ab")
    for precision, path in first.items():
        for suffix in (".xml", ".bin"):
            assert path.with_suffix(suffix).read_bytes() == second[precision].with_suffix(suffix).read_bytes()
        assert str(tmp_path) not in path.read_text("utf-8")


@pytest.mark.parametrize("model", ["rgb", "bgr"])
@pytest.mark.parametrize("order", ["rgb", "bgr"])
def test_preprocessing_is_inside(tiny: Any, tiny_recipe: Any, tmp_path: Path, model: str, order: str) -> None:
    recipe = tiny_recipe(input__color={"model": model, "converted": order})
    made = {bake: converted(tiny, tmp_path / bake, bake, recipe)["FP32"] for bake in BAKES}
    runners = {bake: OpenvinoRunner(path, "CPU", tiny.original.heads.names) for bake, path in made.items()}
    small = np.array(Image.fromarray(tiny.pictures[1].pixels).crop((0, 0, 64, 48)))
    expected = tiny.original.run(original_input(small, recipe.input), "picture")
    feeds = {
        "values": converted_input(small, recipe.input),
        "image": picture_input(small, recipe.input),
    }
    for bake, runner in runners.items():
        outputs = runner.run({"picture": feeds[bake]})
        for name, array in expected.items():
            np.testing.assert_allclose(outputs[name], array, atol=2e-5 * np.abs(array).max())


@pytest.mark.parametrize("bake", BAKES)
def test_inner_tensors_keep_their_names(tiny: Any, tmp_path: Path, bake: str) -> None:
    heads = tiny.original.heads.names
    own = {one.name for one in OpenvinoTensors(converted(tiny, tmp_path, bake)["FP32"]).listed({})}
    before = {one.name for one in OpenvinoTensors(tiny.irs["FP32"]).listed({})}
    onnx = {one.name for one in OnnxTensors(tiny.simplified, heads).listed({"picture": np.zeros(1)})}
    assert own & onnx >= before & onnx  # as many as of Model Optimizer's
    assert len(own & onnx) > 20


@pytest.mark.parametrize(("library", "different"), [("pillow", 0.03), ("opencv", 0.14)])
def test_the_resize_is_that_of_the_library(
    tiny: Any, tiny_recipe: Any, tmp_path: Path, library: str, different: float
) -> None:
    """Of these sizes no version of Pillow begins with the heights, and few values are halfway between levels."""
    recipe = tiny_recipe(input__resize=PILLOW | {"library": library})
    path = converted(tiny, tmp_path, "image", recipe)["FP32"]
    runner = OpenvinoRunner(path, "CPU", ["picture/resized"])
    random = np.random.default_rng(4)
    for height, width in ((299, 401), (48, 64), (96, 128), (20, 31), (97, 301), (1, 320), (200, 1), (1, 1)):
        pixels = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
        inside = runner.run({"picture": picture_input(pixels, recipe.input)})["picture/resized"]
        levels = np.abs(inside - converted_input(pixels, recipe.input))
        assert levels.max() <= 1
        assert levels.mean() < different, (height, width)


def test_rt_info_says_what_is_inside(tiny: Any, tmp_path: Path) -> None:
    told = {}
    for bake in BAKES:
        model = openvino.Core().read_model(converted(tiny, tmp_path / bake, bake)["FP16"])
        told[bake] = {
            key: model.get_rt_info(["ssdconvert", key]).astype(str)
            for key in (
                "converter", "input_color", "resize", "input_type", "input_layout", "input_size", "baked_resize",
                "baked_mean",
            )
            if model.has_rt_info(["ssdconvert", key])
        }  # fmt: skip
    always = {
        "converter": "openvino.convert_model 2026.4.1",
        "input_color": "bgr",
        "baked_mean": "120 110 100",
    }
    assert told["values"] == always | {"resize": "stretch bilinear opencv"}
    assert told["image"] == always | {
        "input_type": "u8", "input_layout": "NHWC", "input_size": "any",
        "baked_resize": "stretch bilinear opencv 64x48",
    }  # fmt: skip


@pytest.mark.parametrize("library", ["pillow", "opencv"])
def test_the_gate_passes_what_is_right(tiny: Any, tiny_recipe: Any, tmp_path: Path, library: str) -> None:
    recipe = tiny_recipe(input__resize=PILLOW | {"library": library})
    converted(tiny, tmp_path, "image", recipe)
    result = judged(tiny, tmp_path, recipe)
    assert result.verdict == "pass", result.reason
    whole = [one for one in result.checks if one.input.startswith("whole ") and one.precision == "FP32"]
    assert {one.input for one in whole} == {
        "whole smooth.png", "whole noise.png", "whole smooth.png at 401x299", "whole smooth.png at 1023x767",
        "whole smooth.png at 97x1301", "whole noise at 129x95", "whole noise at 1x1",
    }  # fmt: skip
    assert max(one.value or 0 for one in whole if one.metric == "max levels of 255") == 1
    assert max(one.value or 0 for one in whole if one.level == "heads") < 1e-4
    cost = [one for one in whole if one.output == "cost of the filter"]
    assert {(one.status, one.limit) for one in cost} == {("skipped", None)}
    assert max(one.value or 0 for one in cost if "score" in one.metric) > 0.001


MISTAKES: dict[str, tuple[dict[str, Any], set[str]]] = {
    "the other library's filter": ({"input__resize": PILLOW}, {"max levels of 255", "mean levels of 255"}),
    "channels swapped": ({"input__color": {"model": "bgr", "converted": "bgr"}}, {"max error / scale"}),
    "mean dropped": ({"input__mean": [0, 0, 0]}, {"max error / scale"}),
    "scale dropped": ({"input__scale": [1, 1, 1]}, {"max error / scale"}),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_the_gate_catches_mistakes(tiny: Any, tiny_recipe: Any, tmp_path: Path, mistake: str) -> None:
    changes, expected = MISTAKES[mistake]
    converted(tiny, tmp_path, "image", tiny_recipe(**changes))
    result = judged(tiny, tmp_path)
    assert result.verdict == "fail"
    assert expected <= {one.metric for one in failed(result, "FP32")}
    whole = {one.metric for one in failed(result, "FP32") if one.input.startswith("whole ")}
    assert expected <= whole
    if "levels" in " ".join(expected):  # what is behind a wrong filter is right
        assert "max error / scale" not in {one.metric for one in failed(result, "FP32")}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('coordinate_transformation_mode="half_pixel"', 'coordinate_transformation_mode="asymmetric"'),
        ('mode="linear"', 'mode="nearest"'),
    ],
)
def test_the_gate_catches_another_filter_in_the_file(
    tiny: Any, tmp_path: Path, before: str, after: str
) -> None:
    path = converted(tiny, tmp_path, "image")["FP16"]
    text = path.read_text("utf-8")
    assert text.count(before) == 1
    path.write_text(text.replace(before, after), "utf-8")
    metrics = {one.metric for one in failed(judged(tiny, tmp_path), "FP16")}
    assert "mean levels of 255" in metrics


def test_detections_are_in_pixels_of_the_picture(tiny: Any, tmp_path: Path) -> None:
    """A picture is handed over as it is: the same boxes as of the IR that it is resized for, by the same filter."""
    small = Image.fromarray(tiny.pictures[0].pixels)
    pixels = np.array(small.resize((128, 96), Image.Resampling.BICUBIC))  # halved, the two filters are equal
    path = converted(tiny, tmp_path, "image")["FP32"]
    found, device = detect(path, pixels, "CPU", 0.3)
    expected, _ = detect(tiny.irs["FP32"], pixels, "CPU", 0.3)
    again, _ = detect(path, pixels, "CPU", 0.3, tiny.recipe)
    assert device == "CPU"
    assert again == found
    assert len(found) == len(expected) >= 5
    for one, other in zip(found, expected, strict=True):
        assert (one.label, one.score) == (other.label, pytest.approx(other.score, abs=1e-4))
        assert one.box == pytest.approx(other.box, abs=0.05)
    assert max(one.box[2] for one in found) > 80  # pixels of the picture: the input is 64 wide


def test_a_file_that_is_no_onnx(tiny: Any, ov_2026_toolchain: Toolchain, tmp_path: Path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"nothing")
    with pytest.raises(ConversionError, match="the toolchain ov-2026 cannot convert onnx") as raised:
        convert(tiny.recipe, broken, {"FP32": tmp_path / "FP32" / "tiny.xml"}, {}, "openvino")
    assert raised.value.stage == "convert"
    assert not (tmp_path / "FP32").exists()


@pytest.mark.parametrize(
    ("operation", "attributes", "told"),
    [
        ("AveragePool", {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}, "AvgPool"),
        ("Identity", {}, "Identity"),
    ],
)
def test_operations_that_this_openvino_does_not_read(
    tiny_recipe: Any, tmp_path: Path, operation: str, attributes: dict[str, Any], told: str
) -> None:
    floats = onnx.TensorProto.FLOAT
    picture = onnx.helper.make_tensor_value_info("picture", floats, [1, 3, 48, 64])
    out = onnx.helper.make_tensor_value_info("out", floats, None)
    node = onnx.helper.make_node(operation, ["picture"], ["out"], **attributes)
    graph = onnx.helper.make_graph([node], "newer", [picture], [out])
    opset = onnx.helper.make_opsetid("", 13)
    onnx.save(onnx.helper.make_model(graph, opset_imports=[opset], ir_version=7), tmp_path / "newer.onnx")
    with pytest.raises(ConversionError, match=f"made: .*{told}") as raised:
        convert(tiny_recipe(), tmp_path / "newer.onnx", {"FP32": tmp_path / "m.xml"}, {}, "openvino")
    assert raised.value.stage == "convert"
    assert "--converter mo" in raised.value.hint
    assert not (tmp_path / "m.xml").exists()


def test_names_are_apart(tiny: Any, tmp_path: Path) -> None:
    for bake in BAKES:
        for path in converted(tiny, tmp_path / bake, bake).values():
            assert shared_names(openvino.Core().read_model(path)) == []


def test_one_that_takes_pictures_is_no_file_to_compare(tiny: Any, tmp_path: Path) -> None:
    path = converted(tiny, tmp_path, "image")["FP32"]
    with pytest.raises(ConversionError, match="expected one input f32") as raised:
        candidate_of(tiny.recipe, path, Machine(), tiny.original)
    assert "ssdconvert verify tiny --converter openvino --bake image" in raised.value.hint
