"""The tail of DetectionOutput in OpenVINO, against `detections_of`.

Without a coding the boxes lie on a grid of 16ths and many scores are exactly the threshold: IoUs that
equal a threshold do so exactly, and results must be the same to the bit.
"""

import contextlib
import io
import sys
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import openvino
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, helper

from ssdconvert.model_optimizer import from_onnx
from ssdconvert.outputs import DETECTION_ROWS, OutputSpec
from ssdconvert.ssd.detections import Detections, detections_of
from ssdconvert.ssd.heads import BoxCoding, Heads
from ssdconvert.tails.detection_output import LEGACY, OPENVINO, Dialect, add_detection_output

Array = NDArray[Any]
BOXES, CLASSES = 24, 4
SETTINGS = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}


@dataclass(frozen=True)
class Rule:
    score_threshold: float = 0.25
    iou_threshold: float = 0.5
    at_iou_threshold: str = "keep"
    per_class: int = 200
    keep: int = 20


def centres() -> Array:
    random = np.random.default_rng(8)
    return np.concatenate(
        [random.uniform(0.1, 0.9, (BOXES, 2)), random.uniform(0.05, 0.6, (BOXES, 2))], 1
    ).astype(np.float32)


CODING = BoxCoding(centres(), (0.1, 0.2))
PLAIN = Heads()
CODED = {
    "native": Heads(CODING, logits=True),
    "clipped": Heads(CODING, clip=True, logits=True),
    "probabilities": Heads(CODING),
    "sizes limited": Heads(replace(CODING, largest_size_offset=0.5), clip=True, logits=True),
}

rules = st.builds(
    Rule,
    # sixteenths and quarters are IoUs on the grid
    score_threshold=st.sampled_from([0.0, 0.25, 0.5]),
    iou_threshold=st.sampled_from([0.0, 0.0625, 0.25, 0.45, 0.5, 1.0]),
    at_iou_threshold=st.sampled_from(["keep", "suppress"]),
    per_class=st.sampled_from([1, 3, 10, BOXES, BOXES + 1, 200]),
    keep=st.sampled_from([1, 5, 20, BOXES * (CLASSES - 1), 100]),
)
seeds = st.lists(st.integers(0, 2**32 - 1), min_size=4, max_size=4, unique=True)
several = settings(max_examples=30, deadline=None, derandomize=True)


def graph(
    heads: Heads, rule: Rule, dialect: Dialect = OPENVINO, boxes: int = BOXES, classes: int = CLASSES
) -> onnx.ModelProto:
    """Return the tail behind two inputs."""
    inputs = [
        helper.make_tensor_value_info("a", TensorProto.FLOAT, [1, boxes, classes]),
        helper.make_tensor_value_info("b", TensorProto.FLOAT, [1, boxes, 4]),
    ]
    nodes = [helper.make_node("Identity", [x], [y]) for x, y in zip("ab", heads.names, strict=True)]
    outputs = [helper.make_empty_tensor_value_info(name) for name in heads.names]
    model = helper.make_model(
        helper.make_graph(nodes, "heads", inputs, outputs),
        opset_imports=[helper.make_opsetid("", 13)],
        ir_version=8,
    )
    add_detection_output(model, heads, boxes, classes, rule, dialect)
    return model


