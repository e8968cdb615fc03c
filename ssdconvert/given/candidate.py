"""The candidate of a verification, from a file that somebody gives: where it has what the original has."""

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ssdconvert.candidate import Candidate, Pair, simulation_of
from ssdconvert.devices import Machine
from ssdconvert.errors import ConversionError, RecipeError
from ssdconvert.given.derived_recipe import DerivedRecipe, takes_pixels, tensors_in_common
from ssdconvert.given.file import (
    STAGE,
    SUFFIXES,
    GivenFile,
    Prepare,
    described,
    digests_of,
    refuse_other_input,
    unprepared,
)
from ssdconvert.given.reading import read_given
from ssdconvert.given.rule import our_names
from ssdconvert.ir_contract import Promises, promises_of
from ssdconvert.ir_graph import suppression_of
from ssdconvert.ir_rounding import broken_rounding, same_operations
from ssdconvert.originals import Original
from ssdconvert.originals.ir import tensors_of
from ssdconvert.outputs import FORMS, STATIC, UNPADDED, OutputForm
from ssdconvert.recipe import Recipe
from ssdconvert.recipe_source import CaffeSource, OnnxSource
from ssdconvert.runners import Runner
from ssdconvert.runners.inner_tensors import named_by_operation
from ssdconvert.ssd.heads import CLASS_PROBABILITIES, DECODED_BOXES, HeadTensor
from ssdconvert.toolchains.call import Toolchain

Tensors = Mapping[str, HeadTensor]


def candidate_of(recipe: Recipe, path: Path, machine: Machine, original: Original) -> Candidate:
    """Return the file to judge; `tensors` are empty where no heads of the original's kind can be found.

    Raises as `original_of`, and RecipeError for a file that has neither heads nor detections.
    """
    given = read_given(path)
    refuse_other_input(given, recipe)
    tensors, prepare = _heads_of_candidate(recipe, given, original)
    form = _form(given) if original.detects else None
    if not tensors and form is None:
        raise RecipeError(
            f"{path.name} gives {described(given.outputs)}: neither detections nor the heads "
            f"{' and '.join(repr(tensor.name) for tensor in original.tensors.values())}",
            hint="give --recipe NAME, which says where the heads are: source.heads",
            stage=STAGE,
        )
    names = [tensor.name for tensor in tensors.values()]
    on = machine if given.is_ir else Machine()

    def opened_in(toolchain: Toolchain) -> Runner:
        return given.runner_in(toolchain, recipe.input.name, names, on, prepare)

    return Candidate(
        "ir" if given.is_ir else "model",
        given.precision,
        on.device,
        not takes_pixels(recipe, given),
        lambda: given.runner(recipe.input.name, names, on, prepare),
        tensors,
        form,
        is_reference=_is_the_same(given, original),
        shown=True,
        inner=_inner(recipe, given, on, original, tensors, prepare),
        promises=_promises(recipe, given, form, original),
        not_compared=_not_compared(given, form, names),
        simulated=simulation_of(path, given.precision, on.device, names, prepare) if given.is_ir else None,
        open_in=opened_in if given.is_ir else None,
    )


def _not_compared(given: GivenFile, form: OutputForm | None, heads: Collection[str]) -> list[str]:
    """Return the outputs that nothing is held against: what is deployed may be wrong where its heads are right."""
    return [f"output {name}" for name in given.outputs if form is None and name not in heads]


def _promises(
    recipe: Recipe, given: GivenFile, form: OutputForm | None, original: Original
) -> Callable[[], Promises] | None:
    """Return what reads an IR's promises, as far as a recipe says what they are, or an FP32 IR of the same graph."""
    full = original.model if isinstance(original.model, Path) and original.precision == "FP32" else None
    rounded = given.precision == "FP16" and full is not None and full.suffix.lower() == ".xml"

    def read() -> Promises:
        promises: Promises = {}
        if not isinstance(recipe, DerivedRecipe) and form is not None and form in FORMS:
            promises = promises_of(recipe, given.precision, given.path, form, ready=not given.recipe)
        if rounded and full is not None and same_operations(full, given.path):
            promises["rounding"] = broken_rounding(full, given.path)
        return promises

    return read if given.is_ir else None


def _form(given: GivenFile) -> OutputForm | None:
    """Return how a file hands out detections; padded rows are promised by files of ours alone."""
    rows = [port.sides for port in given.outputs.values()]
    unpadded = any(sides is None or None in sides for sides in rows)
    return UNPADDED if given.form is STATIC and unpadded and not given.recipe else given.form


def _heads_of_candidate(recipe: Recipe, given: GivenFile, original: Original) -> tuple[Tensors, Prepare]:
    """Return where a file has the original's heads, and what names its tensors first; empty where it has none."""
    if not original.detects:
        common = tensors_in_common(given, read_given(original.model))
        return {ours: HeadTensor(theirs) for ours, theirs in common.items()}, unprepared
    searches: list[Callable[[], Tensors]] = [
        lambda: {name: HeadTensor(name) for name in original.heads.names},
        lambda: _decoded_in_our_tail(given, original),
    ]
    if isinstance(recipe.source, CaffeSource) and not given.is_ir:  # where names are not those of layers
        searches.append(lambda: _twins(recipe))
    else:
        searches += [lambda: original.tensors, lambda: _named_by_recipe(recipe, original)]
    detections: Collection[str] = given.outputs if given.form else ()
    for search in searches:
        tensors = search()
        if tensors and all(t.name in given.tensors and t.name not in detections for t in tensors.values()):
            return tensors, unprepared
    return _entering_suppression(recipe, given, original)


