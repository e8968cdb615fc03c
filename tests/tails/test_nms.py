"""The NMS tail in engines, against `detections_of`.

The heads are graph inputs behind an Identity, so that every box and score can be chosen. Without a
coding they lie on a grid of 16ths, scores on one of 32nds: IoUs and scores that are equal to each
other, or to a threshold, are exactly equal, and results must be too.
"""

import contextlib
import functools
import io
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from ssdconvert.outputs import OUTPUTS
from ssdconvert.ssd.detections import Detections, detections_of
from ssdconvert.ssd.heads import BoxCoding, Heads
from ssdconvert.tails.nms import add_nms_tail

Array = NDArray[Any]
Outputs = dict[str, Array]
OPSETS = (11, 13, 17, 20)


@dataclass(frozen=True)
class Rule:
    score_threshold: float = 0.25
    iou_threshold: float = 0.5
    at_iou_threshold: str = "keep"
    per_class: int = 200
    keep: int = 20


PLAIN = Heads()
BOXES, CLASSES = 24, 4


def graph(heads: Heads, rule: Rule, boxes: int, classes: int, opset: int) -> onnx.ModelProto:
    """Return the tail behind two inputs."""
    inputs = [
        helper.make_tensor_value_info("a", TensorProto.FLOAT, [1, boxes, classes]),
        helper.make_tensor_value_info("b", TensorProto.FLOAT, [1, boxes, 4]),
    ]
    nodes = [helper.make_node("Identity", [x], [y]) for x, y in zip("ab", heads.names, strict=True)]
    outputs = [helper.make_empty_tensor_value_info(name) for name in heads.names]
    model = helper.make_model(
        helper.make_graph(nodes, "heads", inputs, outputs),
        opset_imports=[helper.make_opsetid("", opset)],
        ir_version=8,
    )
    add_nms_tail(model, heads, boxes, classes, rule)
    onnx.checker.check_model(model, full_check=True)
    return model


def session(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 3, 1
    return onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])


def run(engine: onnxruntime.InferenceSession, scores: Array, boxes: Array) -> Outputs:
    return dict(zip(OUTPUTS, engine.run(list(OUTPUTS), {"a": scores[None], "b": boxes[None]}), strict=True))


def padded(found: Detections, keep: int) -> Outputs:
    """Return what the tail must give for the detections."""
    boxes, labels = np.zeros((1, keep, 4), np.float32), np.zeros((1, keep), np.int64)
    scores = np.zeros((1, keep), np.float32)
    count = len(found)
    boxes[0, :count], labels[0, :count], scores[0, :count] = found.boxes, found.labels, found.scores
    return {"bboxes": boxes, "labels": labels, "scores": scores}


def check_equal(got: Outputs, expected: Outputs) -> None:
    for name in OUTPUTS:
        assert got[name].dtype == expected[name].dtype, name
        np.testing.assert_array_equal(got[name], expected[name], err_msg=name)


def on_grids(seed: int, boxes: int = BOXES, classes: int = CLASSES) -> tuple[Array, Array]:
    """Return scores and corners with many ties, IoUs of exactly 0.5, and scores of exactly 0.25."""
    random = np.random.default_rng(seed)
    low = random.integers(0, 9, (boxes, 2))
    corners = np.concatenate([low, low + random.choice([1, 2, 4, 8], (boxes, 2))], axis=1) / 16
    scores = random.integers(0, 33, (boxes, classes)) / 32
    if seed % 4 == 1:  # few above the threshold
        scores[random.random(scores.shape) < 0.9] = 0.25
    if seed % 4 == 2:  # none
        scores = np.minimum(scores, 0.25)
    return scores.astype(np.float32), corners.astype(np.float32)


