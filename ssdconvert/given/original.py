"""The reference of a verification, from a file that somebody gives.

Where its heads are follows from names, ours or the recipe's, or from what enters its own suppression.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from ssdconvert.errors import ConversionError, RecipeError
from ssdconvert.given.derived_recipe import DerivedRecipe, takes_pixels
from ssdconvert.given.file import (
    STAGE,
    SUFFIXES,
    GivenFile,
    described,
    refuse_other_input,
)
from ssdconvert.given.reading import read_given
from ssdconvert.given.rule import our_names
from ssdconvert.originals import Original
from ssdconvert.originals.fit import fitted, heads_named
from ssdconvert.originals.pytorch import coding_of_network
from ssdconvert.outputs import form_of
from ssdconvert.recipe import Recipe
from ssdconvert.recipe_source import CaffeSource, IrSource, OnnxSource, PytorchSource
from ssdconvert.runners.fed_as import FedAs
from ssdconvert.ssd.heads import (
    BOX_OFFSETS,
    CLASS_LOGITS,
    CLASS_PROBABILITIES,
    DECODED_BOXES,
    Heads,
    HeadTensor,
    UnknownHeads,
)
from ssdconvert.stages.load import load

Tensors = Mapping[str, HeadTensor]


def original_of(recipe: Recipe, path: Path) -> Original:
    """Return the reference: the kind of file that the recipe's source is, or any ONNX file or IR of the model.

    Raises RecipeError where there is no such file or it is of no kind that fits, ConversionError where it
    does not load, is not what the recipe says, or has no heads that can be found.
    """
    if not path.is_file():
        raise RecipeError(f"{path} does not exist", hint="give the path of the original", stage=STAGE)
    if path.suffix.lower() not in SUFFIXES:
        return load(recipe, _source_files(recipe, path))
    given = read_given(path)
    refuse_other_input(given, recipe)
    derived = isinstance(recipe, DerivedRecipe)
    if derived and not given.suppressing:
        return _of_unknown_heads(recipe, given)
    heads = _our_heads(recipe, given)
    if heads is not None:
        return _of_our_heads(recipe, given, *heads)
    if given.is_ir:
        return _of_an_ir(recipe, given)
    if isinstance(recipe.source, OnnxSource):
        loaded = load(_with_input(recipe, given), {recipe.source.files[0].name: path})
        return _fed_as(loaded, recipe, given)
    raise ConversionError(
        f"{path.name} holds no heads that {recipe.name} knows: tensors {' or '.join(_names_looked_for(recipe))}",
        hint="give the original that the recipe names, or a file that ssdconvert made of it",
        stage="load",
    )


def _source_files(recipe: Recipe, path: Path) -> dict[str, Path]:
    """Return a recipe's files by name; the second of a pair lies beside the first, with the same stem."""
    source = recipe.source
    suffixes = {Path(file.name).suffix for file in source.files}
    if isinstance(source, CaffeSource) and path.suffix in suffixes:
        files = {file.name: path.with_suffix(Path(file.name).suffix) for file in source.files}
    elif isinstance(source, PytorchSource):
        files = {source.files[0].name: path}
    else:
        raise RecipeError(
            f"{path} is none of {', '.join(sorted({*suffixes, *SUFFIXES}))}: {recipe.name} is of kind {source.kind}",
            hint="give the original that the recipe names, an ONNX file, or the .xml of an IR",
            stage=STAGE,
        )
    for file in files.values():
        if not file.is_file():
            raise ConversionError(
                f"{file} does not exist", hint="a Caffe model is a pair of files of one stem", stage="load"
            )
    return files


