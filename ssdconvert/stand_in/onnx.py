"""ONNX stand-ins: the file that a recipe names, and the archive with recorded outputs if it names one."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ssdconvert.errors import RecipeError
from ssdconvert.recipe import Recipe
from ssdconvert.recipe_source import OnnxSource
from ssdconvert.ssd.boxes import FloatArray
from ssdconvert.stand_in.calibration_pictures import pictures_of
from ssdconvert.stand_in.own_nms import write_with_heads, write_with_own_nms
from ssdconvert.stand_in.quantised import write_quantised
from ssdconvert.stand_in.zoo_archive import write_zoo_archive


def write_files(recipe: Recipe, folder: Path) -> None:
    """Write the files of `recipe`, whose source is an OnnxSource, into `folder`: the same bytes every time.

    Raises RecipeError for a recipe that does not say what its stand-in is.
    """
    from ssdconvert.runners.onnx_runner import OnnxRunner
    from ssdconvert.ssd.preprocess import original_input
    from ssdconvert.stand_in.weights import seeded_network

    source = recipe.source
    assert isinstance(source, OnnxSource)
    made = source.stand_in
    decoded = source.heads is not None and source.heads.default_boxes is None
    if made is None or len(source.files) != 1 or (source.heads and (made.quantised or not decoded)):
        raise RecipeError(
            f"{recipe.name}: a stand-in is one file, with NMS or with decoded boxes; a quantised one has NMS",
            hint="write source.stand_in: {network: NAME, opset: 10}, one file, and no source.heads if quantised",
            stage="stand-in",
        )
    pictures = pictures_of(recipe)
    network = seeded_network(
        made.network, made.options, recipe.input, recipe.detections, recipe.classes, pictures
    )
    images = [original_input(pixels, recipe.input) for pixels in pictures]
    path, name = folder / source.files[0].name, recipe.input.name
    path.parent.mkdir(parents=True, exist_ok=True)
    if source.heads is not None:
        names = source.heads.scores, source.heads.boxes
        write_with_heads(network, name, recipe.input.shape, path, made.opset, *names)
    elif made.quantised is None:
        write_with_own_nms(network, name, recipe.input.shape, path, made.opset)
    else:
        with tempfile.TemporaryDirectory() as temporary:
            unquantised = Path(temporary) / "float.onnx"
            write_with_own_nms(network, name, recipe.input.shape, unquantised, made.opset)
            del network
            write_quantised(unquantised, path, made.quantised, name, [_side_by_side(images)])
    if source.recorded is not None:
        outputs = OnnxRunner(path, exact=made.quantised is not None).run({name: images[0]})
        archive = folder / source.recorded.file.name
        write_zoo_archive(archive, path.stem, path.read_bytes(), {name: images[0]}, outputs)


def _side_by_side(images: Sequence[FloatArray]) -> FloatArray:
    """Return one image [1, 3, H, W] with a strip of each: a second run takes ONNX Runtime twice the memory."""
    width = images[0].shape[3]
    edges = [round(width * index / len(images)) for index in range(len(images) + 1)]
    strips = [image[..., edges[index] : edges[index + 1]] for index, image in enumerate(images)]
    return np.concatenate(strips, axis=3)
