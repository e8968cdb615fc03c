"""A model file that somebody gives, an ONNX graph or an IR: what it takes and gives, and how precise it is.

Nothing is known of such a file but what it says itself. Both kinds are read into the same facts, so that
whatever compares two files need not ask which kind they are.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ssdconvert.devices import Machine
from ssdconvert.errors import ConversionError
from ssdconvert.outputs import OutputForm, form_of, unknown_form
from ssdconvert.recipe import Recipe
from ssdconvert.runners import Runner
from ssdconvert.runners.fed_as import FedAs, TensorsFedAs
from ssdconvert.runners.inner_tensors import InnerTensors, OnnxTensors, OpenvinoTensors
from ssdconvert.ssd.heads import HeadTensor
from ssdconvert.toolchains.call import Toolchain
from ssdconvert.workspace import digest_of

SUFFIXES = (".onnx", ".xml")
FOLLOWED = ("DetectionOutput", "NonMaxSuppression")
SUPPRESSES = (*FOLLOWED, "MatrixNms", "MulticlassNms")
STAGE = "verify"
HERE = Machine()

Prepare = Callable[[Any], Any]


def unprepared(model: Any) -> None:
    """Leave a read model as it is."""


@dataclass(frozen=True)
class Port:
    """An input or output: its element type, and its sides, None for one that is not fixed."""

    type: str
    sides: tuple[int | None, ...] | None

    def __str__(self) -> str:
        if self.sides is None:
            return f"{self.type} of any shape"
        return f"{self.type} [{', '.join('?' if side is None else str(side) for side in self.sides)}]"


@dataclass(frozen=True)
class GivenFile:
    """A file at `path`, read as `model` (onnx.ModelProto or openvino.Model).

    `tensors` are all that can be asked for by name. `precision` is that of most of its weights.
    `suppressing` are the types of its operations that suppress detections. `preprocessing` says in words
    what is baked in, empty where the file tells of nothing; `recipe` which recipe it was made by.
    """

    path: Path
    model: Any
    inputs: Mapping[str, Port]
    outputs: Mapping[str, Port]
    tensors: frozenset[str]
    precision: str
    suppressing: tuple[str, ...]
    preprocessing: str = ""
    recipe: str = ""
    input_color: str = ""

    @property
    def is_ir(self) -> bool:
        """Whether it is an IR, which takes 0..255, or an ONNX graph, which takes the original's input."""
        return self.path.suffix.lower() == ".xml"

    @property
    def image(self) -> str:
        """Name of its only input."""
        (name,) = self.inputs
        return name

    @property
    def form(self) -> OutputForm | None:
        """How it hands out detections, None where it ends in tensors; a form always broken where it is unknown."""
        known = form_of(self.outputs)
        return unknown_form(self.outputs) if known is None and self.suppressing else known

    def runner(
        self,
        input_name: str,
        extra: Sequence[str] = (),
        on: Machine = HERE,
        prepare: Prepare = unprepared,
    ) -> Runner:
        """Return the file in its engine, fed by an input of any name."""
        from ssdconvert.runners.onnx_runner import OnnxRunner
        from ssdconvert.runners.openvino_runner import OpenvinoRunner

        runner: Runner
        if self.is_ir:
            runner = OpenvinoRunner(self.path, on.device, extra, prepare, settings=on.settings)
        else:
            runner = OnnxRunner(self.path, extra, exact=self.precision == "INT8")
        return runner if input_name == self.image else FedAs(runner, self.image)

    def runner_in(
        self, toolchain: Toolchain, input_name: str, extra: Sequence[str], on: Machine, prepare: Prepare
    ) -> Runner:
        """Return an IR in the OpenVINO of a toolchain, fed by an input of any name."""
        from ssdconvert.runners.toolchain_runner import ToolchainRunner

        runner = ToolchainRunner(toolchain, self.path, on.device, extra, prepare, on.settings)
        return runner if input_name == self.image else FedAs(runner, self.image)

    def inner(
        self,
        input_name: str,
        heads: Mapping[str, HeadTensor],
        on: Machine = HERE,
        prepare: Prepare = unprepared,
    ) -> InnerTensors:
        """Return its inner tensors up to `heads`, its outputs if there are none, fed by an input of any name."""
        tensors: InnerTensors
        names = [head.name for head in heads.values()]
        if self.is_ir:
            tensors = OpenvinoTensors(self.path, on.device, prepare, names, on.settings)
        else:
            ours = {head.name: name for name, head in heads.items() if head.layout == "rows"}
            tensors = OnnxTensors(self.path, names or list(self.outputs), self.precision == "INT8", ours)
        return tensors if input_name == self.image else TensorsFedAs(tensors, self.image)


def digests_of(path: Path) -> tuple[str, ...]:
    """Return the SHA-256 of all that belongs to a file: of an .xml also that of its .bin."""
    paths = [path, path.with_suffix(".bin")] if path.suffix.lower() == ".xml" else [path]
    return tuple(digest_of(one) for one in paths)


def refuse_other_input(given: GivenFile, recipe: Recipe) -> None:
    """Raise ConversionError unless a file takes one picture of a recipe's shape, under any name."""
    expected = Port("f32", tuple(recipe.input.shape))
    if list(given.inputs.values()) != [expected]:
        raise ConversionError(
            f"{given.path.name} takes {described(given.inputs)}, expected one input {expected} as in {recipe.name}",
            hint=_hint_for_input(given),
            stage="load",
        )


def _hint_for_input(given: GivenFile) -> str:
    if [port.type for port in given.inputs.values()] == ["u8"]:
        judged = f"ssdconvert verify {given.recipe or 'NAME'} --converter openvino --bake image"
        return f"an IR that takes pictures (--bake image) is judged by its build: {judged}"
    return "is it of another recipe? A model must have a static shape and f32 input"


def described(ports: Mapping[str, Port]) -> str:
    """Return inputs or outputs in words."""
    return ", ".join(f"{name!r} {port}" for name, port in ports.items()) or "nothing"
