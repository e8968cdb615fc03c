"""Files of others: what is read of them, what is compared, and what is refused and why."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import openvino
import pytest
from onnx import TensorProto, helper

from ssdconvert.devices import Machine
from ssdconvert.errors import ConversionError, RecipeError, SsdconvertError
from ssdconvert.gate_limits import DEFAULT_LIMITS, head_errors
from ssdconvert.given.candidate import candidate_of
from ssdconvert.given.derived_recipe import recipe_from
from ssdconvert.given.original import original_of
from ssdconvert.given.reading import read_given
from ssdconvert.given.rule import FoundRule, rule_of
from ssdconvert.outputs import UNPADDED
from ssdconvert.pictures import EMBEDDED, read_picture
from ssdconvert.recipe import load_recipe
from ssdconvert.report.result import Verification
from ssdconvert.resources import package_file
from ssdconvert.samples import Picture
from ssdconvert.ssd.heads import UnknownHeads
from ssdconvert.stages.verify import verify
from ssdconvert.stand_in.own_nms import write_with_own_nms

Shape = Sequence[int | str]


@pytest.fixture
def tensors_file(tmp_path: Path) -> Callable[..., Path]:
    """Write a graph that ends in tensors: two convolutions of a picture, and their sum of squares."""

    def write(
        name: str,
        outputs: dict[str, int],
        shape: Shape = (1, 3, 8, 8),
        inputs: Sequence[str] = ("image",),
        seed: int = 1,
        dtype: Any = np.float32,
    ) -> Path:
        random = np.random.default_rng(seed)
        floats = TensorProto.FLOAT if dtype is np.float32 else TensorProto.FLOAT16
        nodes, weights = [], []
        for index, (output, channels) in enumerate(outputs.items()):
            array = random.normal(size=(channels, 3, 1, 1)).astype(dtype)
            weights.append(onnx.numpy_helper.from_array(array, f"w{index}"))
            nodes.append(helper.make_node("Conv", [inputs[0], f"w{index}"], [output]))
        ports = [helper.make_tensor_value_info(one, floats, shape) for one in inputs]
        sides = [1, 0, *shape[2:]]
        results = [
            helper.make_tensor_value_info(output, floats, [1, channels, *sides[2:]])
            for output, channels in outputs.items()
        ]
        graph = helper.make_graph(nodes, "g", ports, results, weights)
        path = tmp_path / name
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
        return path

    return write


def as_ir(path: Path) -> Path:
    target = path.with_suffix(".xml")
    openvino.save_model(openvino.Core().read_model(path), target, compress_to_fp16=False)
    return target


def pictures() -> list[Picture]:
    return [Picture(name, read_picture(package_file(name))) for name in EMBEDDED]


def without_recipe(model: Path, original: Path) -> Verification:
    recipe = recipe_from(model, original)
    reference = original_of(recipe, original)
    return verify(recipe, reference, [candidate_of(recipe, model, Machine(), reference)], pictures())


def failed(result: Verification) -> set[tuple[str, str]]:
    return {(check.hop, check.level) for check in result.checks if check.status == "fail"}


# --- tensors alone


def errors_between(model: Path, original: Path, precision: str = "FP32") -> dict[str, float]:
    """The largest error of each tensor that is compared, both fed the same picture."""
    recipe = recipe_from(model, original)
    reference = original_of(recipe, original)
    candidate = candidate_of(recipe, model, Machine(), reference)
    assert not reference.detects
    assert isinstance(reference.heads, UnknownHeads)
    assert candidate.form is None
    assert candidate.normalised
    image = pictures()[0].for_original(recipe.input)
    expected = reference.run(image, recipe.input.name)
    outputs = candidate.open().run({recipe.input.name: image})
    actual = {ours: tensor.read(outputs[tensor.name]) for ours, tensor in candidate.tensors.items()}
    errors = head_errors(DEFAULT_LIMITS[precision], reference.heads, expected, actual)
    return {error.head: error.value for error in errors}


@pytest.mark.parametrize("precision", ["FP32", "INT8"])
def test_tensors_are_compared_by_name(tensors_file: Any, precision: str) -> None:
    first = tensors_file("a.onnx", {"scores": 4, "offsets": 8, "landmarks": 10})
    errors = errors_between(as_ir(first), first, precision)
    assert set(errors) == {"scores", "offsets", "landmarks"}
    assert max(errors.values()) < 1e-5
    other = tensors_file("b.onnx", {"scores": 4, "offsets": 8, "landmarks": 10}, seed=2)
    assert min(errors_between(other, first, precision).values()) > 0.1


def test_tensors_without_common_names_are_compared_in_order(tensors_file: Any) -> None:
    first = tensors_file("a.onnx", {"scores": 4, "offsets": 8})
    second = tensors_file("b.onnx", {"361": 4, "390": 8}, inputs=["data"])
    errors = errors_between(second, first)
    assert set(errors) == {"scores", "offsets"}
    assert max(errors.values()) == 0


@pytest.mark.parametrize(
    "outputs",
    [
        {"scores": 4},  # one is missing: nobody would see what is wrong in it
        {"scores": 4, "boxes": 8},
        {"361": 4, "390": 9},
        {"390": 8, "361": 4},
        {"361": 4, "390": 8, "391": 8},
    ],
)
def test_tensors_that_have_no_counterpart_are_refused(tensors_file: Any, outputs: dict[str, int]) -> None:
    first = tensors_file("a.onnx", {"scores": 4, "offsets": 8})
    with pytest.raises(
        RecipeError, match="expected the same names, or the same shapes in the same order"
    ) as caught:
        recipe_from(tensors_file("b.onnx", outputs), first)
    assert "a.onnx gives 'scores' f32 [1, 4, 8, 8], 'offsets' f32 [1, 8, 8, 8]" in caught.value.message
    assert "--recipe" in caught.value.hint


def test_equal_names_of_other_shapes_are_compared_and_fail(tensors_file: Any) -> None:
    """That is a wrong model, and no reason to say that nothing can be compared."""
    first = tensors_file("a.onnx", {"scores": 4, "offsets": 8})
    second = tensors_file("b.onnx", {"scores": 5, "offsets": 8})
    recipe = recipe_from(second, first)
    candidate = candidate_of(recipe, second, Machine(), original_of(recipe, first))
    assert set(candidate.tensors) == {"scores", "offsets"}


def test_nothing_follows_from_unknown_heads() -> None:
    with pytest.raises(TypeError):
        UnknownHeads().decoded({})


def test_the_same_file_is_the_reference(tensors_file: Any, tmp_path: Path) -> None:
    first = tensors_file("a.onnx", {"scores": 4})
    shutil.copyfile(first, tmp_path / "copy.onnx")
    recipe = recipe_from(tmp_path / "copy.onnx", first)
    assert candidate_of(recipe, tmp_path / "copy.onnx", Machine(), original_of(recipe, first)).is_reference


def test_what_a_picture_becomes_depends_on_where_the_preprocessing_is(
    tensors_file: Any, tmp_path: Path
) -> None:
    first = tensors_file("a.onnx", {"scores": 4})
    assert recipe_from(first, first).input.scale == (64, 64, 64)
    assert recipe_from(as_ir(first), as_ir(first)).input.scale == (1, 1, 1)
    assert recipe_from(as_ir(first), first).input.scale == (64, 64, 64)
    model = onnx.load(first)
    model.graph.node[0].input[0] = "inner"
    model.graph.node.insert(0, helper.make_node("Sub", ["image", "mean"], ["inner"]))
    mean = onnx.numpy_helper.from_array(np.full((1, 3, 1, 1), 118, np.float32), "mean")
    model.graph.initializer.append(mean)
    onnx.save(model, tmp_path / "inside.onnx")
    recipe = recipe_from(tmp_path / "inside.onnx", tmp_path / "inside.onnx")
    assert (recipe.input.mean, recipe.input.scale) == ((0, 0, 0), (1, 1, 1))


# --- what files suppress


def test_the_rule_of_an_onnx_file_with_its_own_nms(own_nms_file: Path) -> None:
    rule = rule_of(read_given(own_nms_file))
    assert rule is not None
    assert (rule.classes, rule.per_class, rule.keep) == (3, 80, 200)
    assert (rule.score_threshold, rule.iou_threshold) == (pytest.approx(0.05), pytest.approx(0.5))
    assert (rule.first_label, rule.units, rule.clip) == (1, "normalised", False)


@pytest.mark.parametrize("with_recipe", [True, False])
def test_files_with_their_own_nms(
    own_nms: Any, own_nms_file: Path, recipe_file: Any, tiny_ssd: Any, tmp_path: Path, with_recipe: bool
) -> None:
    newer, other = tmp_path / "newer.onnx", tmp_path / "other.onnx"
    write_with_own_nms(tiny_ssd(offsets=0.3), "image", tiny_ssd.shape, newer, 12)
    write_with_own_nms(tiny_ssd(offsets=0.31), "image", tiny_ssd.shape, other, 12)
    for model, wrong in ((newer, False), (other, True)):
        recipe = load_recipe(recipe_file(own_nms)) if with_recipe else recipe_from(model, own_nms_file)
        original = original_of(recipe, own_nms_file)
        candidate = candidate_of(recipe, model, Machine(), original)
        assert candidate.form is UNPADDED
        assert set(candidate.tensors) == {"class_probabilities", "decoded_boxes"}
        result = verify(recipe, original, [candidate], pictures())
        assert result.reference_detections > 20
        assert bool(failed(result)) == wrong, result.reason


def test_our_files_against_one_with_its_own_nms(
    own_nms: Any, own_nms_file: Path, recipe_file: Any, build_here: Any, tmp_path: Path
) -> None:
    path = recipe_file(own_nms)
    build_here(path, until="convert")
    recipe = load_recipe(path)
    out = tmp_path / "out"
    for model in (out / "FP32" / "own-nms.xml", out / "FP16" / "own-nms.xml", out / "own-nms.onnx"):
        for original in (own_nms_file, out / "own-nms.onnx"):
            reference = original_of(recipe, original)
            candidate = candidate_of(recipe, model, Machine(), reference)
            assert set(candidate.tensors) == {"class_probabilities", "decoded_boxes"}
            result = verify(recipe, reference, [candidate], pictures())
            assert failed(result) == set(), result.reason
    result = without_recipe(out / "FP16" / "own-nms.xml", out / "FP32" / "own-nms.xml")
    assert result.verdict == "pass", result.reason


@pytest.mark.parametrize("units", ["normalised", "pixels"])
def test_the_rule_of_a_ready_ir(ready_files: dict[str, Path], units: str) -> None:
    rule = rule_of(read_given(ready_files[units] / "FP32" / "ready.xml"))
    assert rule is not None
    expected = FoundRule(3, 0.05, 0.45, rule.per_class, 40, False, 0, units)
    assert rule.score_threshold == pytest.approx(expected.score_threshold)
    assert rule.iou_threshold == pytest.approx(expected.iou_threshold)
    assert (rule.classes, rule.keep, rule.first_label, rule.units) == (3, 40, 0, units)


@pytest.mark.parametrize("units", ["normalised", "pixels"])
@pytest.mark.parametrize(("folder", "precision"), [("FP16", "FP16"), ("FP16-INT8", "INT8")])
@pytest.mark.parametrize("with_recipe", [True, False])
def test_pairs_of_ready_irs(
    ready: Any, recipe_file: Any, mirrored: Any, units: str, folder: str, precision: str, with_recipe: bool
) -> None:
    document = ready(units)
    first, second = (mirrored("ready") / name / "ready.xml" for name in ("FP32", folder))
    recipe = load_recipe(recipe_file(document)) if with_recipe else recipe_from(second, first)
    original = original_of(recipe, first)
    candidate = candidate_of(recipe, second, Machine(), original)
    assert (candidate.precision, candidate.is_reference) == (precision, False)
    assert candidate.tensors == original.tensors
    result = verify(recipe, original, [candidate], pictures())
    assert failed(result) == set(), result.reason
    assert result.verdict == "pass"
    assert {check.level for check in result.checks if check.hop == "ir"} >= {"heads", "detections"}


def test_a_ready_ir_of_other_weights_fails(ready_files: dict[str, Path], tmp_path: Path) -> None:
    shutil.copytree(ready_files["normalised"], tmp_path / "other")
    weights = tmp_path / "other" / "FP16" / "ready.bin"
    numbers = np.frombuffer(weights.read_bytes(), np.float16).copy()
    numbers[:40] *= np.float16(1.5)
    weights.write_bytes(numbers.tobytes())
    result = without_recipe(
        tmp_path / "other" / "FP16" / "ready.xml", ready_files["normalised"] / "FP32" / "ready.xml"
    )
    assert ("ir", "heads") in failed(result)


@pytest.mark.parametrize("name", ["tiny.prototxt", "tiny.caffemodel"])
def test_a_caffe_network_is_given_by_either_of_its_files(
    caffe_files: Path, caffe: Any, recipe_file: Any, tmp_path: Path, name: str
) -> None:
    recipe = load_recipe(recipe_file(caffe))
    original = original_of(recipe, caffe_files / name)
    assert (original.takes_pixels, original.keeps_outputs) == (False, True)
    alone = tmp_path / "alone" / name
    alone.parent.mkdir()
    shutil.copyfile(caffe_files / name, alone)
    with pytest.raises(ConversionError, match="does not exist") as caught:
        original_of(recipe, alone)
    assert "pair" in caught.value.hint


# --- what is refused


def refusal(call: Callable[[], Any]) -> SsdconvertError:
    with pytest.raises(SsdconvertError) as caught:
        call()
    assert caught.value.hint
    return caught.value


@pytest.mark.parametrize(
    ("name", "content", "code", "told"),
    [
        ("gone.onnx", None, 2, "does not exist"),
        ("gone.xml", None, 2, "does not exist"),
        ("m.tflite", b"TFL3", 2, "neither .onnx nor .xml"),
        ("m.bin", b"\0" * 8, 2, "neither .onnx nor .xml"),
        ("m.onnx", b"", 4, "is no ONNX file"),
        ("m.onnx", b"no model at all", 4, "is no ONNX file"),
        ("m.xml", b"<net/>", 4, "m.bin does not exist"),
        ("m.xml", b"", 4, "m.bin does not exist"),
    ],
)
def test_files_that_are_none(
    tensors_file: Any, tmp_path: Path, name: str, content: bytes | None, code: int, told: str
) -> None:
    path, right = tmp_path / name, tensors_file("right.onnx", {"scores": 4})
    if content is not None:
        path.write_bytes(content)
    for pair in ((path, right), (right, path)):
        error = refusal(lambda pair=pair: recipe_from(*pair))  # type: ignore[misc]
        assert error.exit_code == code
        assert told in error.message
        assert name.replace("m.xml", "m.bin") in error.message


@pytest.mark.parametrize("content", [b"", b"<html></html>", b"<net><layers>"])
def test_an_xml_that_is_no_ir(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "m.xml").write_bytes(content)
    (tmp_path / "m.bin").write_bytes(b"")
    error = refusal(lambda: read_given(tmp_path / "m.xml"))
    assert error.exit_code == 4
    assert "m.xml" in error.message


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"shape": (1, 3, 8, 16)}, "'image' f32 [1, 3, 8, 16]"),
        ({"shape": ("n", 3, 8, 8)}, "'image' f32 [?, 3, 8, 8]"),
        ({"shape": (1, 3, "h", "w")}, "'image' f32 [1, 3, ?, ?]"),
        ({"inputs": ("image", "image_info")}, "'image' f32 [1, 3, 8, 8], 'image_info' f32 [1, 3, 8, 8]"),
        ({"dtype": np.float16}, "'image' f16 [1, 3, 8, 8]"),
    ],
)
def test_inputs_that_are_not_alike(tensors_file: Any, changes: dict[str, Any], told: str) -> None:
    right, other = tensors_file("right.onnx", {"s": 4}), tensors_file("other.onnx", {"s": 4}, **changes)
    for pair in ((other, right), (right, other), (other, other)):
        if pair == (other, other) and changes.get("shape") == (1, 3, 8, 16):
            continue
        error = refusal(lambda pair=pair: recipe_from(*pair))  # type: ignore[misc]
        assert error.exit_code == 2
        assert f"other.onnx takes {told}" in error.message
        assert "--recipe" in error.hint


def test_a_recipe_of_another_kind_of_file(own_nms: Any, recipe_file: Any, tmp_path: Path) -> None:
    recipe = load_recipe(recipe_file(own_nms))
    (tmp_path / "m.pth").write_bytes(b"zeros")
    error = refusal(lambda: original_of(recipe, tmp_path / "m.pth"))
    assert (error.exit_code, "own-nms is of kind onnx" in error.message) == (2, True)
    assert refusal(lambda: original_of(recipe, tmp_path / "gone.pth")).exit_code == 2


def test_a_file_without_heads_and_detections(
    own_nms: Any, own_nms_file: Path, recipe_file: Any, tensors_file: Any
) -> None:
    recipe = load_recipe(recipe_file(own_nms))
    original = original_of(recipe, own_nms_file)
    other = tensors_file("other.onnx", {"s": 4}, shape=(1, 3, 16, 16))
    error = refusal(lambda: candidate_of(recipe, other, Machine(), original))
    assert error.exit_code == 2
    assert "other.onnx gives 's' f32 [1, 4, 16, 16]: neither detections nor the heads" in error.message
    assert refusal(lambda: original_of(recipe, as_ir(other))).exit_code == 4


def test_a_suppression_that_cannot_be_followed(own_nms_file: Path, tmp_path: Path) -> None:
    model = onnx.load(own_nms_file)
    nodes = model.graph.node
    nodes.append(next(node for node in nodes if node.op_type == "NonMaxSuppression"))
    nodes[-1].output[0] = nodes[-1].name = "again"
    onnx.save(model, tmp_path / "twice.onnx")
    error = refusal(lambda: recipe_from(tmp_path / "twice.onnx", tmp_path / "twice.onnx"))
    assert (error.exit_code, error.stage) == (4, "load")
    assert "it holds NonMaxSuppression and NonMaxSuppression" in error.message
    assert "--recipe" in error.hint


def test_precision_is_that_of_the_weights(tensors_file: Any, ready_files: dict[str, Path]) -> None:
    assert read_given(tensors_file("a.onnx", {"s": 4})).precision == "FP32"
    assert read_given(tensors_file("b.onnx", {"s": 4}, dtype=np.float16)).precision == "FP16"
    for folder, precision in (("FP32", "FP32"), ("FP16", "FP16"), ("FP16-INT8", "INT8")):
        assert read_given(ready_files["pixels"] / folder / "ready.xml").precision == precision