RULES = {
    "plain": Rule(),
    "suppress": Rule(at_iou_threshold="suppress"),
    "other thresholds": Rule(score_threshold=0.5, iou_threshold=0.25, at_iou_threshold="suppress"),
    "few candidates": Rule(per_class=3, keep=5),
    "one candidate": Rule(per_class=1, keep=2),
    "one row": Rule(keep=1),
    "per_class is P": Rule(per_class=BOXES, keep=200),
    "per_class above P": Rule(per_class=BOXES + 1, keep=BOXES * (CLASSES - 1)),
    "keep is every cell": Rule(per_class=4, keep=4 * (CLASSES - 1)),
    "keep above every cell": Rule(per_class=4, keep=4 * (CLASSES - 1) + 5),
    "no threshold": Rule(score_threshold=0.0, iou_threshold=1.0, keep=90),
}


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("rule", RULES.values(), ids=RULES.keys())
def test_onnx_runtime_gives_the_detections(rule: Rule, opset: int) -> None:
    engine = session(graph(PLAIN, rule, BOXES, CLASSES, opset))
    counts = set()
    for seed in range(20):
        scores, boxes = on_grids(seed)
        found = detections_of(scores, boxes, rule)
        counts.add(len(found))
        check_equal(run(engine, scores, boxes), padded(found, rule.keep))
    assert 0 in counts or rule.score_threshold == 0
    assert len(counts) > 1


def test_the_cases_hold_ties_and_ious_at_the_threshold() -> None:
    """The grids are worth nothing if `keep` and `suppress`, or `>` and `>=`, give the same on them."""
    differ = [
        len(detections_of(*on_grids(seed), Rule(keep=200)))
        != len(detections_of(*on_grids(seed), Rule(keep=200, at_iou_threshold="suppress")))
        for seed in range(20)
    ]
    assert sum(differ) > 5
    at_threshold = [np.count_nonzero(on_grids(seed)[0][:, 1:] == 0.25) for seed in range(20)]
    assert min(at_threshold[2::4]) > 20


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize(("boxes", "classes"), [(1, 2), (1, 5), (17, 2), (40, 9)])
def test_other_counts_of_boxes_and_classes(boxes: int, classes: int, opset: int) -> None:
    rule = Rule(per_class=10, keep=12)
    engine = session(graph(PLAIN, rule, boxes, classes, opset))
    for seed in range(12):
        scores, corners = on_grids(seed, boxes, classes)
        expected = padded(detections_of(scores, corners, rule), rule.keep)
        check_equal(run(engine, scores, corners), expected)


def test_outputs_are_static_and_typed() -> None:
    for rule in (Rule(keep=7), Rule(per_class=1, keep=50)):
        outputs = graph(PLAIN, rule, BOXES, CLASSES, 13).graph.output
        described = {
            o.name: (o.type.tensor_type.elem_type, [d.dim_value for d in o.type.tensor_type.shape.dim])
            for o in outputs
        }
        assert list(described) == ["bboxes", "labels", "scores"]
        assert described == {
            "bboxes": (TensorProto.FLOAT, [1, rule.keep, 4]),
            "labels": (TensorProto.INT64, [1, rule.keep]),
            "scores": (TensorProto.FLOAT, [1, rule.keep]),
        }


@functools.cache
def coding() -> BoxCoding:
    random = np.random.default_rng(8)
    centres = np.concatenate([random.uniform(0.1, 0.9, (BOXES, 2)), random.uniform(0.1, 0.6, (BOXES, 2))], 1)
    return BoxCoding(centres.astype(np.float32), (0.1, 0.2))


def offsets_and_logits(seed: int) -> tuple[Array, Array]:
    random = np.random.default_rng(seed)
    logits = random.normal(0, 2, (BOXES, CLASSES)).astype(np.float32)
    if seed % 4 == 0:
        logits[:, 0] += 50  # nothing but background
    return logits, random.normal(0, 2, (BOXES, 4)).astype(np.float32)


def check_close(got: Outputs, expected: Outputs) -> None:
    np.testing.assert_array_equal(got["labels"], expected["labels"])
    np.testing.assert_allclose(got["scores"], expected["scores"], atol=1e-6)
    np.testing.assert_allclose(got["bboxes"], expected["bboxes"], atol=2e-6)


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("at", ["keep", "suppress"])
def test_softmax_and_decoding(opset: int, at: str) -> None:
    heads, rule = (
        Heads(coding(), logits=True),
        Rule(score_threshold=0.1, per_class=15, keep=20, at_iou_threshold=at),
    )
    engine = session(graph(heads, rule, BOXES, CLASSES, opset))
    counts = set()
    for seed in range(12):
        logits, offsets = offsets_and_logits(seed)
        decoded = heads.decoded({heads.scores: logits[None], heads.boxes: offsets[None]})
        found = detections_of(*decoded, rule)
        counts.add(len(found))
        check_close(run(engine, logits, offsets), padded(found, rule.keep))
    assert 0 in counts
    assert 20 in counts


