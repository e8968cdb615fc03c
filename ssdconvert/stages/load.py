"""Load: the original model in its own engine, from checked files, without running code from them."""

from collections.abc import Mapping
from pathlib import Path

from ssdconvert.errors import ConversionError
from ssdconvert.originals import Original
from ssdconvert.recipe import Recipe
from ssdconvert.recipe_source import CaffeSource, OnnxSource, PytorchSource, caffe_pair


def load(recipe: Recipe, files: Mapping[str, Path]) -> Original:
    """Return the original of a recipe from its files by name.

    Raises ConversionError for a file that cannot be loaded or does not fit, RecipeError for a
    recipe that names what does not exist.
    """
    source = recipe.source
    path = next(iter(files.values()))
    if isinstance(source, PytorchSource):
        from ssdconvert.originals.pytorch import load_pytorch

        return load_pytorch(recipe, source, path)
    if isinstance(source, OnnxSource):
        from ssdconvert.originals.onnx import load_onnx

        original = load_onnx(recipe, source, path)
        _refuse_other_precisions(recipe, original, path.name)
        return original
    if isinstance(source, CaffeSource):
        from ssdconvert.originals.caffe import load_caffe

        return load_caffe(recipe, source, *caffe_pair(files))
    from ssdconvert.originals.ir import load_ir

    return load_ir(recipe, source, files)


def _refuse_other_precisions(recipe: Recipe, original: Original, file: str) -> None:
    """Raise ConversionError for precisions that an ONNX file cannot be converted to: see `build_plan.offered`."""
    if original.quantised != (recipe.precisions == ("INT8",)):
        right = "[INT8]" if original.quantised else "[FP32, FP16]"
        raise ConversionError(
            f"{file} is {'' if original.quantised else 'not '}quantised, "
            f"and the recipe's precisions are {', '.join(recipe.precisions)}",
            hint=f"write precisions: {right} into the recipe",
            stage="load",
        )
