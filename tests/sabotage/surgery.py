"""What mistakes are made with: a right IR, the parts of its graph by what they do, and ways to change them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import openvino
from numpy.typing import NDArray
from openvino.runtime import opset13 as ops

from ssdconvert.ir_graph import above
from ssdconvert.originals import Original
from ssdconvert.recipe import Recipe

SSD_DEMO, ULTRAFACE, MOBILENET = MODELS = ("ssd-demo", "ultraface-rfb-320", "mobilenet-ssd")
Array = NDArray[Any]


@dataclass(frozen=True)
class Right:
    """IRs that are right, what they were made from, and those of another recipe, by precision."""

    model: str
    recipe: Recipe
    original: Original
    irs: Mapping[str, Path]
    other: Mapping[str, Path]


@dataclass(frozen=True)
class Mistake:
    """A mistake by its name in docs/what-the-gate-catches.md; `write` makes a wrong IR of a precision at a path.

    `not_for` are models that cannot have it, with the reason.
    """

    name: str
    write: Callable[[Right, str, Path], None]
    not_for: Mapping[str, str] = field(default_factory=dict)


MISTAKES: list[Mistake] = []
UNSEEN: list[Mistake] = []  # what passes, and should not be thought to be checked
Why = Mapping[str, str]


def in_graph(name: str, not_for: Why | None = None, among: list[Mistake] = MISTAKES) -> Callable[..., Any]:
    """Register a mistake that changes the read model: (right, model)."""

    def register(make: Callable[[Right, Any], None]) -> Callable[[Right, Any], None]:
        def write(right: Right, precision: str, target: Path) -> None:
            model = read(right.irs[precision])
            make(right, model)
            save(model, target)

        among.append(Mistake(name, write, not_for or {}))
        return make

    return register


def in_files(name: str, not_for: Why | None = None) -> Callable[..., Any]:
    """Register a mistake that writes the pair of files itself: (right, precision, path of the .xml)."""

    def register(write: Callable[[Right, str, Path], None]) -> Callable[[Right, str, Path], None]:
        MISTAKES.append(Mistake(name, write, not_for or {}))
        return write

    return register


def read(path: Path) -> Any:
    return openvino.Core().read_model(path.read_bytes(), path.with_suffix(".bin").read_bytes())


def save(model: Any, target: Path) -> None:
    model.validate_nodes_and_infer_types()
    openvino.save_model(model, target, compress_to_fp16=False)


def edit_layers(
    source: Path, target: Path, layer: str, change: Callable[[dict[str, str]], None], first: bool = False
) -> None:
    """Copy an IR with other attributes in the layers of a type, or in the first of them."""
    tree = ElementTree.parse(source)
    found = [one for one in tree.iter("layer") if one.get("type") == layer]
    assert found, f"no {layer} in {source.name}"
    for one in found[:1] if first else found:
        data = one.find("data")
        assert data is not None
        before = dict(data.attrib)
        change(data.attrib)
        assert data.attrib != before
    tree.write(target)
    target.with_suffix(".bin").write_bytes(source.with_suffix(".bin").read_bytes())


# --- the parts of a graph


def nodes(model: Any, *types: str) -> list[Any]:
    """Return the operations of these types in order of execution."""
    return [node for node in model.get_ordered_ops() if node.get_type_name() in types]


def the(model: Any, kind: str) -> Any:
    """Return the only operation of a type."""
    found = nodes(model, kind)
    assert len(found) == 1, f"{len(found)} of {kind}"
    return found[0]


def entry(model: Any) -> Any:
    """Return the port of the model's input."""
    return model.inputs[0].get_node().output(0)


def normalisation(model: Any) -> tuple[Any, Any]:
    """Return the inputs by which 1 / scale is multiplied and -mean / scale is added, [1, 3, 1, 1] each."""
    multiply = next(iter(entry(model).get_target_inputs())).get_node()
    add = next(iter(multiply.output(0).get_target_inputs())).get_node()
    assert (multiply.get_type_name(), add.get_type_name()) == ("Multiply", "Add")
    return multiply.input(1), add.input(1)


