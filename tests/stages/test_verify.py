"""The gate finds what is wrong and names the hop; it does not flinch at what is right."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from ssdconvert.build_plan import plan
from ssdconvert.candidate import Candidate
from ssdconvert.candidates import candidates_of
from ssdconvert.devices import Machine
from ssdconvert.errors import MissingDevice
from ssdconvert.gate_limits import DEFAULT_LIMITS, histogram_of, limits_of
from ssdconvert.outputs import STATIC, output_spec
from ssdconvert.report.result import Verification
from ssdconvert.runners import Arrays
from ssdconvert.runners.onnx_runner import OnnxRunner
from ssdconvert.runners.openvino_runner import OpenvinoRunner
from ssdconvert.stages.convert import convert
from ssdconvert.stages.verify import verify


def made(
    tiny: Any,
    irs: dict[str, Path],
    devices: tuple[str, ...] = ("CPU",),
    exported: Path | None = None,
    simplified: Path | None = None,
) -> list[Candidate]:
    """The candidates of a build whose files may lie anywhere."""
    planned = plan(tiny.recipe, tuple(irs))
    listed = candidates_of(planned, tiny.original, Path("/"), [Machine(device) for device in devices])
    graphs = {"onnx": exported or tiny.exported, "simplified": simplified or tiny.simplified}
    names = tiny.original.heads.names
    opened = {
        "ir": lambda c: OpenvinoRunner(irs[c.precision], c.device, names),
        "onnx": lambda c: OnnxRunner(graphs[c.hop], names),
    }
    return [
        replace(c, open=lambda c=c: opened["ir" if c.hop == "ir" else "onnx"](c), inner=None, promises=None)
        for c in listed
        if c.hop != "ir" or c.precision in irs
    ]


def judge(tiny: Any, irs: dict[str, Path] | None = None, devices: tuple[str, ...] = ("CPU",)) -> Verification:
    candidates = made(tiny, irs or tiny.irs, devices)
    return verify(tiny.recipe, tiny.original, candidates, tiny.pictures)


def failed_hops(result: Verification) -> set[str]:
    return {check.hop for check in result.checks if check.status == "fail"}


def test_a_right_model_passes_every_hop(tiny: Any) -> None:
    result = judge(tiny)
    assert result.verdict == "pass", result.reason
    assert result.reference_detections > 20
    assert {check.hop for check in result.checks} == {"onnx", "simplified", "ir", "control"}
    assert {check.precision for check in result.checks if check.hop == "ir"} == {"FP32", "FP16"}
    assert {check.level for check in result.checks} == {"heads", "detections", "contract", "control"}
    fp32 = [check for check in result.checks if check.precision == "FP32" and check.level == "heads"]
    assert max(check.value for check in fp32) < 1e-5


SABOTAGES: dict[str, dict[str, Any]] = {
    "channels swapped": {"input__color": {"model": "rgb", "converted": "rgb"}},
    "mean dropped": {"input__mean": [0, 0, 0]},
    "scale dropped": {"input__scale": [1, 1, 1]},
    "mean in the wrong order": {"input__mean": [100, 110, 120]},
    "scale off by one percent": {"input__scale": [60.6, 50.5, 40.4]},
}


@pytest.mark.parametrize("name", SABOTAGES)
def test_wrong_preprocessing_is_named_as_the_irs_fault(
    tiny: Any, tiny_recipe: Any, tmp_path: Path, name: str
) -> None:
    path = tmp_path / "FP32" / "tiny.xml"
    convert(tiny_recipe(**SABOTAGES[name]), tiny.simplified, {"FP32": path}, {})
    result = judge(tiny, {"FP32": path})
    assert result.verdict == "fail"
    assert failed_hops(result) == {"ir"}
    assert "FP32 IR" in result.reason
    assert "good before it: exported ONNX, simplified ONNX" in result.reason


def test_a_wrong_weight_before_conversion_is_named_as_the_graphs_fault(tiny: Any, tmp_path: Path) -> None:
    model = onnx.load(tiny.exported)
    weight = next(t for t in model.graph.initializer if len(t.dims) == 4)
    array = onnx.numpy_helper.to_array(weight) * np.float32(1.02)
    weight.CopyFrom(onnx.numpy_helper.from_array(array, weight.name))
    onnx.save(model, tmp_path / "wrong.onnx")
    candidates = made(tiny, tiny.irs, exported=tmp_path / "wrong.onnx")
    result = verify(tiny.recipe, tiny.original, candidates, tiny.pictures)
    assert failed_hops(result) == {"onnx"}
    assert result.reason.startswith("exported ONNX")


class Altered:
    """A runner whose outputs are changed on their way out."""

    executed_on, execution_precision = "CPU", "f32"

    def __init__(self, tiny: Any, change: Callable[[Arrays], Arrays]) -> None:
        self.runner = OpenvinoRunner(tiny.irs["FP32"], "CPU", tiny.original.heads.names)
        self.runtime, self.change = self.runner.runtime, change

    def run(self, feeds: Any) -> Arrays:
        return self.change(self.runner.run(feeds))


def altered(tiny: Any, change: Callable[[Arrays], Arrays]) -> Verification:
    candidate = Candidate("ir", "FP32", "CPU", False, lambda: Altered(tiny, change), tiny.original.tensors)
    return verify(tiny.recipe, tiny.original, [candidate], tiny.pictures)


def swap_x_and_y(outputs: Arrays) -> Arrays:
    return outputs | {"bboxes": outputs["bboxes"][..., [1, 0, 3, 2]]}


def shift_labels(outputs: Arrays) -> Arrays:
    labels = outputs["labels"]
    return outputs | {"labels": np.where(labels > 0, labels % 2 + 1, 0)}


def drop_the_best(outputs: Arrays) -> Arrays:
    def without_first(array: Any) -> Any:
        return np.concatenate([array[:, 1:], np.zeros_like(array[:, :1])], axis=1)

    return outputs | {name: without_first(outputs[name]) for name in ("bboxes", "labels", "scores")}


def nan_in_boxes(outputs: Arrays) -> Arrays:
    boxes = outputs["bboxes"].copy()
    boxes[0, 0, 0] = np.nan
    return outputs | {"bboxes": boxes}


def nan_in_heads(outputs: Arrays) -> Arrays:
    logits = outputs["class_logits"].copy()
    logits[0, 7, 1] = np.nan
    return outputs | {"class_logits": logits}


def worst_first(outputs: Arrays) -> Arrays:
    return outputs | {name: outputs[name][:, ::-1] for name in ("bboxes", "labels", "scores")}


def dirty_padding(outputs: Arrays) -> Arrays:
    """All detections but ten taken away, their boxes left where they were."""
    scores = outputs["scores"].copy()
    scores[:, 10:] = 0
    return outputs | {"scores": scores}


@pytest.mark.parametrize(
    ("change", "level"),
    [
        (swap_x_and_y, "detections"),
        (shift_labels, "detections"),
        (drop_the_best, "detections"),
        (nan_in_boxes, "contract"),
        (nan_in_heads, "heads"),
        (worst_first, "contract"),
        (dirty_padding, "contract"),
        (lambda o: o | {"labels": o["labels"].astype(np.int32)}, "contract"),
        (lambda o: o | {"bboxes": o["bboxes"] * 1.01}, "detections"),
        (lambda o: o | {"scores": o["scores"] * 0.999}, "detections"),
        (lambda o: o | {"scores": o["scores"][:, :20]}, "contract"),
        (lambda o: o | {"box_offsets": o["box_offsets"][:, :-1]}, "heads"),
    ],
)
def test_wrong_outputs_fail_at_their_level(tiny: Any, change: Callable[[Arrays], Arrays], level: str) -> None:
    result = altered(tiny, change)
    assert result.verdict == "fail"
    assert {check.level for check in result.checks if check.status == "fail"} == {level}


def test_no_detection_anywhere_is_inconclusive(tiny: Any, tiny_recipe: Any, tmp_path: Path) -> None:
    from ssdconvert.stages.export import export

    recipe = tiny_recipe(detections__score_threshold=0.99999999)
    export(recipe, tiny.original, tmp_path / "m.onnx")
    path = tmp_path / "FP32" / "tiny.xml"
    convert(recipe, tmp_path / "m.onnx", {"FP32": path}, {})
    candidates = made(tiny, {"FP32": path}, exported=tmp_path / "m.onnx", simplified=tmp_path / "m.onnx")
    result = verify(recipe, tiny.original, candidates, tiny.pictures)
    assert result.verdict == "inconclusive"
    assert "detects nothing" in result.reason


def test_an_absent_device_is_skipped_with_the_reason(tiny: Any) -> None:
    result = judge(tiny, devices=("CPU", "MYRIAD"))
    skipped = [check for check in result.checks if check.status == "skipped"]
    assert {check.device for check in skipped} == {"MYRIAD"}
    assert "no device MYRIAD" in skipped[0].reason
    assert result.verdict == "pass"


@pytest.mark.parametrize("device", ["AUTO", "MULTI:CPU", "HETERO:CPU"])
def test_what_really_ran_is_written_down(tiny: Any, device: str) -> None:
    result = judge(tiny, devices=(device,))
    assert result.verdict == "pass", result.reason
    checks = [check for check in result.checks if check.device == device]
    assert {check.executed_on for check in checks} == {"CPU"}
    assert {check.execution_precision for check in checks} <= {"f32", "not told"}


@pytest.mark.parametrize("device", ["AUTO:MYRIAD,CPU", "MULTI:MYRIAD", "HETERO:MYRIAD,CPU", "MYRIAD.1"])
def test_a_list_with_an_absent_device_is_skipped(tiny: Any, device: str) -> None:
    result = judge(tiny, devices=("CPU", device))
    assert {check.status for check in result.checks if check.device == device} == {"skipped"}


def test_boxes_in_pixels_break_the_contract(tiny: Any) -> None:
    result = altered(tiny, lambda outputs: outputs | {"bboxes": outputs["bboxes"] * 64})
    assert result.verdict == "fail"
    assert "are they in other units?" in result.reason


def test_only_absent_devices_prove_nothing(tiny: Any) -> None:
    assert judge(tiny, devices=("HETERO:MYRIAD,CPU",)).verdict == "inconclusive"


def test_a_required_device_must_be_there(tiny: Any) -> None:
    candidates = made(tiny, tiny.irs, ("MYRIAD",))
    with pytest.raises(MissingDevice) as caught:
        verify(tiny.recipe, tiny.original, candidates, tiny.pictures, ("MYRIAD",))
    assert caught.value.exit_code == 5


def test_a_recipe_may_set_its_own_limits(tiny_recipe: Any) -> None:
    recipe = tiny_recipe(limits={"FP16": {"heads": 0.1}})
    assert limits_of(recipe, "FP16") == replace(DEFAULT_LIMITS["FP16"], heads=0.1)
    assert limits_of(recipe, "FP32") == DEFAULT_LIMITS["FP32"]


def test_a_true_output_breaks_no_promise(tiny: Any) -> None:
    runner = OpenvinoRunner(tiny.irs["FP32"])
    outputs = runner.run({"picture": tiny.pictures[0].for_converted(tiny.recipe.input)})
    assert STATIC.broken(outputs, output_spec(tiny.recipe)) == []


@pytest.mark.parametrize("precision", ["FP32", "FP16"])
@pytest.mark.parametrize("port", [3, 4], ids=["IoU", "score"])
def test_a_wrong_threshold_is_seen_at_any_precision(
    tiny: Any, tmp_path: Path, precision: str, port: int
) -> None:
    """What rounded weights may cost hides no wrong suppression: it follows from the IR's own heads."""
    import openvino

    model = openvino.Core().read_model(tiny.irs[precision])
    node = next(n for n in model.get_ordered_ops() if n.get_type_name() == "NonMaxSuppression")
    constant = node.input_value(port).get_node()
    changed = openvino.runtime.opset8.constant(constant.get_data() + np.float32(0.1))
    node.input(port).replace_source_output(changed.output(0))
    openvino.save_model(model, tmp_path / "wrong.xml", compress_to_fp16=False)
    result = judge(tiny, tiny.irs | {precision: tmp_path / "wrong.xml"})
    failed = {(c.precision, c.output) for c in result.checks if c.status == "fail"}
    assert (precision, "own heads") in failed
    assert {found for found, _ in failed} == {precision}


