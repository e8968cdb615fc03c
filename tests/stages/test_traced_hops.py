"""A failing hop is traced to its first wrong tensor, at whatever depth; a right one has none."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import openvino
import pytest

from ssdconvert.build_plan import plan
from ssdconvert.candidates import candidates_of
from ssdconvert.cli.render import verification_text
from ssdconvert.devices import Machine
from ssdconvert.report.markdown import to_markdown
from ssdconvert.report.result import HopTrace, Verification, divergence_text, verification_from_json
from ssdconvert.stages.convert import convert
from ssdconvert.stages.verify import verify
from ssdconvert.workspace import EXPORTED

CONVOLUTIONS = [0, 1, 5, 14, 24, -3, -1]  # in order of execution: the first, inner ones, heads
HOPS = [("onnx", "FP32"), ("simplified", "FP32"), ("ir", "FP32"), ("ir", "FP16")]


@dataclass
class Built:
    """A build folder of the tiny model, whose files may be spoilt."""

    tiny: Any
    folder: Path

    @property
    def files(self) -> dict[str, Path]:
        planned = plan(self.tiny.recipe, ("FP32", "FP16"))
        irs = {precision: self.folder / path for precision, path in planned.irs.items()}
        return {"onnx": self.folder / EXPORTED, "simplified": self.folder / planned.onnx, **irs}

    def verify(self, everything: bool = False) -> Verification:
        candidates = candidates_of(
            plan(self.tiny.recipe, ("FP32", "FP16")), self.tiny.original, self.folder, [Machine()]
        )
        return verify(self.tiny.recipe, self.tiny.original, candidates, self.tiny.pictures, (), everything)


@pytest.fixture
def built(tiny: Any, tmp_path: Path) -> Built:
    result = Built(tiny, tmp_path)
    originals = {"onnx": tiny.exported, "simplified": tiny.simplified, **tiny.irs}
    for name, path in result.files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        for suffix in (".xml", ".bin") if path.suffix == ".xml" else (path.suffix,):
            shutil.copyfile(originals[name].with_suffix(suffix), path.with_suffix(suffix))
    return result


def scale_convolution(path: Path, index: int, factor: float = 1.02, target: Path | None = None) -> str:
    """Scale a convolution's weights in an ONNX file; return the name of its output."""
    model = onnx.load(path)
    node = [node for node in model.graph.node if node.op_type == "Conv"][index]
    weight = next(tensor for tensor in model.graph.initializer if tensor.name == node.input[1])
    array = onnx.numpy_helper.to_array(weight) * np.float32(factor)
    weight.CopyFrom(onnx.numpy_helper.from_array(array, weight.name))
    onnx.save(model, target or path)
    return node.output[0]


def in_the_exported(built: Built, index: int) -> str:
    return scale_convolution(built.files["onnx"], index)


def in_the_simplified(built: Built, index: int) -> str:
    return scale_convolution(built.files["simplified"], index)


def in_the_ir(built: Built, index: int) -> str:
    wrong = built.folder / "wrong.onnx"
    name = scale_convolution(built.files["simplified"], index, target=wrong)
    convert(built.tiny.recipe, wrong, {"FP32": built.files["FP32"]}, {})
    return name


@pytest.mark.parametrize("index", CONVOLUTIONS)
@pytest.mark.parametrize(
    ("spoil", "hop"), [(in_the_exported, "onnx"), (in_the_simplified, "simplified"), (in_the_ir, "ir")]
)
def test_a_scaled_convolution_is_named(
    built: Built, spoil: Callable[[Built, int], str], hop: str, index: int
) -> None:
    name = spoil(built, index)
    result = built.verify()
    (trace,) = result.traces
    assert (trace.hop, trace.precision, trace.input) == (hop, "FP32", "smooth.png")
    found = trace.divergence
    assert found is not None
    assert (found.tensor, found.op) == (name, "Conv")
    assert found.max_error == pytest.approx(0.02, rel=0.5)
    assert max(point.max_error for point in trace.trace.points[: found.depth] or [found]) <= (
        1e-5 if found.depth else 1
    )
    assert f"first diverging tensor on smooth.png: {name} (Conv), max error 0.0" in divergence_text(trace)


@pytest.mark.parametrize(
    "wrong",
    [
        {"input__mean": [100, 110, 120]},
        {"input__scale": [1, 1, 1]},
        {"input__color": {"model": "rgb", "converted": "rgb"}},
    ],
)
def test_wrong_preprocessing_shows_at_the_first_tensor(built: Built, tiny_recipe: Any, wrong: Any) -> None:
    convert(tiny_recipe(**wrong), built.files["simplified"], {"FP32": built.files["FP32"]}, {})
    (trace,) = built.verify().traces
    graph = onnx.load(built.files["simplified"]).graph
    assert trace.divergence is not None
    assert (trace.divergence.depth, trace.divergence.tensor) == (0, graph.node[0].output[0])
    assert divergence_text(trace).endswith("no tensor is before it")


