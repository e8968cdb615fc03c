"""How a given file suppresses, read from the file alone: what a recipe would say of its detections."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ssdconvert.errors import ConversionError
from ssdconvert.given.file import FOLLOWED, GivenFile
from ssdconvert.ir_graph import Suppression, suppression_of
from ssdconvert.outputs import STATIC
from ssdconvert.runners import Arrays
from ssdconvert.ssd.heads import CLASS_LOGITS, CLASS_PROBABILITIES, DECODED_BOXES

DECODED_IN_TAIL = re.compile(r"tail/decoded_boxes_\d+")  # as ssdconvert.tails.nms names them
IN_PIXELS = 2.0  # what half of the coordinates of decoded boxes exceed, unless they are in 0..1
PASSES_ON = ("Cast", "Concat", "Identity", "Min", "Reshape", "Squeeze", "Unsqueeze")  # a number, in ONNX
MOST_CLASSES = 1000  # that one NMS for all of them is looked at for


@dataclass(frozen=True)
class FoundRule:
    """A file's rule, in the words of `ssdconvert.recipe.Detections`; `classes` without the background."""

    classes: int
    score_threshold: float
    iou_threshold: float
    per_class: int
    keep: int
    clip: bool = False
    first_label: int = 1
    units: str = "normalised"


def rule_of(given: GivenFile) -> FoundRule | None:
    """Return how a file suppresses; None where it does not.

    Raises ConversionError for a suppression that cannot be followed.
    """
    if not given.suppressing:
        return None
    if len(given.suppressing) > 1 or given.suppressing[0] not in FOLLOWED:
        raise not_followed(given, f"it holds {' and '.join(given.suppressing)}")
    names = our_names(given)
    if names:
        return _of_our_tail(given, names)
    return _of_an_ir(given) if given.is_ir else _of_a_graph(given)


def our_names(given: GivenFile) -> dict[str, str]:
    """Return where the scores and the decoded boxes are in a file of ours, by our names; empty for others'."""
    if given.form is not STATIC:
        return {}
    scores = [name for name in (CLASS_PROBABILITIES, CLASS_LOGITS) if name in given.tensors]
    tail = sorted(name for name in given.tensors if DECODED_IN_TAIL.fullmatch(name))
    boxes = [DECODED_BOXES] if DECODED_BOXES in given.tensors else tail
    return {scores[0]: scores[0], DECODED_BOXES: boxes[0]} if scores and boxes else {}