def _decoded_in_our_tail(given: GivenFile, original: Original) -> Tensors:
    """Return the decoded boxes of our tail, where the original's are decoded too and of the same scores."""
    names = our_names(given)
    if {*names} != {*original.heads.names}:
        return {}
    return {ours: HeadTensor(name) for ours, name in names.items()}


def _named_by_recipe(recipe: Recipe, original: Original) -> Tensors:
    """Return what source.heads says, where it means the same as the original's heads."""
    heads = original.heads
    names = recipe.source.heads if isinstance(recipe.source, OnnxSource | CaffeSource) else None
    if names is None or heads.logits or (names.default_boxes is None) != (heads.coding is None):
        return {}
    return dict(zip(heads.names, (HeadTensor(names.scores), HeadTensor(names.boxes)), strict=True))


def _twins(recipe: Recipe) -> Tensors:
    """Return where the ONNX file has its heads that is published beside a Caffe network: boxes are decoded."""
    twin = recipe.source.twin if isinstance(recipe.source, CaffeSource) else None
    if twin is None:
        return {}
    return {CLASS_PROBABILITIES: HeadTensor(twin.scores), DECODED_BOXES: HeadTensor(twin.boxes)}


def _entering_suppression(recipe: Recipe, given: GivenFile, original: Original) -> tuple[Tensors, Prepare]:
    """Return the inputs of a file's own suppression, where they mean the same as the original's heads."""
    if len(given.suppressing) != 1 or our_names(given) or original.heads.logits:
        return {}, unprepared
    inputs = _inputs_of_an_ir if given.is_ir else _inputs_of_a_graph
    return inputs(recipe, given, original)


def _inputs_of_an_ir(recipe: Recipe, given: GivenFile, original: Original) -> tuple[Tensors, Prepare]:
    classes = len(recipe.class_names)

    def named(model: Any) -> None:
        suppression_of(model, classes)

    try:
        end = suppression_of(given.model, classes)
    except ConversionError:  # one that cannot be followed: its detections can be judged all the same
        return {}, unprepared
    # rows in order of score, as TopK leaves them, are those of other cells in another run
    alike = bool(end.order) == original.in_order_of_score
    coded, expected = end.priors is not None, original.heads.coding is not None
    if not alike or coded != expected or not _same_background(end.background, original):
        return {}, unprepared
    return dict(zip(original.heads.names, tensors_of(recipe, end), strict=True)), named


def _inputs_of_a_graph(recipe: Recipe, given: GivenFile, original: Original) -> tuple[Tensors, Prepare]:
    """Return the inputs of a graph's NMS, if all default boxes of each class enter it."""
    node = next(node for node in given.model.graph.node if node.op_type == "NonMaxSuppression")
    boxes, scores = node.input[:2]
    decoded = original.heads.coding is None and _same_background(None, original)
    if not decoded or not given.tensors.issuperset((boxes, scores)):
        return {}, unprepared
    zeros = np.zeros(recipe.input.shape, np.float32)
    outputs = given.runner(given.image, [scores, boxes]).run({given.image: zeros})
    places = original.default_boxes, recipe.classes - 1
    if (outputs[boxes].shape, outputs[scores].shape) != ((1, places[0], 4), (1, *places[::-1])):
        return {}, unprepared
    tensors = HeadTensor(scores, "by_class", places[1], background=None), HeadTensor(boxes)
    return dict(zip(original.heads.names, tensors, strict=True)), unprepared


def _same_background(column: int | None, original: Original) -> bool:
    """Say whether both have a column of the background, as networks do, or neither, as what enters an NMS."""
    return (column is None) == (original.tensors[original.heads.scores].background is None)


def _is_the_same(given: GivenFile, original: Original) -> bool:
    """Say whether a file and the original are the same bytes."""
    path = original.model
    if not isinstance(path, Path) or path.suffix.lower() != given.path.suffix.lower():
        return False
    return digests_of(path) == digests_of(given.path)


def _inner(
    recipe: Recipe, given: GivenFile, on: Machine, original: Original, tensors: Tensors, prepare: Prepare
) -> Pair | None:
    """Return the inner tensors of both files where they share names; see `Candidate.inner`."""
    if original.inner is None:
        return None
    network = not isinstance(original.model, Path)
    caffe = not network and original.model.suffix.lower() not in SUFFIXES
    if (network and given.is_ir) or (caffe and not given.is_ir):
        return None  # names of modules are in the graph exported of them, names of layers in an IR
    if caffe:  # whose layers name the operations
        own = given.inner(recipe.input.name, {}, on, named_by_operation)
    else:
        own = given.inner(recipe.input.name, tensors, on, prepare)
    return original.inner(given.path), own
