"""What a build makes of each kind of source."""

import json
from typing import Any

import pytest

from ssdconvert.build_plan import Plan, offered, plan
from ssdconvert.errors import RecipeError
from ssdconvert.outputs import TAILS
from ssdconvert.recipe import Color, Recipe


def ir_files(*folders: str) -> list[dict[str, Any]]:
    return [{"name": f"{folder}/m.{suffix}", "urls": []} for folder in folders for suffix in ("xml", "bin")]


ONNX = [{"name": "m.onnx", "urls": []}]
CAFFE = [{"name": "m.prototxt", "urls": []}, {"name": "m.caffemodel", "urls": []}]
FILE = {"name": "evidence", "urls": ["https://host/evidence"]}


def recipe(kind: str, files: Any, precisions: list[str], **changes: Any) -> Recipe:
    source = {"kind": kind, "files": files} | changes.pop("source", {})
    document = {
        "schema": 1, "name": "m", "title": "m", "licence": "MIT", "source": source, "precisions": precisions,
        "input": {
            "name": "image", "shape": [1, 3, 8, 8], "color": {"model": "bgr" if kind == "ir" else "rgb"},
            "resize": {"mode": "stretch", "filter": "bilinear", "library": "opencv"},
        },
        "detections": {
            "boxes": "xyxy", "units": "normalised", "labels": ["cat"], "score_threshold": 0.1, "iou_threshold": 0.5,
            "per_class": 10, "keep": 7, **changes,
        },
    }  # fmt: skip
    return Recipe.model_validate_json(json.dumps(document))


def names(made: Plan) -> list[str]:
    return [file.name for file in made.files]


ALL = ir_files("FP32", "FP16", "FP16-INT8")


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (
            recipe("pytorch", [{"name": "m.pth", "urls": []}], ["FP16"], source={"network": "n"}),
            ("FP32", "FP16", "INT8"),
        ),
        (recipe("onnx", ONNX, ["FP32", "FP16"]), ("FP32", "FP16", "INT8")),
        (recipe("onnx", ONNX, ["INT8"]), ("INT8",)),
        (recipe("caffe", CAFFE, ["FP32"]), ("FP32", "FP16", "INT8")),
        (recipe("ir", ALL, ["FP16"]), ("FP32", "FP16", "INT8")),
        (recipe("ir", ir_files("INT8", "FP16"), ["FP16"]), ("FP16", "INT8")),
        (recipe("ir", ir_files("FP16"), ["FP16"]), ("FP16",)),
    ],
)
def test_what_is_offered(made: Recipe, expected: tuple[str, ...]) -> None:
    assert offered(made) == expected
    assert plan(made, None).reference_precision == expected[0]
    assert plan(made, None).through_onnx == (made.source.kind in ("pytorch", "onnx"))


@pytest.mark.parametrize(
    ("made", "asked", "possible"),
    [
        (recipe("onnx", ONNX, ["INT8"]), ("FP32",), "INT8"),
        (recipe("onnx", ONNX, ["INT8"]), ("INT8", "FP16"), "INT8"),
        (recipe("ir", ir_files("FP16"), ["FP16"]), ("FP16", "FP32"), "FP16"),
        (recipe("ir", ir_files("FP32", "FP16-INT8"), ["FP32"]), ("FP16",), "FP32 or INT8"),
    ],
)
def test_what_is_not_offered_is_refused(made: Recipe, asked: Any, possible: str) -> None:
    with pytest.raises(RecipeError, match="cannot be built") as caught:
        plan(made, asked)
    assert caught.value.hint.endswith(f"--precision {possible}")


def test_precisions_are_those_asked_for_or_the_recipes() -> None:
    made = recipe("ir", ALL, ["FP16", "INT8"])
    assert plan(made, None).precisions == ("FP16", "INT8")
    assert plan(made, ("FP32", "FP16", "FP32")).precisions == ("FP32", "FP16")


def test_the_highest_precision_is_always_made_and_judged() -> None:
    made = recipe("ir", ALL, ["FP32", "FP16"])
    assert plan(made, ("FP16",)).irs == {"FP32": ".ssdconvert/FP32/m.xml", "FP16": "FP16/m.xml"}
    assert plan(made, ("FP16", "FP32")).irs == {"FP32": "FP32/m.xml", "FP16": "FP16/m.xml"}
    assert plan(recipe("ir", ir_files("FP16"), ["FP16"]), None).irs == {"FP16": "FP16/m.xml"}
    assert list(plan(recipe("onnx", ONNX, ["INT8"]), None).irs) == ["INT8"]


@pytest.mark.parametrize(
    ("made", "asked", "converted"),
    [
        (recipe("caffe", CAFFE, ["FP32"]), ("FP16", "INT8"), ["FP32", "FP16"]),
        (recipe("onnx", ONNX, ["FP32", "INT8"]), None, ["FP32"]),
        (recipe("onnx", ONNX, ["FP32"]), None, None),
        (recipe("onnx", ONNX, ["INT8"]), None, None),
        (recipe("ir", ALL, ["FP32", "INT8"]), None, None),
    ],
)
def test_8_bits_are_made_where_the_source_has_none(made: Recipe, asked: Any, converted: Any) -> None:
    planned = plan(made, asked)
    assert planned.quantises == (converted is not None)
    assert list(planned.converted) == (converted or list(planned.irs))


def test_of_a_ready_ir_only_what_is_needed_is_fetched() -> None:
    made = recipe("ir", ALL, ["FP32", "FP16", "INT8"])
    assert names(plan(made, None)) == [file["name"] for file in ALL]
    assert names(plan(made, ("FP32",))) == ["FP32/m.xml", "FP32/m.bin"]
    assert names(plan(made, ("INT8",))) == ["FP32/m.xml", "FP32/m.bin", "FP16-INT8/m.xml", "FP16-INT8/m.bin"]


