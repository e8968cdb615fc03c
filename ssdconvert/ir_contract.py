"""What the files of an IR promise, read back from them: what a converter says it did is not evidence.

Much of it no picture need show: labels, a threshold between two scores, weights of fewer bits.
"""

import os
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from ssdconvert.errors import ConversionError
from ssdconvert.ir_description import broken_description
from ssdconvert.ir_file import read_ir
from ssdconvert.ir_graph import suppression_of
from ssdconvert.ir_rule import broken_detection_output, broken_rule, broken_tail
from ssdconvert.operation_names import shared_names
from ssdconvert.outputs import DETECTION_OUT, DETECTION_ROWS, STATIC, OutputForm, form_of, output_shapes
from ssdconvert.recipe import Recipe
from ssdconvert.runners.openvino_core import first_line

WEIGHT_TYPES = {"FP32": ("f32",), "FP16": ("f16",), "INT8": ("i8", "u8")}
BOXES_AND_LABELS = ("boxes", "labels")
SUPPRESSES = ("DetectionOutput", "MatrixNms", "MulticlassNms", "NonMaxSuppression")
Promises = dict[str, list[str]]
Shapes = Mapping[str, Sequence[int]]
PromisedOutputs = dict[str, tuple[tuple[str, ...], list[int]]]  # by name: types, shape


def promises_of(
    recipe: Recipe,
    precision: str,
    path: Path,
    form: OutputForm | None,
    ready: bool,
    heads: Shapes | None = None,
    bake: str = "values",
    own_tail: bool = False,
) -> Promises:
    """Return each promise of the IR at `path`, an .xml, and what of it is broken: nothing where it is kept.

    `form` is that in which it is to hand out detections; None where it ends in `heads`, f32 of these shapes. A
    `ready` IR is published and taken as it is: it describes itself in no words of ours. `bake`, one of
    `build_plan.BAKES`, is what is inside; with `own_tail` a ready IR ends in a tail of ours. A file that cannot
    be read keeps no other promise, and none is returned.

    whole: there is a pair, of the length that it counts on, which OpenVINO reads; ours is read by other versions,
    too, for no operations share a name · input, outputs: names,
    types, static shapes · weights: their precision · description: what it says of itself · suppression: the
    rule in its graph.
    """
    try:
        model = read_ir(path)
    except ConversionError as error:
        return {"whole": [error.message.replace(f"{path.parent}{os.sep}", "")]}
    promises: Promises = {
        "whole": [] if ready else _shared_names(model),
        "input": _broken_input(model, recipe, bake),
        "outputs": _broken_outputs(
            model, _promised_outputs(form, recipe.detections.keep, heads or {}), ready
        ),
        "weights": _broken_weights(model, precision),
    }
    if not ready:
        promises["weights"] += _quantised(model, precision)
        promises["description"] = broken_description(model, recipe, precision, bake)
    own_tail = own_tail or not (ready or recipe.source.keeps_outputs)
    broken = _broken_suppression(model, recipe, form, own_tail)
    # outputs such as ours may follow any tail; what does not read as ours is held against its own heads alone
    unread = broken and ready and form is not None and form.names == STATIC.names
    return promises if unread else promises | {"suppression": broken}


def check_ir(
    recipe: Recipe,
    precision: str,
    path: Path,
    form: OutputForm | None,
    heads: Shapes | None = None,
    bake: str = "values",
) -> None:
    """Raise ConversionError where an IR that ssdconvert made is not what the recipe asks for; see `promises_of`."""
    promises = promises_of(recipe, precision, path, form, False, heads, bake)
    broken = [f"{promise}: {'; '.join(told)}" for promise, told in promises.items() if told]
    if broken:
        raise ConversionError(
            f"the {precision} IR does not keep what it promises: {'; '.join(broken)}",
            hint="report this as a bug, with the recipe",
        )


def check_ready_ir(recipe: Recipe, precision: str, path: Path) -> Any:
    """Return the openvino.Model of a published IR; ConversionError where it is not what its recipe says."""
    model = read_ir(path)
    names = [_name(port) for port in model.outputs]
    unknown = [] if form_of(names) else [f"the outputs {names}, expected detection_out, or boxes and labels"]
    folders = "name each file in the folder of its precision: source.files in the recipe"
    for broken, hint in (
        (_broken_input(model, recipe), "correct input.name or input.shape in the recipe"),
        (unknown, "only IRs that end in detections are supported"),
        (_broken_weights(model, precision), folders),
    ):
        if broken:
            raise ConversionError(f"{path.name} has {'; '.join(broken)}", hint=hint, stage="load")
    return model


def weight_types(model: Any) -> Counter[str]:
    """Count the numbers that an IR stores as weights (real numbers and bytes), by element type."""
    counts: Counter[str] = Counter()
    for operation in model.get_ops():
        if operation.get_type_name() != "Constant":
            continue
        kind = operation.get_element_type()
        if kind.is_real() or kind.get_type_name() in WEIGHT_TYPES["INT8"]:
            size = 1
            for side in operation.get_output_shape(0):
                size *= side
            counts[kind.get_type_name()] += size
    return counts