def classes_of(model: Any) -> int:
    """Return how many classes an openvino.Model with one suppression finds, the background not counted."""
    node = next(n for n in model.get_ordered_ops() if n.get_type_name() in FOLLOWED)
    first, second = (list(port.get_shape()) for port in node.input_values()[:2])
    if node.get_type_name() == "DetectionOutput":
        return int(second[1] * 4 // first[1]) - 1
    _, groups, count = second
    if groups > 1:
        return int(groups)
    for classes in range(2, MOST_CLASSES):  # one NMS for all: their tensor [P, C] is above it
        if count % classes == 0:
            try:
                suppression_of(model, classes)
            except ConversionError:
                continue
            return classes
    return 1


def not_followed(given: GivenFile, problem: str) -> ConversionError:
    """Return the failure that a file stands for whose end cannot be read."""
    return ConversionError(
        f"what {given.path.name} suppresses cannot be read from it: {problem}",
        hint="give --recipe NAME, which says how the model detects",
        stage="load",
    )


def _of_our_tail(given: GivenFile, names: Mapping[str, str]) -> FoundRule:
    """Return the rule of `ssdconvert.tails.nms`, which suppresses the best candidates of each class."""
    numbers = _numbers_of_an_ir(given) if given.is_ir else _numbers_of_a_graph(given)
    outputs = _on_zeros(given, [*names.values()])
    scores, boxes = (outputs[name] for name in names.values())
    reads_boxes = [node for node in _nodes(given) if names[DECODED_BOXES] in node[1]]
    return FoundRule(
        classes=scores.shape[-1] - 1,
        score_threshold=numbers[2],
        iou_threshold=numbers[1],
        per_class=min(int(numbers[0]), boxes.shape[1]),
        keep=outputs["bboxes"].shape[1],
        clip=any(kind in ("Clip", "Clamp") for kind, _ in reads_boxes),
    )


def _of_an_ir(given: GivenFile) -> FoundRule:
    classes = classes_of(given.model)
    end = suppression_of(given.model, classes)
    if end.kind == "DetectionOutput":
        if end.background not in (0, end.columns - 1):
            raise not_followed(given, f"its background is class {end.background} of {end.columns}")
        return _found(end, classes, first_label=0 if end.background else 1, clip=end.clip)
    boxes = _on_zeros(given, [end.boxes], classes)[end.boxes]
    units = "pixels" if np.median(np.abs(boxes)) > IN_PIXELS else "normalised"
    return _found(end, classes, first_label=1 if given.form is STATIC else 0, units=units)


def _found(end: Suppression, classes: int, **more: Any) -> FoundRule:
    return FoundRule(classes, end.score_threshold, end.iou_threshold, end.per_class, end.keep, **more)


def _of_a_graph(given: GivenFile) -> FoundRule:
    """Return the rule of a graph whose own NMS takes all default boxes of each class."""
    node = next(node for node in given.model.graph.node if node.op_type == "NonMaxSuppression")
    most, iou_threshold, score_threshold = _numbers_of_a_graph(given)
    outputs = _on_zeros(given, [name for name in node.input[:2] if name in given.tensors])
    if len(outputs) < len(given.outputs) + 2:
        raise not_followed(given, "what enters its NonMaxSuppression is not computed")
    (_, default_boxes, _), (_, classes, _) = (outputs[name].shape for name in node.input[:2])
    if np.median(np.abs(outputs[node.input[0]])) > IN_PIXELS:
        raise not_followed(given, "its boxes are in pixels")
    keep = _rows_kept(given, node.output[0]) or int(most) * classes
    if most < min(keep, default_boxes):
        raise not_followed(given, f"it keeps {most:.0f} of a class and {keep} of all")
    return FoundRule(classes, score_threshold, iou_threshold, default_boxes, keep)


def _numbers_of_an_ir(given: GivenFile) -> list[float]:
    """Return the rows of a class, the IoU and the score of an IR's only NonMaxSuppression."""
    node = next(n for n in given.model.get_ordered_ops() if n.get_type_name() == "NonMaxSuppression")
    numbers = []
    for port in node.input_values()[2:5]:
        constant = port.get_node()
        if constant.get_type_name() == "Convert":  # from 16 bits
            constant = constant.input_value(0).get_node()
        if constant.get_type_name() != "Constant":
            raise not_followed(given, "the thresholds of its NonMaxSuppression are not constants")
        numbers.append(float(constant.get_data().ravel()[0]))
    return numbers + [0.0] * (3 - len(numbers))


def _numbers_of_a_graph(given: GivenFile) -> list[float]:
    """Return the same of a graph, where nodes may compute them."""
    import onnx

    node = next(node for node in given.model.graph.node if node.op_type == "NonMaxSuppression")
    stored = {tensor.name: tensor for tensor in given.model.graph.initializer}
    names = [*node.input[2:5], "", "", ""][:3]
    computed = [name for name in names if name in given.tensors]
    outputs = _on_zeros(given, computed) if computed else {}
    numbers = []
    for name in names:  # the operation's own default is 0
        array = onnx.numpy_helper.to_array(stored[name]) if name in stored else outputs.get(name, np.zeros(1))
        numbers.append(float(array.ravel()[0]))
    return numbers


def _rows_kept(given: GivenFile, selected: str) -> int | None:
    """Return how many rows a graph's last TopK keeps of the boxes `selected`; None where it has none."""
    reached, last = {selected}, None
    for node in given.model.graph.node:
        if not reached.isdisjoint(node.input):
            reached.update(node.output)
            last = node if node.op_type == "TopK" else last
    if last is None:
        return None
    numbers = [number for number in _constants_above(given, last.input[1]) if number > 1]
    if not numbers:
        raise not_followed(given, "how many rows its TopK keeps is not a constant")
    return min(numbers)


def _constants_above(given: GivenFile, name: str) -> Iterator[int]:
    """Yield the whole numbers that a tensor is made of."""
    import onnx

    stored = {tensor.name: tensor for tensor in given.model.graph.initializer}
    made_by = {output: node for node in given.model.graph.node for output in node.output}
    waiting = [name]
    for one in waiting:
        node = made_by.get(one)
        tensor = stored.get(one)
        if node is not None and node.op_type == "Constant":
            tensor = next((a.t for a in node.attribute if a.name == "value"), None)
        if tensor is not None:
            yield from (int(number) for number in onnx.numpy_helper.to_array(tensor).ravel())
        elif node is not None and node.op_type in PASSES_ON:
            waiting += node.input


def _nodes(given: GivenFile) -> Iterator[tuple[str, set[str]]]:
    """Yield each operation's type and the names of what it reads."""
    if given.is_ir:
        for operation in given.model.get_ordered_ops():
            names = {name for port in operation.input_values() for name in port.get_names()}
            yield operation.get_type_name(), names
    else:
        yield from ((node.op_type, set(node.input)) for node in given.model.graph.node)


def _on_zeros(given: GivenFile, names: list[str], classes: int = 1) -> Arrays:
    """Return the outputs and these tensors of a black picture."""

    def named(model: Any) -> None:
        if names and given.is_ir and any(name not in given.tensors for name in names):
            suppression_of(model, classes)

    image = next(iter(given.inputs.values()))
    runner = given.runner(given.image, names, prepare=named)
    return runner.run({given.image: np.zeros(image.sides, np.float32)})  # type: ignore[arg-type]