@pytest.mark.parametrize("precision", ["FP32", "FP16"])
def test_wrong_decoding_is_told_from_wrong_heads(tiny: Any, tmp_path: Path, precision: str) -> None:
    """Boxes that are a tenth too large are all there, and none is where its heads put it."""
    import openvino

    model = openvino.Core().read_model(tiny.irs[precision])
    grown = next(node for node in model.get_ordered_ops() if node.get_type_name() == "Exp").output(0)
    consumers = list(grown.get_target_inputs())
    larger = openvino.runtime.opset8.multiply(grown, np.float32(1.1))
    for consumer in consumers:
        consumer.replace_source_output(larger.output(0))
    openvino.save_model(model, tmp_path / "wrong.xml", compress_to_fp16=False)
    result = judge(tiny, tiny.irs | {precision: tmp_path / "wrong.xml"})
    failed = [check for check in result.checks if check.status == "fail"]
    assert {check.precision for check in failed} == {precision}
    assert {check.level for check in failed} == {"detections"}
    assert ("own heads", "min IoU") in {(check.output, check.metric) for check in failed}


def test_where_rounded_boxes_are_is_not_bounded_on_generated_pictures(tiny: Any) -> None:
    generated = [replace(picture, generated=True) for picture in tiny.pictures]
    checks = verify(tiny.recipe, tiny.original, made(tiny, tiny.irs), generated).checks
    own = [check for check in checks if check.output == "own heads" and check.hop == "ir"]
    assert {check.precision for check in own} == {"FP32", "FP16"}
    assert {check.precision for check in own if check.metric == "min IoU"} == {"FP32"}