def _our_heads(recipe: Recipe, given: GivenFile) -> tuple[Heads, Tensors] | None:
    """Return the heads of a file of ours, and where they are; None where it has no tensors of these names."""
    clip = recipe.detections.clip
    if isinstance(recipe, DerivedRecipe):
        names = our_names(given)
        heads = Heads(clip=clip, logits=CLASS_LOGITS in names)
        return (heads, {ours: HeadTensor(theirs) for ours, theirs in names.items()}) if names else None
    if not given.tensors.issuperset(_names_looked_for(recipe)):
        return None
    source = recipe.source
    if isinstance(source, PytorchSource):
        height, width = recipe.input.shape[2:]
        coding = coding_of_network(source.network, height, width, recipe.classes, source.options)
        heads = Heads(coding, clip, logits=True)
    elif isinstance(source, OnnxSource | CaffeSource) and source.heads is not None:
        heads = heads_named(recipe, source.heads)
    else:
        heads = Heads(clip=clip)
    return heads, {name: HeadTensor(name) for name in heads.names}


def _names_looked_for(recipe: Recipe) -> tuple[str, str]:
    """Return our names of the heads in what is made of a recipe."""
    source = recipe.source
    if isinstance(source, PytorchSource):
        return CLASS_LOGITS, BOX_OFFSETS
    coded = isinstance(source, OnnxSource | CaffeSource) and source.heads and source.heads.default_boxes
    return CLASS_PROBABILITIES, BOX_OFFSETS if coded else DECODED_BOXES


def _of_our_heads(recipe: Recipe, given: GivenFile, heads: Heads, tensors: Tensors) -> Original:
    """Return a file with the heads by name, whatever it ends in."""
    own = form_of(given.outputs) if given.suppressing else None
    original = replace(_bare(recipe, given, tensors), heads=heads, own=own)
    zeros = original.runner.run({recipe.input.name: np.zeros(recipe.input.shape, np.float32)})
    return fitted(recipe, original, given.path.name, zeros)


def _of_unknown_heads(recipe: Recipe, given: GivenFile) -> Original:
    tensors = {name: HeadTensor(name) for name in given.outputs}
    return replace(_bare(recipe, given, tensors), heads=UnknownHeads(), detects=False)


def _bare(recipe: Recipe, given: GivenFile, tensors: Tensors) -> Original:
    """Return what does not depend on what a file's heads mean."""
    names = [tensor.name for tensor in tensors.values()]
    inner = given.inner(recipe.input.name, tensors)
    return Original(
        Heads(), 0, given.path, given.runner(recipe.input.name, names), tensors,
        quantised=given.precision == "INT8", inner=lambda exported: inner, takes_pixels=takes_pixels(recipe, given),
        precision=given.precision,
    )  # fmt: skip


def _of_an_ir(recipe: Recipe, given: GivenFile) -> Original:
    """Return an IR whose heads enter its own suppression."""
    from ssdconvert.originals.ir import load_xml

    if isinstance(recipe.source, IrSource) or given.suppressing:
        return _fed_as(load_xml(_with_input(recipe, given), given.precision, given.path), recipe, given)
    raise ConversionError(
        f"{given.path.name} ends in {described(given.outputs)} and holds no heads that {recipe.name} knows: "
        f"tensors {' or '.join(_names_looked_for(recipe))}",
        hint="give the original that the recipe names, or a file that ssdconvert made of it",
        stage="load",
    )


def _with_input(recipe: Recipe, given: GivenFile) -> Recipe:
    """Return the recipe with the name that a file has for its input."""
    return recipe.model_copy(update={"input": recipe.input.model_copy(update={"name": given.image})})


def _fed_as(original: Original, recipe: Recipe, given: GivenFile) -> Original:
    """Return an original that is fed by the recipe's name of the input, with what its file says of itself."""
    inner = given.inner(recipe.input.name, original.tensors, prepare=original.prepare)
    renamed = recipe.input.name != given.image
    return replace(
        original,
        runner=FedAs(original.runner, given.image) if renamed else original.runner,
        inner=lambda exported: inner,
        quantised=given.precision == "INT8",
        takes_pixels=takes_pixels(recipe, given),
        precision=given.precision,
    )