CLIPPING = Heads(replace(coding(), largest_size_offset=0.5), clip=True, logits=True)


@pytest.mark.parametrize("opset", OPSETS)
def test_clipping_and_the_limit_of_sizes(opset: int) -> None:
    rule = Rule(score_threshold=0.1, per_class=15)
    engine = session(graph(CLIPPING, rule, BOXES, CLASSES, opset))
    for seed in range(12):
        logits, offsets = offsets_and_logits(seed)
        decoded = CLIPPING.decoded({CLIPPING.scores: logits[None], CLIPPING.boxes: 3 * offsets[None]})
        got = run(engine, logits, 3 * offsets)
        check_close(got, padded(detections_of(*decoded, rule), rule.keep))


def test_clipping_and_the_limit_of_sizes_each_change_the_detections() -> None:
    rule, found = Rule(score_threshold=0.1, per_class=15), []
    for heads in (CLIPPING, replace(CLIPPING, clip=False), replace(CLIPPING, coding=coding())):
        logits, offsets = offsets_and_logits(1)
        decoded = heads.decoded({heads.scores: logits[None], heads.boxes: 3 * offsets[None]})
        found.append(detections_of(*decoded, rule))
    clipped = found[0].boxes
    assert (clipped.min(), clipped.max()) == (0, 1)
    for other in found[1:]:
        assert len(other) != len(found[0]) or np.abs(other.boxes - clipped).max() > 0.01


def test_boxes_that_come_decoded_are_clipped_too() -> None:
    heads = Heads(clip=True)
    boxes = np.array([[-0.5, 0.25, 0.5, 1.5], [2, 2, 3, 3], [0.6, 0.6, 0.9, 0.9]], np.float32)
    scores = np.array([[0, 0.9], [0, 0.8], [0, 0.7]], np.float32)
    got = run(session(graph(heads, Rule(keep=3), 3, 2, 13)), scores, boxes)
    expected = np.array([[0, 0.25, 0.5, 1], [1, 1, 1, 1], [0.6, 0.6, 0.9, 0.9]], np.float32)
    np.testing.assert_array_equal(got["bboxes"][0], expected)
    decoded = heads.decoded({heads.scores: scores[None], heads.boxes: boxes[None]})
    check_equal(got, padded(detections_of(*decoded, Rule()), 3))


# --- devices with static shapes: NonMaxSuppression gives all its rows, the unused ones -1


def with_constant_selection(model: onnx.ModelProto, rows: Array) -> onnx.ModelProto:
    """Return the graph with its NonMaxSuppression replaced by what that selected."""
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    (node,) = [node for node in changed.graph.node if node.op_type == "NonMaxSuppression"]
    changed.graph.initializer.append(numpy_helper.from_array(rows.astype(np.int64), node.output[0]))
    changed.graph.node.remove(node)
    return changed


@pytest.mark.parametrize("padding", [0, 1, 37])
@pytest.mark.parametrize("rule", [Rule(), Rule(per_class=3, keep=5), Rule(per_class=2, keep=9)], ids=str)
def test_rows_of_minus_one_select_nothing(rule: Rule, padding: int) -> None:
    model = graph(PLAIN, rule, BOXES, CLASSES, 13)
    (node,) = [node for node in model.graph.node if node.op_type == "NonMaxSuppression"]
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    watched.graph.output.append(helper.make_empty_tensor_value_info(node.output[0]))
    engine = session(watched)
    for seed in range(6):
        scores, boxes = on_grids(seed)
        expected = padded(detections_of(scores, boxes, rule), rule.keep)
        (selected,) = engine.run([node.output[0]], {"a": scores[None], "b": boxes[None]})
        rows = np.concatenate([selected, np.full((padding, 3), -1)])
        check_equal(run(session(with_constant_selection(model, rows)), scores, boxes), expected)


# --- through Model Optimizer


def compiled(model: onnx.ModelProto, folder: Path) -> Any:
    """Convert in process, as the convert stage does, and compile for the CPU."""
    path = folder / "tail.onnx"
    onnx.save(model, path)
    import openvino
    from openvino.tools.mo import convert_model

    said = io.StringIO()
    with warnings.catch_warnings(), contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        warnings.simplefilter("ignore")
        converted = convert_model(path, compress_to_fp16=False, silent=True)
    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
    return openvino.Core().compile_model(converted, "CPU", settings)