def test_a_right_model_is_traced_only_when_asked(built: Built) -> None:
    result = built.verify()
    assert (result.verdict, result.traces) == ("pass", ())
    result = built.verify(everything=True)
    assert [(trace.hop, trace.precision) for trace in result.traces] == HOPS
    shared = [len(trace.trace.points) for trace in result.traces]
    convolutions = [node for node in onnx.load(built.files["onnx"]).graph.node if node.op_type == "Conv"]
    assert min(shared) > len(convolutions) + 30
    for trace in result.traces:
        assert trace.divergence is None, divergence_text(trace)
        assert trace.trace.skipped == 0
        assert {point.tensor for point in trace.trace.points} >= set(built.tiny.original.heads.names)
        assert [point.depth for point in trace.trace.points] == list(range(len(trace.trace.points)))


def test_every_hop_is_traced_when_asked_though_one_fails(built: Built) -> None:
    name = in_the_simplified(built, 5)
    result = built.verify(everything=True)
    assert [(trace.hop, trace.precision) for trace in result.traces] == HOPS
    found = [trace.divergence and trace.divergence.tensor for trace in result.traces]
    # the IRs were made of what was right then, and differ from it where it was spoilt since
    assert found[:3] == [None, name, name]


def test_a_convolution_scaled_in_the_bin_of_an_ir_is_named(built: Built) -> None:
    xml = built.files["FP32"]
    model = openvino.Core().read_model(xml)
    convolution = [op for op in model.get_ordered_ops() if op.get_type_name() == "Convolution"][3]
    weights = convolution.input_value(1).get_node().get_data()
    follower = next(iter(convolution.output(0).get_target_inputs())).get_node()  # of a bias, where it has one
    (name,) = convolution.output(0).get_names() or follower.output(0).get_names()
    content = xml.with_suffix(".bin").read_bytes()
    del model
    assert content.count(weights.tobytes()) == 1
    xml.with_suffix(".bin").write_bytes(
        content.replace(weights.tobytes(), (weights * np.float32(1.02)).tobytes())
    )
    (trace,) = built.verify().traces
    assert trace.divergence is not None
    assert (trace.hop, trace.divergence.tensor, trace.divergence.op) == ("ir", name, "Conv")


def test_a_file_that_cannot_be_looked_into_leaves_the_verdict(
    built: Built, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ssdconvert.errors import ConversionError
    from ssdconvert.runners.inner_tensors import OpenvinoTensors

    def refuse(*_: object) -> None:
        raise ConversionError("no", hint="none", stage="load")

    in_the_ir(built, 2)
    monkeypatch.setattr(OpenvinoTensors, "run", refuse)
    result = built.verify()
    assert result.verdict == "fail"
    assert [(trace.trace.points, trace.reason) for trace in result.traces] == [((), "no")]
    assert divergence_text(result.traces[0]).endswith("no tensors were compared: no")


def test_every_writer_tells_of_a_trace(built: Built) -> None:
    name = in_the_ir(built, 5)
    result = built.verify()
    depth = result.traces[0].divergence.depth  # type: ignore[union-attr]
    told = f"{name} (Conv), max error 0.0"
    good = f"limit 0.0001; the {depth} tensors before it are good"
    for text in (to_markdown(result), verification_text(result)):
        (line,) = [line for line in text.splitlines() if told in line]
        assert line.endswith(good)
    document = json.loads(json.dumps(result.to_json(), allow_nan=False))
    (entry,) = document["traces"]
    assert (entry["divergence"]["tensor"], entry["divergence"]["depth"]) == (name, depth)
    assert set(entry["points"][0]) == {"depth", "tensor", "op", "shape", "max_error", "mean_error"}
    assert {"hop", "precision", "device", "input", "limit", "skipped", "reason"} <= set(entry)
    assert verification_from_json(document) == result


def test_a_report_without_traces_can_be_read() -> None:
    document = Verification("m", (), "torch 2", ("a.jpg",), 1).to_json()
    del document["traces"]
    assert verification_from_json(document).traces == ()


def test_no_shared_name_is_told() -> None:
    assert divergence_text(HopTrace("ir", "FP16", "CPU", "a.jpg", 0.02)) == (
        "FP16 IR on CPU: no tensors were compared: none has a name that both files have"
    )
