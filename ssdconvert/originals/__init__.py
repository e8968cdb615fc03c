"""The original model in its own engine: one file a kind of source."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from ssdconvert.outputs import OutputForm
from ssdconvert.runners import Arrays, Runner
from ssdconvert.ssd.heads import Heads, HeadTensor


@dataclass(frozen=True)
class Original:
    """The original model: what its heads mean, where they are in it, and `run` as its authors ran it.

    `model` is the network (an nn.Module) or the path of the untouched file. `default_boxes` is P. `own`
    is the form of its own detections, None where it ends in heads.
    """

    heads: Heads
    default_boxes: int
    model: Any
    runner: Runner
    tensors: Mapping[str, HeadTensor]
    own: OutputForm | None = None
    notes: tuple[str, ...] = ()

    def heads_in(self, outputs: Mapping[str, NDArray[Any]]) -> Arrays:
        """Return the heads by our names from outputs of the original by its own."""
        return {ours: tensor.read(outputs[tensor.name]) for ours, tensor in self.tensors.items()}

    def run(self, image: NDArray[Any], input_name: str) -> Arrays:
        """Return the heads by our names for `image` f32 [1, 3, H, W], normalised."""
        return self.heads_in(self.runner.run({input_name: image}))
