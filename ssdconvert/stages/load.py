"""Load: the original model in its own engine, from checked files, without running code from them."""

from collections.abc import Mapping
from pathlib import Path

from ssdconvert.errors import RecipeError
from ssdconvert.originals import Original
from ssdconvert.recipe import Recipe
from ssdconvert.recipe_source import OnnxSource, PytorchSource


def load(recipe: Recipe, files: Mapping[str, Path]) -> Original:
    """Return the original of a recipe from its files by name.

    Raises ConversionError for a file that cannot be loaded or does not fit, RecipeError for a
    recipe that names what does not exist.
    """
    source = recipe.source
    path = files[source.files[0].name]
    if isinstance(source, PytorchSource):
        from ssdconvert.originals.pytorch import load_pytorch

        return load_pytorch(recipe, source, path)
    if isinstance(source, OnnxSource):
        from ssdconvert.originals.onnx import load_onnx

        return load_onnx(recipe, source, path)
    raise RecipeError(
        f"sources of kind {source.kind} cannot be converted by this version",
        hint="kinds that can: pytorch, onnx",
    )