def run_compiled(engine: Any, scores: Array, boxes: Array) -> Outputs:
    results = engine({"a": scores[None], "b": boxes[None]})
    return {name: np.array(results[name]) for name in OUTPUTS}


def ordered(outputs: Outputs) -> list[tuple[float, ...]]:
    """Return the rows in an order that ties do not depend on."""
    rows = zip(outputs["scores"][0], outputs["labels"][0], outputs["bboxes"][0].tolist(), strict=True)
    return sorted((-float(score), int(label), *box) for score, label, box in rows)


@pytest.mark.parametrize("name", ["suppress", "few candidates", "per_class above P", "keep above every cell"])
def test_openvino_gives_the_detections(name: str, tmp_path: Path) -> None:
    """Scores differ from each other here: which of two equal ones comes first is OpenVINO's own affair."""
    rule = replace(RULES[name], at_iou_threshold="suppress")
    engine = compiled(graph(PLAIN, rule, BOXES, CLASSES, 13), tmp_path)
    assert [list(port.get_shape()) for port in engine.outputs] == [
        [1, rule.keep, 4],
        [1, rule.keep],
        [1, rule.keep],
    ]
    counts = set()
    for seed in range(20):
        scores, boxes = on_grids(seed)
        above = scores > 0.25  # the thresholds stay as they are, ties above them go
        random = np.random.default_rng(seed)
        scores[above] = np.linspace(0.26, 1, above.sum(), dtype=np.float32)[random.permutation(above.sum())]
        found = detections_of(scores, boxes, rule)
        counts.add(len(found))
        got = run_compiled(engine, scores, boxes)
        assert {key: value.dtype for key, value in got.items()} == {
            "bboxes": np.float32,
            "labels": np.int64,
            "scores": np.float32,
        }
        np.testing.assert_array_equal(got["scores"], padded(found, rule.keep)["scores"])
        assert ordered(got) == ordered(padded(found, rule.keep))
    assert 0 in counts


@pytest.mark.parametrize(
    "at",
    [
        "suppress",
        "keep",
    ],
)
def test_engines_agree_exactly_at_the_iou_threshold(at: str, tmp_path: Path) -> None:
    boxes = np.array([[0, 0, 0.5, 0.5], [0, 0, 0.5, 0.25]], np.float32)
    scores = np.array([[0, 0.9], [0, 0.8]], np.float32)
    rule = Rule(at_iou_threshold=at, keep=2)
    model = graph(PLAIN, rule, 2, 2, 13)
    expected = padded(detections_of(scores, boxes, rule), 2)
    check_equal(run(session(model), scores, boxes), expected)
    check_equal(run_compiled(compiled(model, tmp_path), scores, boxes), expected)


@pytest.mark.parametrize("heads", [Heads(coding(), logits=True), CLIPPING], ids=["plain", "clipping"])
def test_openvino_decodes(heads: Heads, tmp_path: Path) -> None:
    rule = Rule(score_threshold=0.1, per_class=15)
    engine = compiled(graph(heads, rule, BOXES, CLASSES, 17), tmp_path)
    for seed in range(12):
        logits, offsets = offsets_and_logits(seed)
        decoded = heads.decoded({heads.scores: logits[None], heads.boxes: offsets[None]})
        check_close(run_compiled(engine, logits, offsets), padded(detections_of(*decoded, rule), rule.keep))


def test_boxes_that_do_not_touch_are_kept_at_a_threshold_of_0(tmp_path: Path) -> None:
    """The number next to 0 is 0 where engines flush what is not normal, and all boxes but one would go."""
    rule = Rule(iou_threshold=0.0)
    scores = np.linspace(0.3, 0.9, BOXES * CLASSES, dtype=np.float32).reshape(BOXES, CLASSES)
    left = np.arange(BOXES, dtype=np.float32)[:, None] / 32
    boxes = np.concatenate([left, left * 0, left + 1 / 64, left * 0 + 1], axis=1)
    model = graph(PLAIN, rule, BOXES, CLASSES, 13)
    expected = padded(detections_of(scores, boxes, rule), rule.keep)
    assert (expected["scores"] > 0).all()
    check_equal(run(session(model), scores, boxes), expected)
    assert ordered(run_compiled(compiled(model, tmp_path), scores, boxes)) == ordered(expected)
