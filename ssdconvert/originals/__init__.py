"""The original model in its own engine: one file a kind of source."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from ssdconvert.outputs import TAILS, OutputForm
from ssdconvert.runners import Arrays, Runner
from ssdconvert.runners.inner_tensors import InnerTensors
from ssdconvert.ssd.heads import Heads, HeadTensor


@dataclass(frozen=True)
class Original:
    """The original model: what its heads mean, where they are in it, and `run` as its authors ran it.

    `model` is the network (an nn.Module) or the path of the untouched file. `default_boxes` is P. `own`
    is the form of its own detections, None where it ends in heads. `keeps_outputs`: the converted model
    suppresses as the original does and has its outputs, instead of a tail of ours. `quantised`: it computes
    in integers, and no two engines do that alike. `prepare` names the tensors of a read IR that have no
    name. `in_order_of_score`: its heads are sorted, so that those of two runs cannot be compared row by row.
    `inner` returns its inner tensors, by the names that they have in the graph exported to a path; None where
    what is made of it shares no names with it.

    Of a file that somebody gives as the reference: `takes_pixels`: it takes 0..255 in the converted model's
    channel order, the preprocessing is inside. `precision` is that of its weights: what a right copy may
    differ by follows from the rougher of both. `detects`: whether anything says what its tensors mean;
    without it `heads` are UnknownHeads, `tensors` are its outputs by their own names, to be compared alone.
    """

    heads: Heads
    default_boxes: int
    model: Any
    runner: Runner
    tensors: Mapping[str, HeadTensor]
    own: OutputForm | None = None
    keeps_outputs: bool = False
    quantised: bool = False
    prepare: Callable[[Any], Any] = lambda model: None
    in_order_of_score: bool = False
    notes: tuple[str, ...] = ()
    inner: Callable[[Path], InnerTensors] | None = None
    takes_pixels: bool = False
    precision: str = "FP32"
    detects: bool = True

    @property
    def our_tensors(self) -> dict[str, HeadTensor]:
        """The heads in what ssdconvert exports: by our names."""
        return {name: HeadTensor(name) for name in self.heads.names}

    @property
    def tensors_in_ir(self) -> Mapping[str, HeadTensor]:
        """The heads in an IR, which has those of the original where it keeps the original's end."""
        return self.tensors if self.keeps_outputs and self.own is not None else self.our_tensors

    def form_in_ir(self, tail: str) -> OutputForm | None:
        """Return how an IR hands out detections: by `tail`, one of `outputs.TAILS`, unless it keeps its own end."""
        return self.own if self.keeps_outputs and self.own is not None else TAILS[tail]

    def heads_in(self, outputs: Mapping[str, NDArray[Any]]) -> Arrays:
        """Return the heads by our names from outputs of the original by its own."""
        return {ours: tensor.read(outputs[tensor.name]) for ours, tensor in self.tensors.items()}

    def head_shapes(self, classes: int) -> dict[str, list[int]]:
        """Return the shape of each head by our names, scores first, for C = `classes`."""
        numbers = zip(self.heads.names, (classes, 4), strict=True)
        return {name: [1, self.default_boxes, count] for name, count in numbers}

    def run(self, image: NDArray[Any], input_name: str) -> Arrays:
        """Return the heads by our names for `image` f32 [1, 3, H, W], normalised."""
        return self.heads_in(self.runner.run({input_name: image}))