def middle_convolution(model: Any) -> Any:
    """Return a convolution in the backbone, a third of the way down."""
    convolutions = nodes(model, "Convolution")
    return convolutions[len(convolutions) // 3]


def bias_of(convolution: Any) -> Any:
    """Return the input by which a convolution's bias is added."""
    add = next(iter(convolution.output(0).get_target_inputs())).get_node()
    assert add.get_type_name() == "Add"
    return add.input(1)


def ends_in_tail(model: Any) -> bool:
    """Return whether a model ends in the standard tail, and not in DetectionOutput."""
    return bool(nodes(model, "NonMaxSuppression"))


def offsets(model: Any) -> Any:
    """Return the port of the offsets of all default boxes."""
    if not ends_in_tail(model):
        return the(model, "DetectionOutput").input_value(0)
    return next(p for node in model.get_ops() for p in node.outputs() if "box_offsets" in p.get_names())


def nearest(port: Any, kind: str) -> Any:
    """Return the nearest operation of a type at or above a port."""
    return next(
        one.get_node() for one in above(port, lambda _: True) if one.get_node().get_type_name() == kind
    )


@dataclass(frozen=True)
class Decoding:
    """The inputs by which the tail's decoding gets its constants.

    `shift` holds sizes * variance [1, P, 2], `centres` [1, P, 2], `growth` the variance of sizes, `half`
    sizes / 2 [1, P, 2]. `corners` is the port of the decoded boxes [1, P, 4].
    """

    shift: Any
    centres: Any
    growth: Any
    half: Any
    corners: Any


def decoding(model: Any) -> Decoding:
    boxes = the(model, "NonMaxSuppression").input_value(0)
    corners = nearest(nearest(boxes, "Gather").input_value(0), "Concat")
    low = corners.input_value(0).get_node()
    middle, half = (low.input_value(index).get_node() for index in (0, 1))
    shift = middle.input_value(0).get_node()
    growth = nearest(half.input_value(0), "Exp").input_value(0).get_node()
    return Decoding(shift.input(1), middle.input(1), growth.input(1), half.input(1), corners.output(0))


# --- how they are changed


def value(entered: Any) -> Array:
    """Return the constant that enters at an input, decompressed or not."""
    return np.array(_constant(entered).get_data(), np.float32)


def change(entered: Any, array: Array) -> None:
    """Let another constant enter at an input, in the type of the one before."""
    old = _constant(entered)
    new = ops.constant(array.astype(old.get_data().dtype))
    source = entered.get_source_output()
    if source.get_node().get_type_name() == "Convert":
        new = ops.convert(new, "f32")
    entered.replace_source_output(new.output(0))


def _constant(entered: Any) -> Any:
    node = entered.get_source_output().get_node()
    if node.get_type_name() == "Convert":
        node = node.input_value(0).get_node()
    assert node.get_type_name() == "Constant", node.get_type_name()
    return node


def insert(port: Any, make: Callable[[Any], Any]) -> None:
    """Put what `make` adds to a port between it and what it led to; an output keeps its name."""
    consumers = list(port.get_target_inputs())
    new = make(port).output(0)
    for consumer in consumers:
        consumer.replace_source_output(new)
        if consumer.get_node().get_type_name() == "Result":
            names = port.get_names()
            port.get_tensor().set_names(set())
            new.get_tensor().set_names(names)
            name = port.get_node().get_friendly_name()
            port.get_node().set_friendly_name(f"{name}/right")
            new.get_node().set_friendly_name(name)


def output(model: Any, name: str) -> Any:
    """Return the port that an output of a name hands out."""
    result = next(port for port in model.outputs if name in port.get_names()).get_node()
    return result.input_value(0)


def picked(port: Any, columns: list[int], axis: int) -> Any:
    """Return an operation that takes some indices of an axis, in their order."""
    return ops.gather(port, ops.constant(np.array(columns, np.int64)), ops.constant(np.int64(axis)))
