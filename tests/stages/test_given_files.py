"""Two files that somebody gives, judged by the gate: with a recipe, and without."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import openvino
import pytest

from ssdconvert.candidate import Candidate
from ssdconvert.devices import Machine
from ssdconvert.errors import ConversionError, RecipeError
from ssdconvert.given.candidate import candidate_of
from ssdconvert.given.derived_recipe import recipe_from
from ssdconvert.given.original import original_of
from ssdconvert.originals import Original
from ssdconvert.references import References
from ssdconvert.report.result import Verification
from ssdconvert.samples import Picture
from ssdconvert.stages.convert import convert
from ssdconvert.stages.verify import verify
from ssdconvert.traced_hops import traced


def judge(recipe: Any, original: Original, candidate: Candidate, pictures: list[Picture]) -> Verification:
    return verify(recipe, original, [candidate], pictures, (), True)


@pytest.fixture
def files(tiny: Any) -> dict[str, Path]:
    return {
        "checkpoint": tiny.checkpoint,
        "exported": tiny.exported,
        "simplified": tiny.simplified,
        **tiny.irs,
    }


@pytest.fixture
def by_recipe(tiny: Any) -> Callable[[Path, Path], Verification]:
    """Judge a model by an original with the tiny recipe."""

    def call(model: Path, original: Path) -> Verification:
        reference = original_of(tiny.recipe, original)
        return judge(
            tiny.recipe, reference, candidate_of(tiny.recipe, model, Machine(), reference), tiny.pictures
        )

    return call


@pytest.fixture
def without_recipe(tiny: Any) -> Callable[[Path, Path], Verification]:
    def call(model: Path, original: Path) -> Verification:
        recipe = recipe_from(model, original)
        reference = original_of(recipe, original)
        return judge(recipe, reference, candidate_of(recipe, model, Machine(), reference), tiny.pictures)

    return call


def failed(result: Verification) -> set[tuple[str, str]]:
    return {(check.hop, check.level) for check in result.checks if check.status == "fail"}


def heads_compared(result: Verification) -> set[str]:
    return {check.output for check in result.checks if check.level == "heads"} - {"nearer than any mistake"}


def with_scaled_convolution(path: Path, target: Path) -> Path:
    model = onnx.load(path)
    weight = next(tensor for tensor in model.graph.initializer if len(tensor.dims) == 4)
    array = onnx.numpy_helper.to_array(weight) * np.float32(1.02)
    weight.CopyFrom(onnx.numpy_helper.from_array(array, weight.name))
    onnx.save(model, target)
    return target


def with_other_input_name(path: Path, target: Path) -> Path:
    model = onnx.load(path)
    (image,) = model.graph.input
    for node in model.graph.node:
        node.input[:] = ["x:0" if name == image.name else name for name in node.input]
    image.name = "x:0"
    onnx.save(model, target)
    return target


def changed_ir(path: Path, target: Path, change: Callable[[openvino.Model], None]) -> Path:
    model = openvino.Core().read_model(path)
    change(model)
    openvino.save_model(model, target, compress_to_fp16=False)
    return target


# --- with a recipe


@pytest.mark.parametrize(
    ("original", "model", "hop", "precision"),
    [
        ("checkpoint", "exported", "model", "FP32"),
        ("checkpoint", "simplified", "model", "FP32"),
        ("checkpoint", "FP32", "ir", "FP32"),
        ("checkpoint", "FP16", "ir", "FP16"),
        ("exported", "simplified", "model", "FP32"),
        ("exported", "FP32", "ir", "FP32"),
        ("exported", "FP16", "ir", "FP16"),
        ("FP32", "FP16", "ir", "FP16"),
    ],
)
def test_files_of_one_model_agree(
    tiny: Any, files: dict[str, Path], by_recipe: Any, original: str, model: str, hop: str, precision: str
) -> None:
    result = by_recipe(files[model], files[original])
    assert failed(result) == set(), result.reason
    assert result.verdict == "pass"
    assert heads_compared(result) == {"class_logits", "box_offsets"}
    assert {check.precision for check in result.checks if check.hop == hop} == {precision}
    assert any(check.hop == hop and check.level == "detections" for check in result.checks)
    judged_itself = any(check.hop == "original" for check in result.checks)
    assert judged_itself == (original != "checkpoint")  # which ends in heads
    (trace,) = result.traces
    assert (len(trace.trace.points) > 50) == ((original, hop) != ("checkpoint", "ir"))


def test_what_an_ir_is_fed(tiny: Any, files: dict[str, Path]) -> None:
    """An IR takes pixels on either side, a graph what the original takes."""
    graph, ir = (original_of(tiny.recipe, files[name]) for name in ("exported", "FP16"))
    assert (graph.takes_pixels, ir.takes_pixels) == (False, True)
    assert (graph.precision, ir.precision) == ("FP32", "FP16")
    normalised = [
        candidate_of(tiny.recipe, files[n], Machine(), graph).normalised for n in ("simplified", "FP32")
    ]
    assert normalised == [True, False]


def test_a_reference_that_takes_pixels_is_traced_on_pixels(
    tiny: Any, files: dict[str, Path], tmp_path: Path
) -> None:
    original = original_of(tiny.recipe, files["FP32"])
    references = References(tmp_path)
    for picture in tiny.pictures:
        references.add(picture, None)
    for model in ("FP16", "simplified"):
        candidate = candidate_of(tiny.recipe, files[model], Machine(), original)
        (right,) = traced(tiny.recipe, [(candidate, [])], references, True, original)
        (wrong,) = traced(
            tiny.recipe, [(candidate, [])], references, True, replace(original, takes_pixels=False)
        )
        assert len(right.trace.points) > 50
        assert right.divergence is None
        assert wrong.divergence is not None


@pytest.mark.parametrize("original", ["checkpoint", "exported"])
def test_a_graph_of_other_weights_fails(
    files: dict[str, Path], by_recipe: Any, tmp_path: Path, original: str
) -> None:
    wrong = with_scaled_convolution(files["simplified"], tmp_path / "wrong.onnx")
    result = by_recipe(wrong, files[original])
    assert ("model", "heads") in failed(result)
    assert {hop for hop, _ in failed(result)} == {"model"}
    assert result.traces[0].divergence is not None


@pytest.mark.parametrize("original", ["checkpoint", "exported", "FP32"])
def test_an_ir_with_wrong_preprocessing_fails(
    files: dict[str, Path], by_recipe: Any, tiny_recipe: Any, tmp_path: Path, original: str
) -> None:
    wrong = tmp_path / "wrong.xml"
    convert(tiny_recipe(input__scale=[60.6, 50.5, 40.4]), files["simplified"], {"FP32": wrong}, {})
    assert ("ir", "heads") in failed(by_recipe(wrong, files[original]))


@pytest.mark.parametrize("original", ["checkpoint", "exported"])
def test_another_name_of_the_input(
    files: dict[str, Path], by_recipe: Any, tmp_path: Path, original: str
) -> None:
    renamed = with_other_input_name(files["simplified"], tmp_path / "renamed.onnx")
    result = by_recipe(renamed, files[original])
    assert failed(result) == set(), result.reason
    assert len(result.traces[0].trace.points) > 50
    assert failed(by_recipe(files["FP32"], renamed)) == set()


def test_the_same_bytes_are_the_reference(tiny: Any, files: dict[str, Path], tmp_path: Path) -> None:
    original = original_of(tiny.recipe, files["FP32"])
    for suffix in (".xml", ".bin"):
        shutil.copyfile(files["FP32"].with_suffix(suffix), tmp_path / f"copy{suffix}")
    copied = tmp_path / "copy.xml"
    assert candidate_of(tiny.recipe, copied, Machine(), original).is_reference
    assert candidate_of(tiny.recipe, copied, Machine("AUTO"), original).is_reference  # told apart by what ran
    assert not candidate_of(tiny.recipe, files["FP16"], Machine(), original).is_reference
    weights = bytearray(copied.with_suffix(".bin").read_bytes())
    weights[100] ^= 1
    copied.with_suffix(".bin").write_bytes(weights)
    assert not candidate_of(tiny.recipe, copied, Machine(), original).is_reference
    graph = original_of(tiny.recipe, files["exported"])
    assert candidate_of(tiny.recipe, files["exported"], Machine(), graph).is_reference
    assert not candidate_of(tiny.recipe, files["FP32"], Machine(), graph).is_reference


def test_renamed_outputs_break_the_contract(files: dict[str, Path], by_recipe: Any, tmp_path: Path) -> None:
    def rename(model: openvino.Model) -> None:
        model.output("bboxes").get_tensor().set_names({"boxes"})

    result = by_recipe(changed_ir(files["FP32"], tmp_path / "renamed.xml", rename), files["checkpoint"])
    assert failed(result) == {("ir", "contract")}
    assert "the outputs are boxes, labels, scores, expected bboxes, labels, scores; or" in result.reason


def test_a_file_without_known_heads_has_detections(tiny: Any, files: dict[str, Path], tmp_path: Path) -> None:
    def forget(model: openvino.Model) -> None:
        for name in ("class_logits", "box_offsets"):
            model.add_outputs(name)[0].get_tensor().set_names({f"other {name}"})
        for result in model.get_results()[3:]:
            model.remove_result(result)

    original = original_of(tiny.recipe, files["checkpoint"])
    other = changed_ir(files["FP32"], tmp_path / "other.xml", forget)
    candidate = candidate_of(tiny.recipe, other, Machine(), original)
    assert candidate.tensors == {}
    assert candidate.form is not None
    outputs = candidate.open().run({"picture": tiny.pictures[0].for_converted(tiny.recipe.input)})
    assert set(outputs) == {"bboxes", "labels", "scores"}
    with pytest.raises(ConversionError, match="not understood"):
        original_of(tiny.recipe, other)


def test_a_file_of_another_size_is_refused(tiny: Any, tiny_recipe: Any, files: dict[str, Path]) -> None:
    recipe = tiny_recipe(input__shape=[1, 3, 64, 48])
    for name in ("exported", "FP32"):
        with pytest.raises(
            ConversionError, match=r"f32 \[1, 3, 48, 64\], expected one input f32 \[1, 3, 64, 48\]"
        ):
            candidate_of(recipe, files[name], Machine(), tiny.original)
        with pytest.raises(ConversionError, match=r"expected one input f32 \[1, 3, 64, 48\] as in tiny"):
            original_of(recipe, files[name])


def test_an_absent_device_is_told_when_the_file_is_opened(tiny: Any, files: dict[str, Path]) -> None:
    candidate = candidate_of(tiny.recipe, files["FP32"], Machine("MYRIAD"), tiny.original)
    result = verify(tiny.recipe, tiny.original, [candidate], tiny.pictures)
    assert [check.device for check in result.checks if check.status == "skipped"] == ["MYRIAD"]


# --- without one


@pytest.mark.parametrize(
    ("original", "model"), [("exported", "simplified"), ("simplified", "exported"), ("FP32", "FP16")]
)
def test_without_a_recipe_both_are_fed_the_same(
    files: dict[str, Path], without_recipe: Any, original: str, model: str
) -> None:
    result = without_recipe(files[model], files[original])
    assert failed(result) == set(), result.reason
    assert result.reference_detections > 20
    assert heads_compared(result) == {"class_logits", "decoded_boxes"}
    assert any(check.level == "detections" and check.hop == "original" for check in result.checks)
    assert len(result.traces[0].trace.points) > 50


def test_without_a_recipe_wrong_weights_are_seen(
    files: dict[str, Path], without_recipe: Any, tmp_path: Path
) -> None:
    wrong = with_scaled_convolution(files["simplified"], tmp_path / "wrong.onnx")
    assert ("model", "heads") in failed(without_recipe(wrong, files["exported"]))


def test_what_is_read_from_our_own_files(tiny: Any, files: dict[str, Path]) -> None:
    for model, original in (("simplified", "exported"), ("FP16", "FP32")):
        recipe = recipe_from(files[model], files[original])
        rule, right = recipe.detections, tiny.recipe.detections
        assert recipe.input.shape == (1, 3, 48, 64)
        assert recipe.input.name == "picture"
        assert recipe.class_names == ("class 1", "class 2")
        assert (rule.per_class, rule.keep, rule.clip) == (right.per_class, right.keep, right.clip)
        assert rule.score_threshold == pytest.approx(right.score_threshold, rel=1e-6)
        assert rule.iou_threshold == pytest.approx(right.iou_threshold, rel=1e-6)
    assert recipe.name == "tiny"
    assert recipe.input.color.model == recipe.input.color.converted == "bgr"


def test_another_name_of_the_input_without_a_recipe(
    files: dict[str, Path], without_recipe: Any, tmp_path: Path
) -> None:
    renamed = with_other_input_name(files["simplified"], tmp_path / "Re named.onnx")
    assert failed(without_recipe(renamed, files["exported"])) == set()
    assert failed(without_recipe(files["exported"], renamed)) == set()
    recipe = recipe_from(renamed, files["exported"])
    assert (recipe.name, recipe.input.name) == ("re-named", "picture")


def test_preprocessing_inside_is_not_held_against_a_graph_without(files: dict[str, Path]) -> None:
    for model, original in (("FP32", "exported"), ("exported", "FP32")):
        with pytest.raises(
            RecipeError, match=r"mean 120 110 100, scale 60 50 40, channels reversed"
        ) as caught:
            recipe_from(files[model], files[original])
        assert "--recipe tiny" in caught.value.hint
        assert caught.value.exit_code == 2


def test_an_ir_without_preprocessing_is_held_against_its_graph(
    tiny: Any, tiny_recipe: Any, files: dict[str, Path], without_recipe: Any, tmp_path: Path
) -> None:
    plain = tiny_recipe(
        input__mean=[0, 0, 0], input__scale=[1, 1, 1], input__color={"model": "rgb", "converted": "rgb"}
    )
    convert(plain, files["simplified"], {"FP16": tmp_path / "plain.xml"}, {})
    result = without_recipe(tmp_path / "plain.xml", files["simplified"])
    assert failed(result) == set(), result.reason
    assert result.verdict == "pass"
    wrong = with_scaled_convolution(files["simplified"], tmp_path / "wrong.onnx")
    convert(plain, wrong, {"FP32": tmp_path / "wrong.xml"}, {})
    assert ("ir", "heads") in failed(without_recipe(tmp_path / "wrong.xml", files["simplified"]))


def test_a_stand_in_stays_one(files: dict[str, Path], tmp_path: Path) -> None:
    shutil.copyfile(files["simplified"], tmp_path / "tiny-stand-in.onnx")
    recipe = recipe_from(tmp_path / "tiny-stand-in.onnx", files["exported"])
    assert recipe.is_stand_in
    assert recipe.name == "tiny-stand-in"


def test_heads_of_other_shapes_are_a_failure_not_a_crash(
    tiny: Any, files: dict[str, Path], tiny_recipe: Any
) -> None:
    """An original of other classes: its heads are wider."""
    original = original_of(tiny.recipe, files["exported"])
    candidate = candidate_of(tiny.recipe, files["FP32"], Machine(), original)
    swapped = dict(zip(candidate.tensors, reversed(list(candidate.tensors.values())), strict=True))
    result = verify(tiny.recipe, original, [replace(candidate, tensors=swapped)], tiny.pictures)
    assert ("ir", "heads") in failed(result)
