"""A candidate: one file on one device in one engine, to be judged against the original."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from ssdconvert.devices import computes_in_half
from ssdconvert.errors import ConversionError
from ssdconvert.outputs import STATIC, OutputForm
from ssdconvert.recipe import Input
from ssdconvert.runners import Runner
from ssdconvert.runners.inner_tensors import InnerTensors
from ssdconvert.samples import Picture, Sample
from ssdconvert.ssd.heads import HeadTensor
from ssdconvert.ssd.preprocess import picture_input, resized
from ssdconvert.toolchains.call import Toolchain

if TYPE_CHECKING:
    from ssdconvert.runners.half_simulation import HalfSimulation

Tensors = Mapping[str, HeadTensor]
Pair = tuple[InnerTensors, InnerTensors]


@dataclass(frozen=True)
class Candidate:
    """A file to judge.

    `normalised` says whether it takes the original's input or 0..255, `tensors` where its heads are by our
    names, `form` how it hands out detections, None where it does not. `is_reference` marks the file that
    the reference is, in the same engine: it can only agree with itself; `shown` one whose detections the
    report draws, the first of those that run. `inner` are the tensors of the file that it was made from,
    which takes the original's input, and its own; None where names are not shared. `promises` reads from the
    file itself what it should keep: what is broken of each. `not_compared` says in words what of
    it nothing can be held against: a verdict on it is open. `simulated` opens its heads as they would be
    computed in f16, None for a device that computes in f32. `computed_in` is the precision whose limits fit
    the type in which an engine computes. `open_in` opens it in the OpenVINO of a toolchain; `toolchain` is the
    name of the one that runs it, empty where it is this process. `resized` is the tensor behind the resize of one
    that takes pictures, u8 [1, H, W, 3] of any size; empty in others.
    """

    hop: str
    precision: str
    device: str
    normalised: bool
    open: Callable[[], Runner]
    tensors: Tensors
    form: OutputForm | None = STATIC
    is_reference: bool = False
    shown: bool = False
    inner: Pair | None = None
    promises: Callable[[], Mapping[str, Sequence[str]]] | None = None
    not_compared: Sequence[str] = ()
    simulated: Callable[[], "HalfSimulation"] | None = None
    computed_in: str = "FP32"
    open_in: Callable[[Toolchain], Runner] | None = None
    toolchain: str = ""
    resized: str = ""

    def fed(self, sample: Sample, spec: Input) -> NDArray[Any]:
        """Return what this file takes of a sample; pictures at the size of the network, where no filter acts."""
        if self.resized and isinstance(sample, Picture):
            return picture_input(resized(sample.pixels, spec), spec)
        return (sample.for_original if self.normalised else sample.for_converted)(spec)

    @property
    def precisions(self) -> tuple[str, str]:
        """Those of its weights and of its arithmetic: limits are those of the rougher."""
        return self.precision, self.computed_in

    @property
    def rounded(self) -> bool:
        """Whether its weights or its numbers on the way are rounded to less than f32."""
        return self.precisions != ("FP32", "FP32")

    def also_in(self, toolchains: Sequence[Toolchain]) -> "Iterator[Candidate]":
        """Yield this candidate, and the same file as it runs in each toolchain."""
        yield self
        for toolchain in toolchains if self.open_in else ():
            assert self.open_in is not None
            yield replace(
                self, open=partial(self.open_in, toolchain), shown=False, inner=None, simulated=None,
                toolchain=toolchain.kind.name,
                # read once, where it surely runs
                promises=None if self.device == "CPU" else self.promises,
            )  # fmt: skip


def simulation_of(
    path: Path, precision: str, device: str, heads: Sequence[str], prepare: Callable[[Any], Any]
) -> "Callable[[], HalfSimulation] | None":
    """Return what opens the simulation of an IR's `heads` on a device that computes in f16; None for others."""
    from ssdconvert.runners.half_simulation import HalfSimulation

    if not computes_in_half(device):
        return None

    def opened() -> HalfSimulation:
        if precision == "INT8":
            raise ConversionError("a file in 8 bits is not simulated in f16", stage="verify")
        if not heads:
            raise ConversionError("no heads are known that could be simulated in f16", stage="verify")
        return HalfSimulation(path, heads, prepare)

    return opened
