"""A PyTorch checkpoint in the network that it belongs to."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssdconvert.checkpoint import load_state_dict
from ssdconvert.errors import ConversionError
from ssdconvert.networks import build_network
from ssdconvert.originals import Original
from ssdconvert.recipe import Recipe
from ssdconvert.recipe_source import PytorchSource
from ssdconvert.ssd.heads import BoxCoding, Heads, HeadTensor


def load_pytorch(recipe: Recipe, source: PytorchSource, path: Path) -> Original:
    """Return the network with the weights of the checkpoint at `path`; ConversionError if they do not fit."""
    import torch

    from ssdconvert.runners.torch_runner import TorchRunner
    from ssdconvert.runners.torch_tensors import TorchTensors

    height, width = recipe.input.shape[2:]
    network = build_network(source.network, height, width, recipe.classes, source.options)
    own = network.state_dict()
    checkpoint = load_state_dict(path, {key: tuple(tensor.shape) for key, tensor in own.items()})
    for key, array in checkpoint.tensors.items():
        _refuse_unusable(path, key, array, own[key].is_floating_point())
    tensors = {key: torch.from_numpy(array) for key, array in checkpoint.tensors.items()}
    network.load_state_dict(tensors, strict=False)
    coding = _coding(network)
    heads = Heads(coding, recipe.detections.clip, logits=True)
    names = {name: HeadTensor(name) for name in heads.names}
    runner = TorchRunner(network, heads.names)
    return Original(
        heads, len(coding.default_boxes), network, runner, names, notes=checkpoint.notes,
        inner=lambda exported: TorchTensors(network, exported, heads.names),
    )  # fmt: skip


def coding_of_network(
    name: str, height: int, width: int, classes: int, options: Mapping[str, Any]
) -> BoxCoding:
    """Return the default boxes of a family at an input size in pixels, and their variances."""
    return _coding(build_network(name, height, width, classes, options))


def _coding(network: Any) -> BoxCoding:
    return BoxCoding(network.default_boxes(), network.variances, network.largest_size_offset)


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