def test_errors_are_counted_by_size() -> None:
    error = np.array([[0.0, 1e-12, 2e-10, 2e-5], [4e-5, 0.5, 3.0, 2e-5]])
    counts = histogram_of(error)
    assert len(counts) == 20
    assert {place: count for place, count in enumerate(counts) if count} == {0: 3, 10: 2, 11: 1, 19: 2}
    assert histogram_of(np.array([0.1, np.nan])) == ()


def test_heads_have_a_histogram_of_all_their_numbers(tiny: Any) -> None:
    result = judge(tiny)
    heads = [c for c in result.checks if c.level == "heads" and c.output in tiny.original.heads.names]
    places = {
        name: array.size
        for name, array in tiny.original.run(
            tiny.pictures[0].for_original(tiny.recipe.input), tiny.recipe.input.name
        ).items()
    }
    assert heads
    for check in heads:
        assert sum(check.histogram) == places[check.output]
        worst = max(place for place, count in enumerate(check.histogram) if count)
        assert check.value is not None
        assert worst == 0 or 10 ** (-10 + worst / 2) <= check.value < 10 ** (-9.5 + worst / 2)


def test_what_both_sides_detect_is_kept_for_the_report(tiny: Any) -> None:
    result = judge(tiny, {"FP16": tiny.irs["FP16"]})
    assert [shown.input for shown in result.shown] == [picture.name for picture in tiny.pictures]
    assert sum(len(shown.original) for shown in result.shown) == result.reference_detections
    for shown in result.shown:
        assert shown.candidate.startswith("FP16 IR on CPU")
        assert shown.converted
        assert {box.label for box in shown.original} <= {1, 2}


def test_outputs_that_break_their_contract_are_not_shown(tiny: Any) -> None:
    candidate = Candidate(
        "ir", "FP32", "CPU", False, lambda: Altered(tiny, nan_in_boxes), tiny.original.tensors, shown=True
    )
    result = verify(tiny.recipe, tiny.original, [candidate], tiny.pictures)
    assert [shown.converted for shown in result.shown] == [None] * len(tiny.pictures)
