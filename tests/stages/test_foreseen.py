"""What is foreseen of a device that computes in f16 and is not there: told, and never taken for a result."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import pytest
from openvino.runtime import opset13 as operations

from ssdconvert.candidate import Candidate, simulation_of
from ssdconvert.errors import ConversionError, MissingDevice
from ssdconvert.gate_limits import loose_limits, precision_of_arithmetic
from ssdconvert.outputs import STATIC
from ssdconvert.report.html import to_html
from ssdconvert.report.junit import to_junit
from ssdconvert.report.markdown import to_markdown
from ssdconvert.report.result import Check, Verification, describe, verification_from_json
from ssdconvert.runners.openvino_runner import OpenvinoRunner
from ssdconvert.samples import picture_files
from ssdconvert.stages.verify import verify


def absent() -> Any:
    raise MissingDevice("OpenVINO finds no device GPU", hint="install its driver")


def on_both(tiny: Any, path: Path, precision: str = "FP32") -> list[Candidate]:
    """An IR on the CPU, and on a GPU that is not there."""
    names, tensors = tiny.original.heads.names, tiny.original.tensors
    simulated = simulation_of(path, precision, "GPU", names, tiny.original.prepare)
    here = Candidate(
        "ir", precision, "CPU", False, lambda: OpenvinoRunner(path, "CPU", names), tensors, STATIC
    )
    return [here, replace(here, device="GPU", open=absent, simulated=simulated)]


def judge(tiny: Any, candidates: list[Candidate], *more: Any) -> Verification:
    return verify(tiny.recipe, tiny.original, candidates, [*tiny.pictures, *more])


def foreseen(result: Verification) -> list[Check]:
    return [check for check in result.checks if check.hop == "simulated"]


@pytest.fixture
def spoilt(tiny: Any, tmp_path: Path) -> Callable[..., Path]:
    """Put two operations behind a convolution of the tiny IR that cancel each other in f32."""

    def spoil(operation: Any, inverse: Any, value: float) -> Path:
        model = openvino.Core().read_model(tiny.irs["FP32"])
        node = [n for n in model.get_ordered_ops() if n.get_type_name() == "Relu"][2]
        readers = node.output(0).get_target_inputs()
        there = operation(node.output(0), np.float32(value), name="there")
        for reader in readers:
            reader.replace_source_output(inverse(there, np.float32(value), name="back").output(0))
        openvino.save_model(model, tmp_path / "spoilt.xml", compress_to_fp16=False)
        return tmp_path / "spoilt.xml"

    return spoil


@pytest.mark.parametrize("precision", ["FP32", "FP16"])
def test_an_ordinary_model_is_foreseen_to_be_right_and_skipped_all_the_same(
    tiny: Any, precision: str
) -> None:
    result = judge(tiny, on_both(tiny, tiny.irs[precision], precision))
    assert result.verdict == "pass", result.reason
    (skipped,) = [check for check in result.checks if check.hop == "ir" and check.device == "GPU"]
    assert (skipped.status, skipped.reason) == ("skipped", "OpenVINO finds no device GPU; install its driver")
    checks = foreseen(result)
    assert {check.status for check in checks} == {"pass"}
    assert {check.level for check in checks} == {"heads", "detections"}
    assert {check.input for check in checks} == {"smooth.png", "noise.png"}
    assert {(c.device, c.executed_on, c.execution_precision) for c in checks} == {
        ("GPU", "CPU", "f16, simulated")
    }
    heads = [check for check in checks if check.metric == "max error / scale"]
    assert {check.limit for check in heads} == {0.03}
    assert all(1e-5 < check.value < 0.01 for check in heads)


def test_what_is_foreseen_is_no_result(tiny: Any, tiny_recipe: Any) -> None:
    result = judge(tiny, on_both(tiny, tiny.irs["FP32"])[1:])
    assert {check.status for check in foreseen(result)} == {"pass"}
    assert result.verdict == "inconclusive"
    assert result.reason.startswith("no IR was run: OpenVINO finds no device GPU")
    # of which it says nothing: it is judged by those of FP16
    limited = tiny_recipe(limits={"FP32": {"heads": 0.2}})
    assert list(loose_limits(limited, foreseen(result))) == []


def test_an_overflow_is_foreseen_by_the_name_of_its_operation(tiny: Any, spoilt: Callable[..., Path]) -> None:
    path = spoilt(operations.multiply, operations.divide, 6e4)
    result = judge(tiny, on_both(tiny, path))
    assert {c.status for c in result.checks if (c.hop, c.device) == ("ir", "CPU")} == {"pass"}
    assert result.verdict == "inconclusive"
    assert "foreseen for GPU by a simulation in f16, not seen on one" in result.reason
    assert "f16 ends at 65504, and there (Multiply) gives" in result.reason
    statuses = {check.status for check in foreseen(result)}
    assert "fail" not in statuses
    assert "inconclusive" in statuses


def test_lost_digits_are_foreseen_too(tiny: Any, spoilt: Callable[..., Path]) -> None:
    path = spoilt(operations.add, operations.subtract, 3000)
    checks = foreseen(judge(tiny, on_both(tiny, path)))
    (wrong, *_) = [check for check in checks if check.status == "inconclusive"]
    assert (wrong.metric, wrong.limit) == ("max error / scale", 0.03)
    assert wrong.value > 0.03
    assert "f16 holds every number on the way" in wrong.reason


def test_on_generated_pictures_only_overflows_are_foreseen(tiny: Any, spoilt: Callable[..., Path]) -> None:
    checks = foreseen(judge(tiny, on_both(tiny, tiny.irs["FP32"]), *picture_files([])))
    generated = [check for check in checks if check.input not in ("smooth.png", "noise.png")]
    assert len(generated) > 3
    assert {check.metric for check in generated} == {"numbers that are none"}


def test_a_simulation_that_cannot_be_made_is_skipped(tiny: Any, tmp_path: Path) -> None:
    here, there = on_both(tiny, tiny.irs["FP32"])
    for reason, simulated in (
        (
            "8 bits is not simulated",
            simulation_of(tiny.irs["FP32"], "INT8", "AUTO:GPU,CPU", ["x"], lambda m: None),
        ),
        ("no heads are known", simulation_of(tiny.irs["FP32"], "FP32", "GPU.1", [], lambda m: None)),
        ("no tensor x", simulation_of(tiny.irs["FP32"], "FP32", "NPU", ["x"], lambda m: None)),
        ("does not exist", simulation_of(tmp_path / "no.xml", "FP32", "NPU", ["x"], lambda m: None)),
    ):
        result = judge(tiny, [here, replace(there, simulated=simulated)])
        (check,) = foreseen(result)
        assert check.status == "skipped"
        assert reason in check.reason
        assert result.verdict == "pass"


def test_a_device_that_computes_in_f32_is_not_simulated(tiny: Any) -> None:
    assert simulation_of(tiny.irs["FP32"], "FP32", "CPU", ["x"], lambda m: None) is None
    assert simulation_of(tiny.irs["FP32"], "FP32", "AUTO", ["x"], lambda m: None) is None


def test_reports_tell_what_is_foreseen_apart_from_what_was_seen(
    tiny: Any, spoilt: Callable[..., Path]
) -> None:
    result = judge(tiny, on_both(tiny, spoilt(operations.multiply, operations.divide, 1e5)))
    result = verification_from_json(json.loads(json.dumps(result.to_json())))
    name = describe(foreseen(result)[0].candidate)
    assert name.startswith("FP32 IR simulated in f16 for GPU (openvino ")
    html = to_html(replace(result, settings={"CPU": {"NUM_STREAMS": "2"}}, extensions=("my.so",)), [], {})
    for text in (to_markdown(result), to_junit(result), html):
        assert name in text
        assert "foreseen for GPU by a simulation in f16, not seen on one" in text
    assert html.count('<td class="small">NUM_STREAMS=2, my.so</td>') == 1


class Computing:
    """An IR in an engine that says in which type it computes."""

    def __init__(self, tiny: Any, kind: str) -> None:
        self.runner = OpenvinoRunner(tiny.irs["FP32"], "CPU", tiny.original.heads.names)
        self.runtime, self.executed_on, self.execution_precision = self.runner.runtime, "CPU", kind

    def run(self, feeds: Any) -> Any:
        outputs = self.runner.run(feeds)
        return outputs | {name: roughened(outputs[name]) for name in ("class_logits", "box_offsets")}


def roughened(array: Any) -> Any:
    noise = np.random.default_rng(1).normal(0, 2e-3 * np.abs(array).max(), array.shape)
    return array + noise.astype(np.float32)


def test_an_fp32_file_that_computes_in_f16_is_judged_by_limits_of_fp16_and_that_is_told(tiny: Any) -> None:
    (here, _) = on_both(tiny, tiny.irs["FP32"])
    for kind, limit, warned in (("f32", 1e-4, 0), ("f16", 0.03, 1), ("bf16", 0.03, 1)):
        candidate = replace(here, open=lambda kind=kind: Computing(tiny, kind), form=None)
        result = judge(tiny, [candidate])
        heads = [
            c for c in result.checks if c.hop == "ir" and c.metric == "max error / scale" and c.histogram
        ]
        assert {check.limit for check in heads} == {limit}
        assert {check.status for check in heads} == {"pass" if warned else "fail"}
        assert len(result.warnings) == warned
        if warned:
            assert result.warnings[0].endswith(f"computes in {kind}: judged by the limits of FP16")
            # and it has to be nearer than any mistake, as rounded weights have
            assert any(check.output == "nearer than any mistake" for check in result.checks)


@pytest.mark.parametrize(
    ("told", "precision"),
    [
        ("f32", "FP32"),
        ("f16", "FP16"),
        ("bf16", "FP16"),
        ("f16, f32", "FP16"),
        ("not told", "FP32"),
        ("", "FP32"),
    ],
)
def test_the_precision_of_arithmetic(told: str, precision: str) -> None:
    assert precision_of_arithmetic(told) == precision


def test_a_simulation_needs_an_ir(tiny: Any) -> None:
    opened = simulation_of(tiny.simplified, "FP32", "GPU", ["x"], lambda m: None)
    assert opened is not None
    with pytest.raises(ConversionError):
        opened()