def converted(model: onnx.ModelProto) -> Any:
    """Return the model by Model Optimizer, through a pair of files: what a number is in the .xml counts."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "tail.onnx"
        onnx.save(model, path)
        openvino.save_model(from_onnx(path, {}), path.with_suffix(".xml"), compress_to_fp16=False)
        xml = path.with_suffix(".xml")
        return openvino.Core().read_model(xml.read_bytes(), xml.with_suffix(".bin").read_bytes())


def compiled(model: onnx.ModelProto) -> Any:
    return openvino.Core().compile_model(converted(model), "CPU", SETTINGS)


def found_by(engine: Any, rule: Rule, scores: Array, boxes: Array) -> Detections:
    """Run the tail; its output keeps the contract of its form."""
    array = np.array(engine({"a": scores[None], "b": boxes[None]})[0])
    outputs = {"detection_out": array}
    broken = DETECTION_ROWS.broken(outputs, OutputSpec(rule.keep, scores.shape[1]))
    assert not [told for told in broken if "x_min" not in told and "leave the picture" not in told]
    return DETECTION_ROWS.read(outputs, OutputSpec(rule.keep, scores.shape[1]))


def on_grids(seed: int) -> tuple[Array, Array]:
    """Return scores, none equal to another but to a threshold, and corners with many IoUs of 1/16, 1/4, 1/2."""
    random = np.random.default_rng(seed)
    low = random.integers(0, 9, (BOXES, 2))
    corners = np.concatenate([low, low + random.choice([1, 2, 4, 8], (BOXES, 2))], axis=1) / 16
    count = BOXES * CLASSES
    scores = np.linspace(0.01, 1, count, dtype=np.float32)[random.permutation(count)]
    at_threshold = random.random(count) < 0.3
    scores[at_threshold] = random.choice([0.0, 0.25], at_threshold.sum())
    if seed % 4 == 2:  # few
        scores[random.random(count) < 0.8] = 0.0
    # equal scores above the lowest threshold would come in an order of OpenVINO's own
    return scores.reshape(BOXES, CLASSES), corners.astype(np.float32)


def check_equal(got: Detections, expected: Detections) -> None:
    np.testing.assert_array_equal(got.scores, expected.scores)
    np.testing.assert_array_equal(got.labels, expected.labels)
    np.testing.assert_array_equal(got.boxes, expected.boxes)


@several
@given(rule=rules, seeds=seeds)
def test_it_gives_the_detections_of_decoded_boxes_to_the_bit(rule: Rule, seeds: list[int]) -> None:
    engine = compiled(graph(PLAIN, rule))
    for seed in seeds:
        scores, boxes = on_grids(seed)
        if rule.score_threshold == 0:  # where 0.25 passes, and is there often
            scores[scores == 0.25] = 0.0
        check_equal(found_by(engine, rule, scores, boxes), detections_of(scores, boxes, rule))


def test_the_grids_tell_what_happens_at_the_thresholds() -> None:
    """They are worth nothing if `keep` and `suppress`, or `>` and `>=`, give the same on them."""
    rules = [Rule(keep=200, iou_threshold=t, at_iou_threshold=at) for t in (0.25, 0.5) for at in AT]
    counts = [[len(detections_of(*on_grids(seed), rule)) for seed in range(20)] for rule in rules]
    assert counts[0] != counts[1]
    assert counts[2] != counts[3]
    assert min(np.count_nonzero(on_grids(seed)[0][:, 1:] == 0.25) for seed in (0, 1, 3, 4)) > 2


AT = ("keep", "suppress")


@pytest.mark.parametrize("at", AT)
@pytest.mark.parametrize("threshold", [0.5, 0.25])
def test_what_happens_exactly_at_the_iou_threshold(at: str, threshold: float) -> None:
    boxes = np.array([[0, 0, 0.5, 0.5], [0, 0, 0.5, 0.5 * threshold]], np.float32)
    scores = np.array([[0, 0.9], [0, 0.8]], np.float32)
    rule = Rule(iou_threshold=threshold, at_iou_threshold=at, keep=2)
    found = found_by(compiled(graph(PLAIN, rule, boxes=2, classes=2)), rule, scores, boxes)
    assert len(found) == {"keep": 2, "suppress": 1}[at]


@pytest.mark.parametrize("threshold", [0.3, 0.35, 0.45, 1 / 3, 0.7, 0.01])
@pytest.mark.parametrize("at", AT)
def test_thresholds_are_the_same_numbers_in_the_file(at: str, threshold: float) -> None:
    rule = Rule(score_threshold=threshold, iou_threshold=threshold, at_iou_threshold=at)
    (node,) = detection_outputs(converted(graph(PLAIN, rule)))
    attributes, own = node.get_attributes(), np.float32(threshold)
    limit = own if at == "keep" else np.nextafter(own, np.float32(0))
    assert np.float32(attributes["nms_threshold"]) == limit
    assert np.float32(attributes["confidence_threshold"]) == own


def detection_outputs(model: Any) -> list[Any]:
    return [node for node in model.get_ordered_ops() if node.get_type_name() == "DetectionOutput"]


def logits_and_offsets(seed: int, heads: Heads) -> tuple[Array, Array]:
    random = np.random.default_rng(seed)
    scores = random.normal(0, 2, (BOXES, CLASSES)).astype(np.float32)
    if not heads.logits:
        scores = random.random((BOXES, CLASSES)).astype(np.float32)
    if seed % 4 == 0:
        scores[:, 0] += 50 * heads.logits  # nothing but background
    return scores, random.normal(0, 3, (BOXES, 4)).astype(np.float32)


@pytest.mark.parametrize("heads", CODED.values(), ids=CODED.keys())
@several
@given(
    seeds=seeds,
    rule=st.builds(
        Rule,
        score_threshold=st.sampled_from([0.1, 0.2]),
        iou_threshold=st.sampled_from([0.3, 0.45]),
        at_iou_threshold=st.sampled_from(AT),
        per_class=st.sampled_from([3, 15, 200]),
        keep=st.sampled_from([4, 20, 100]),
    ),
)
def test_it_decodes(heads: Heads, rule: Rule, seeds: list[int]) -> None:
    engine = compiled(graph(heads, rule))
    for seed in seeds:
        scores, offsets = logits_and_offsets(seed, heads)
        decoded = heads.decoded({heads.scores: scores[None], heads.boxes: offsets[None]})
        expected = detections_of(*decoded, rule)
        got = found_by(engine, rule, scores, offsets)
        np.testing.assert_array_equal(got.labels, expected.labels)
        np.testing.assert_allclose(got.scores, expected.scores, atol=1e-6)
        np.testing.assert_allclose(got.boxes, expected.boxes, atol=4e-6)


def test_clipping_and_the_limit_of_sizes_each_change_the_detections() -> None:
    """So that the cases above tell heads with them from heads without."""
    limited, rule = CODED["sizes limited"], Rule(score_threshold=0.1, keep=100)
    scores, offsets = logits_and_offsets(1, limited)
    found = []
    for heads in (limited, replace(limited, clip=False), replace(limited, coding=CODING)):
        decoded = heads.decoded({heads.scores: scores[None], heads.boxes: offsets[None]})
        found.append(detections_of(*decoded, rule))
    for other in found[1:]:
        assert len(other) != len(found[0]) or np.abs(other.boxes - found[0].boxes).max() > 0.01


@pytest.mark.parametrize("name", CODED)
def test_boxes_are_decoded_by_it_where_it_can(name: str) -> None:
    (node,) = detection_outputs(converted(graph(CODED[name], Rule())))
    native = name in ("native", "probabilities")
    coding = node.get_attributes()["code_type"].rpartition(".")[2]
    assert coding == ("CENTER_SIZE" if native else "CORNER")
    assert list(node.get_input_shape(2)) == [1, 2 if native else 1, BOXES * 4]


@pytest.mark.parametrize("heads", [PLAIN, *CODED.values()], ids=["decoded", *CODED])
@pytest.mark.parametrize("keep", [1, 500])
def test_every_shape_is_static(heads: Heads, keep: int) -> None:
    model = converted(graph(heads, Rule(keep=keep)))
    assert list(model.output(0).get_shape()) == [1, 1, keep, 7]
    for node in model.get_ops():
        assert all(port.get_partial_shape().is_static for port in node.outputs()), node.get_friendly_name()


# --- the spelling of Model Optimizer 2021.4


def node_in(model: onnx.ModelProto) -> onnx.NodeProto:
    (node,) = [node for node in model.graph.node if node.op_type == "DetectionOutput"]
    return node


@pytest.mark.parametrize("heads", [PLAIN, *CODED.values()], ids=["decoded", *CODED])
def test_dialects_differ_in_spelling_alone(heads: Heads) -> None:
    nodes = [node_in(graph(heads, Rule(), dialect)) for dialect in (OPENVINO, LEGACY)]
    values = [{a.name: helper.get_attribute_value(a) for a in node.attribute} for node in nodes]
    names = [one.pop("code_type").decode() for one in values]
    assert values[0] == values[1]
    assert names[0] == f"caffe.PriorBoxParameter.{names[1]}"
    assert [node.domain for node in nodes] == ["org.openvinotoolkit", ""]
    assert nodes[0].input == nodes[1].input


@pytest.mark.parametrize("heads", [PLAIN, *CODED.values()], ids=["decoded", *CODED])
def test_the_older_front_end_reads_the_older_dialect_the_same(
    heads: Heads, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Model Optimizer still has the front end of 2021, which wants one table of an onnx of those years."""
    table = {
        number: helper.tensor_dtype_to_np_dtype(number) for number in (TensorProto.FLOAT, TensorProto.INT64)
    }
    mapping = SimpleNamespace(TENSOR_TYPE_TO_NP_TYPE=table)
    monkeypatch.setitem(sys.modules, "onnx.mapping", mapping)
    rule = Rule(at_iou_threshold="suppress", per_class=7)
    onnx.save(graph(heads, rule, LEGACY), tmp_path / "legacy.onnx")
    from openvino.tools.mo import convert_model

    said = io.StringIO()
    with warnings.catch_warnings(), contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        warnings.simplefilter("ignore")
        legacy = convert_model(
            tmp_path / "legacy.onnx", compress_to_fp16=False, silent=True, use_legacy_frontend=True
        )
    (first,), (second,) = detection_outputs(legacy), detection_outputs(converted(graph(heads, rule)))
    assert first.get_attributes() == second.get_attributes()
    priors = [node.input_value(2).get_node().get_data() for node in (first, second)]
    np.testing.assert_array_equal(*priors)
    assert [node.get_input_shape(index) for node in (first,) for index in range(3)] == [
        second.get_input_shape(index) for index in range(3)
    ]
