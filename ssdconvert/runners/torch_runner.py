"""Runs one of our networks in PyTorch."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from ssdconvert.runners import Arrays, stopped

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
        """Run on the single entry of `feeds`; ConversionError where torch fails."""
        import torch

        (image,) = feeds.values()
        try:
            with torch.inference_mode():
                outputs = self.network(torch.from_numpy(image))
        except RuntimeError as error:
            raise stopped("the network", "torch", str(error)) from error
        return {name: tensor.numpy() for name, tensor in zip(self.output_names, outputs, strict=True)}