def test_of_other_sources_everything_is_fetched() -> None:
    assert names(plan(recipe("caffe", CAFFE, ["FP32", "FP16"]), ("FP16",))) == ["m.prototxt", "m.caffemodel"]
    assert names(plan(recipe("onnx", ONNX, ["FP32"]), None)) == ["m.onnx"]


def test_evidence_is_no_file_of_the_original() -> None:
    recorded = recipe("onnx", ONNX, ["FP32"], source={"recorded": {"file": FILE}})
    twin = recipe("caffe", CAFFE, ["FP32"], source={"twin": {"file": FILE, "scores": "s", "boxes": "b"}})
    for made in (plan(recorded, None), plan(twin, None)):
        assert made.evidence is not None
        assert made.evidence.name == "evidence"
        assert "evidence" not in names(made)
    for other in (
        recipe("onnx", ONNX, ["FP32"]),
        recipe("caffe", CAFFE, ["FP32"]),
        recipe("ir", ALL, ["FP32"]),
    ):
        assert plan(other, None).evidence is None


@pytest.mark.parametrize("changes", [{"units": "pixels"}, {"first_label": 0}])
def test_only_ready_irs_have_pixels_and_labels_from_zero(changes: Any) -> None:
    for made in (recipe("onnx", ONNX, ["FP32"], **changes), recipe("caffe", CAFFE, ["FP32"], **changes)):
        with pytest.raises(RecipeError, match="cannot be converted") as caught:
            plan(made, None)
        assert "only ready IRs" in caught.value.hint
    assert plan(recipe("ir", ALL, ["FP32"], **changes), None).precisions == ("FP32",)


@pytest.mark.parametrize(
    "changes",
    [
        {"mean": (1.0, 0.0, 0.0)},
        {"scale": (1.0, 1.0, 2.0)},
        {"color": Color(model="rgb", converted="bgr")},
        {"color": Color(model="bgr", converted="rgb")},
    ],
)
def test_nothing_can_be_put_into_a_ready_ir(changes: Any) -> None:
    made = recipe("ir", ALL, ["FP32"])
    with pytest.raises(RecipeError, match="nothing is converted"):
        plan(made.model_copy(update={"input": made.input.model_copy(update=changes)}), None)
    other = recipe("onnx", ONNX, ["FP32"])
    assert plan(other.model_copy(update={"input": other.input.model_copy(update=changes)}), None)


def test_a_ready_ir_may_take_rgb() -> None:
    made = recipe("ir", ALL, ["FP32"])
    rgb = made.input.model_copy(update={"color": Color(model="rgb", converted="rgb")})
    assert plan(made.model_copy(update={"input": rgb}), None)


def test_the_tail_is_the_one_asked_for() -> None:
    made = recipe("onnx", ONNX, ["FP32"])
    assert plan(made, None).tail == "nms"
    assert [plan(made, None, tail).tail for tail in TAILS] == list(TAILS)
    with pytest.raises(RecipeError, match="there is no tail other") as caught:
        plan(made, None, "other")
    assert all(tail in caught.value.hint for tail in TAILS)


@pytest.mark.parametrize("tail", [tail for tail in TAILS if tail != "nms"])
def test_what_keeps_its_outputs_gets_no_tail(tail: str) -> None:
    for made in (recipe("caffe", CAFFE, ["FP32"]), recipe("ir", ALL, ["FP32"])):
        with pytest.raises(RecipeError, match=f"keeps its outputs: it cannot get the tail {tail}"):
            plan(made, None, tail)
    heads = {"heads": {"scores": "s", "boxes": "b"}}
    assert plan(recipe("caffe", CAFFE, ["FP32"], source=heads), None, tail).tail == tail


@pytest.mark.parametrize(
    ("kind", "files", "converter", "bake", "told"),
    [
        ("caffe", CAFFE, "openvino", "values", "m is a Caffe network: --converter openvino converts PyTorch and ONNX"),
        ("ir", ir_files("FP32"), "openvino", "image", "m is a ready IR: --converter openvino converts PyTorch and"),
        ("onnx", ONNX, "mo", "image", "--bake image is done by OpenVINO's own converter"),
        ("onnx", ONNX, "ovc", "values", "there is no --converter ovc"),
        ("onnx", ONNX, "openvino", "all", "there is no --bake all"),
    ],
)  # fmt: skip
def test_conversions_that_cannot_be(kind: str, files: Any, converter: str, bake: str, told: str) -> None:
    changes = {"source": {"heads": {"scores": "a", "boxes": "b"}}} if kind == "caffe" else {}
    with pytest.raises(RecipeError) as raised:
        plan(recipe(kind, files, ["FP32"], **changes), None, "nms", converter, bake)
    assert raised.value.message.startswith(told)
    assert raised.value.exit_code == 2
    assert raised.value.hint


def test_the_tail_of_the_other_converter() -> None:
    with pytest.raises(RecipeError, match="the tail heads is put in place by Model Optimizer"):
        plan(recipe("onnx", ONNX, ["FP32"]), None, "heads", "openvino")


def test_a_crop_cannot_be_baked_in() -> None:
    cropped = recipe("onnx", ONNX, ["FP32"])
    resize = cropped.input.resize.model_copy(update={"mode": "crop"})
    cropped = cropped.model_copy(update={"input": cropped.input.model_copy(update={"resize": resize})})
    with pytest.raises(RecipeError, match="m crops its pictures"):
        plan(cropped, None, "nms", "openvino", "image")
    assert plan(cropped, None, "nms", "openvino").bake == "values"
