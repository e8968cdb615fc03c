"""torchvision as an independent implementation; the package itself does not use it."""

import importlib
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

# What torchvision's Python code must find declared when it is imported. Its wheel has the operators in
# a library built for CUDA, which does not load beside a torch for the CPU.
OPERATORS = ("nms", "qnms")
SIGNATURE = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
HEADS_LIMIT = 1e-4  # of the output's scale


@pytest.fixture(scope="session")
def operators() -> Any:
    """The library of torchvision's operators, declared and not implemented, where the wheel's does not load."""
    specification = importlib.util.find_spec("torchvision")
    if specification is None or specification.origin is None:
        pytest.skip("torchvision is not installed: pip install --no-deps torchvision==0.28.0")
    try:
        torch.ops.load_library(next(Path(specification.origin).parent.glob("_C*.so")))
    except (OSError, StopIteration):
        library = torch.library.Library("torchvision", "DEF")
        for operator in OPERATORS:
            library.define(operator + SIGNATURE)
        return library
    return None


@pytest.fixture(scope="session")
def torchvision(operators: Any) -> Any:
    """The package torchvision, for its networks."""
    importlib.import_module("torchvision.models.detection")
    return importlib.import_module("torchvision")


@pytest.fixture(scope="session")
def seeded() -> Callable[[Any], Any]:
    """A function that fills a network with weights under which its maps neither vanish nor explode."""

    def fill(network: Any) -> Any:
        generator = torch.Generator().manual_seed(11)
        for name, tensor in network.state_dict().items():
            if tensor.dim() == 4:
                tensor.normal_(0, (2 / tensor[0].numel()) ** 0.5, generator=generator)
            elif name.endswith("running_var"):
                tensor.uniform_(0.5, 1.5, generator=generator)
            elif name.endswith("weight"):  # of a normalisation
                tensor.mul_(torch.empty_like(tensor).uniform_(0.7, 1.3, generator=generator))
            elif not name.endswith("num_batches_tracked"):
                tensor.normal_(0, 0.1, generator=generator)
        return network.eval()

    return fill


@pytest.fixture(scope="session")
def same() -> Callable[[Any, Any], None]:
    """A function that compares two tensors, the error relative to the scale of the second."""

    def check(ours: Any, theirs: Any) -> None:
        assert ours.shape == theirs.shape
        scale = theirs.abs().max().item()
        assert np.isfinite(scale)
        assert theirs.std().item() > 1e-3 * scale  # it says something
        assert (ours - theirs).abs().max().item() <= HEADS_LIMIT * scale

    return check