def _shared_names(model: Any) -> list[str]:
    """Judge that each operation has a name of its own."""
    shared = shared_names(model)
    more = f" and {len(shared) - 3} more" if len(shared) > 3 else ""
    return [f"several operations are named {', '.join(shared[:3])}{more}"] if shared else []


def _broken_input(model: Any, recipe: Recipe, bake: str = "values") -> list[str]:
    """Judge the name, type and shape of the only input."""
    taken = "u8 [1,?,?,3]" if bake == "image" else f"f32 {list(recipe.input.shape)}"
    expected = f"{recipe.input.name} {taken}"
    actual = [f"{_name(port, [recipe.input.name])} {_described(port)}" for port in model.inputs]
    return [] if actual == [expected] else [f"the input {', '.join(actual) or 'none'}, expected {expected}"]


def _broken_outputs(model: Any, promised: PromisedOutputs, ready: bool) -> list[str]:
    """Judge the outputs, their order too where ssdconvert made them."""
    ports = {_name(port, promised): port for port in model.outputs}
    found, names = (", ".join(map(repr, each)) or "none" for each in (ports, promised))
    broken = [f"the output {name!r} is missing, found {found}" for name in promised if name not in ports]
    broken += [f"the output {name!r}, expected {names} alone" for name in ports if name not in promised]
    for name, (kinds, shape) in promised.items():
        if name in ports and not _fits(ports[name], kinds, shape, tuple(promised) == BOXES_AND_LABELS):
            expected = f"{' or '.join(kinds)} {shape}"
            broken.append(f"the output {name!r} {_described(ports[name])}, expected {expected}")
    if not broken and not ready and [_name(port, promised) for port in model.outputs] != list(promised):
        broken.append(f"the outputs {found}, expected them as {names}")
    return broken


def _promised_outputs(form: OutputForm | None, keep: int, heads: Shapes) -> PromisedOutputs:
    """Return the types that each output of a form may have, and its shape; without a form those of the heads."""
    if form is None:
        return {name: (("f32",), list(shape)) for name, shape in heads.items()}
    if form.names == (DETECTION_OUT,):
        return {DETECTION_OUT: (("f32",), [1, 1, keep, 7])}
    if form.names == BOXES_AND_LABELS:
        return {"boxes": (("f32",), [keep, 5]), "labels": (("i64", "i32"), [keep])}
    kinds = {"labels": ("i64",)}
    return {name: (kinds.get(name, ("f32",)), shape) for name, shape in output_shapes(keep).items()}


def _fits(port: Any, kinds: tuple[str, ...], shape: list[int], fewer_rows: bool) -> bool:
    """Return whether a port has one of the types, and the shape; with `fewer_rows` that or fewer, also as it runs."""
    actual = port.get_partial_shape()
    if port.get_element_type().get_type_name() not in kinds or len(actual) != len(shape):
        return False
    sides = [side.get_length() if side.is_static else None for side in actual]
    if not fewer_rows:
        return sides == shape
    return sides[1:] == shape[1:] and actual[0].get_max_length() <= shape[0]  # -1 where it has no bound


def _broken_weights(model: Any, precision: str) -> list[str]:
    """Judge whether most numbers that an IR stores are of the precision's type."""
    types = weight_types(model)
    stored = sum(types[kind] for kind in WEIGHT_TYPES[precision])
    # a quantised model keeps what is not a convolution, and its ranges, in floating point
    least = 0.5 if precision == "INT8" else 0.99
    if stored >= least * sum(types.values()):
        return []
    return [
        f"weights of {dict(sorted(types.items()))}, expected {' or '.join(WEIGHT_TYPES[precision])} of {precision}"
    ]


def _quantised(model: Any, precision: str) -> list[str]:
    """Judge that numbers of a floating-point IR are not rounded to a few levels as it runs."""
    count = sum(operation.get_type_name() == "FakeQuantize" for operation in model.get_ops())
    return (
        [f"{count} operations FakeQuantize, expected none in {precision}"]
        if count and precision != "INT8"
        else []
    )


def _broken_suppression(model: Any, recipe: Recipe, form: OutputForm | None, own_tail: bool) -> list[str]:
    """Judge the rule in the graph: that of a tail of ours, or of an end that an original has."""
    rule, classes = recipe.detections, len(recipe.class_names)
    if form is None:
        kinds = [operation.get_type_name() for operation in model.get_ordered_ops()]
        return [f"the operation {kind}, expected none" for kind in kinds if kind in SUPPRESSES]
    try:
        if form.names == STATIC.names:
            return broken_tail(rule, classes, model)
        if form.names == DETECTION_ROWS.names and own_tail:
            return broken_detection_output(rule, classes, model)
        return broken_rule(rule, suppression_of(model, classes))
    except ConversionError as error:
        return [error.message]
    except RuntimeError as error:  # shapes that are not static
        return [f"the end of this IR is not understood: {first_line(error)}"]


def _name(port: Any, names: Collection[str] = ()) -> str:
    """Return a port's name, of several the one that is among `names`."""
    own = port.get_names()
    return next((name for name in names if name in own), min(own, default="?"))


def _described(port: Any) -> str:
    """Return the type and the shape of a port."""
    shape = port.get_partial_shape()
    return f"{port.get_element_type().get_type_name()} {list(port.get_shape()) if shape.is_static else shape}"
