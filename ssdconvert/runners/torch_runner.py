"""Runs one of our networks in PyTorch."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from ssdconvert.runners import Arrays

if TYPE_CHECKING:
    import torch


class TorchRunner:
    """`network` in evaluation mode on the CPU; its outputs get `output_names` in order."""

    executed_on = "CPU"
    execution_precision = "f32"

    def __init__(self, network: "torch.nn.Module", output_names: Sequence[str]) -> None:
        import torch

        self.network = network.eval()
        self.output_names = tuple(output_names)
        self.runtime = f"torch {torch.__version__}"

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> Arrays:
        """Run on the single entry of `feeds`."""
        import torch

        (image,) = feeds.values()
        with torch.inference_mode():
            outputs = self.network(torch.from_numpy(image))
        return {name: tensor.numpy() for name, tensor in zip(self.output_names, outputs, strict=True)}
