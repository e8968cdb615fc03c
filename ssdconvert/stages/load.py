"""Load: the original model in its own engine, from checked files, without running code from them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssdconvert.checkpoint import load_state_dict
from ssdconvert.errors import ConversionError, RecipeError
from ssdconvert.networks import build_network
from ssdconvert.recipe import OnnxSource, PytorchSource, Recipe
from ssdconvert.runners import Arrays, Runner
from ssdconvert.ssd.heads import BoxCoding, Heads


@dataclass(frozen=True)
class Original:
    """The original model: what its heads mean, and `run` on an input as its authors fed it.

    `model` is the network (an nn.Module) or the path of the untouched ONNX file. `default_boxes` is P.
    """

    heads: Heads
    default_boxes: int
    model: Any
    runner: Runner
    tensor_names: Mapping[str, str]
    notes: tuple[str, ...] = ()

    def run(self, image: NDArray[Any], input_name: str) -> Arrays:
        """Return the head tensors by our names for `image` f32 [1, 3, H, W], normalised."""
        outputs = self.runner.run({input_name: image})
        return {ours: outputs[theirs] for ours, theirs in self.tensor_names.items()}


def load(recipe: Recipe, files: Mapping[str, Path]) -> Original:
    """Return the original of a recipe from its files by name.

    Raises ConversionError for a file that cannot be loaded or does not fit, RecipeError for a
    recipe that names what does not exist.
    """
    source = recipe.source
    path = files[source.files[0].name]
    if isinstance(source, PytorchSource):
        return _load_pytorch(recipe, source, path)
    if isinstance(source, OnnxSource):
        return _load_onnx(recipe, source, path)
    raise RecipeError(
        f"sources of kind {source.kind} cannot be converted by this version",
        hint="kinds that can: pytorch, onnx",
    )


def _load_pytorch(recipe: Recipe, source: PytorchSource, path: Path) -> Original:
    import torch

    from ssdconvert.runners.torch_runner import TorchRunner

    height, width = recipe.input.shape[2:]
    network = build_network(source.network, height, width, recipe.classes, source.options)
    own = network.state_dict()
    checkpoint = load_state_dict(path, {key: tuple(tensor.shape) for key, tensor in own.items()})
    for key, array in checkpoint.tensors.items():
        _refuse_unusable(path, key, array, own[key].is_floating_point())
    tensors = {key: torch.from_numpy(array) for key, array in checkpoint.tensors.items()}
    network.load_state_dict(tensors, strict=False)
    default_boxes = network.default_boxes()  # type: ignore[operator]
    coding = BoxCoding(default_boxes, network.variances, network.largest_size_offset)  # type: ignore[arg-type]
    heads = Heads(coding, recipe.detections.clip)
    names = {name: name for name in heads.names}
    return Original(
        heads, len(default_boxes), network, TorchRunner(network, heads.names), names, checkpoint.notes
    )


def _refuse_unusable(path: Path, key: str, array: NDArray[Any], floating: bool) -> None:
    """Raise ConversionError for a weight of another kind of number, or with values that are none."""
    if np.issubdtype(array.dtype, np.floating) != floating:
        problem = (
            f"{key} holds {array.dtype}, expected {'floating-point numbers' if floating else 'integers'}"
        )
    elif not np.isfinite(array).all():
        problem = f"{key} holds NaN or infinity"
    else:
        return
    raise ConversionError(
        f"{path.name}: {problem}",
        hint="the checkpoint is damaged or quantised: get the float one",
        stage="load",
    )


def _refuse_external_data(path: Path) -> None:
    """Raise ConversionError for an ONNX file whose weights lie in other files: nobody checked those."""
    import onnx

    graph = onnx.load(path, load_external_data=False).graph
    for tensor in graph.initializer:
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            raise ConversionError(
                f"{path.name} keeps the weight {tensor.name} in another file",
                hint="save it in one file: onnx.save(onnx.load(FILE), FILE)",
                stage="load",
            )


def _load_onnx(recipe: Recipe, source: OnnxSource, path: Path) -> Original:
    from ssdconvert.runners.onnx_runner import OnnxRunner

    if source.heads is None:
        raise RecipeError(
            f"{recipe.name} does not say where the heads of its ONNX file are",
            hint="write source.heads: {scores: NAME, boxes: NAME}",
        )
    runner = OnnxRunner(path)
    _refuse_external_data(path)
    shapes = {output.name: output.shape for output in runner.session.get_outputs()}
    heads = Heads(clip=recipe.detections.clip)
    names = dict(zip(heads.names, (source.heads.scores, source.heads.boxes), strict=True))
    inputs = {entry.name: entry.shape for entry in runner.session.get_inputs()}
    if list(recipe.input.shape) != inputs.get(recipe.input.name):
        raise ConversionError(
            f"{path.name} has the inputs {inputs}, expected {recipe.input.name!r} {list(recipe.input.shape)}",
            hint="correct input.name or input.shape in the recipe",
            stage="load",
        )
    for name, width in ((source.heads.scores, recipe.classes), (source.heads.boxes, 4)):
        if name not in shapes or len(shapes[name]) != 3 or shapes[name][2] != width:
            raise ConversionError(
                f"{path.name} has the outputs {shapes}, expected {name!r} [1, P, {width}]",
                hint="correct source.heads or detections.labels in the recipe",
                stage="load",
            )
    return Original(heads, shapes[source.heads.boxes][1], path, runner, names)
