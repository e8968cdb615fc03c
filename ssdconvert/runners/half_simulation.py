"""Runs the heads of an IR as a device would that computes in f16, on the CPU: a simulation, no measurement.

Weights, constants and the result of each operation on the way to the heads are rounded to f16, by operations that
are put behind each of them in the graph; what exceeds 65504 becomes infinity, as it does on such a device. Inside
an operation sums stay f32, as in the accumulators of most devices, and so does the bias behind it. A device that
joins operations and keeps what is between them in f32, as OpenVINO does with norms and sums of exponentials, is
more exact than that: what is foreseen here may not happen there. Graphs that compute in 8 bits are not simulated.

The rounding is exact, ties to even, in all of f16's range. Above 2**-14 it is Veltkamp's splitting of a float32
(T. J. Dekker, A floating-point technique for extending the available precision, 1971): with c = 2**13 + 1,
y = c * x, the 11 leading bits of x are y - (y - x). Below, f16 is a grid of 2**-24. A pair of conversions to f16
and back would be simpler, and OpenVINO removes it.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssdconvert.errors import ConversionError
from ssdconvert.ir_file import read_ir
from ssdconvert.operation_names import name_apart
from ssdconvert.runners import Arrays, stopped
from ssdconvert.runners.openvino_core import first_line, new_core, openvino_name, operation_set
from ssdconvert.runners.openvino_runner import compiled

LARGEST = 65504.0
OVERFLOW = 65520.0  # halfway to what would come next: from here on f16 rounds to infinity
SPLIT = 2.0**13 + 1
SMALLEST_NORMAL, SMALLEST = 2.0**-14, 2.0**-24
# what only moves numbers, or picks some of them, gives f16 for f16
EXACT = {
    "Concat", "Gather", "MaxPool", "Maximum", "Minimum", "Pad", "Relu", "Reshape", "Slice", "Split", "Squeeze",
    "StridedSlice", "Tile", "Transpose", "Unsqueeze", "VariadicSplit",
}  # fmt: skip
ACCUMULATING = (
    "Convolution",
    "ConvolutionBackpropData",
    "GroupConvolution",
    "GroupConvolutionBackpropData",
    "MatMul",
)


@dataclass(frozen=True)
class Overflow:
    """An operation, by name and type, that gives what f16 does not hold; `largest` is None where it is no number."""

    operation: str
    type: str
    largest: float | None


@dataclass(frozen=True)
class _Step:
    """An operation whose results are rounded, and a result before that."""

    operation: str
    type: str
    result: Any


class HalfSimulation:
    """The tensors `heads` of the IR at `path`, computed in f16.

    `prepare` may give tensors of the read model a name. Raises ConversionError where the file cannot be read,
    has no tensor of such a name, or does not compile.
    """

    executed_on = "CPU"
    execution_precision = "f16, simulated"

    def __init__(
        self, path: Path, heads: Sequence[str], prepare: Callable[[Any], Any] = lambda model: None
    ) -> None:
        self.runtime = openvino_name()
        self.path, self.heads = path, tuple(heads)
        self.model = read_ir(path)
        prepare(self.model)
        name_apart(self.model.get_ordered_ops())  # a published IR need not; here they are looked up by name
        try:
            ports, self.steps = _in_half_precision(self.model, self.heads)
            self.compiled = self._compiled(ports)
        except RuntimeError as error:
            raise self._refused(first_line(error)) from error
        self._overflows: Any = None

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> Arrays:
        """Return the heads by name, on the single entry of `feeds`; ConversionError where OpenVINO fails."""
        results = self._results(self.compiled, feeds)
        return dict(zip(self.heads, results, strict=True))

    def first_overflow(self, feeds: Mapping[str, NDArray[Any]]) -> Overflow | None:
        """Return the first operation, in order of execution, that f16 does not hold; None where it holds all."""
        if self._overflows is None:
            self._overflows = self._compiled([_largest(step.result) for step in self.steps])
        for step, result in zip(self.steps, self._results(self._overflows, feeds), strict=True):
            largest = float(result)
            if not largest < OVERFLOW:
                return Overflow(step.operation, step.type, largest if np.isfinite(largest) else None)
        return None

    def _compiled(self, ports: Sequence[Any]) -> Any:
        import openvino

        operations = operation_set()
        results = [operations.result(port) for port in ports]
        model = openvino.Model(results, self.model.get_parameters(), "in f16")
        return compiled(new_core(), model, self.path, "CPU")

    def _results(self, model: Any, feeds: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        try:
            results = model([*feeds.values()], share_inputs=False)
        except RuntimeError as error:
            raise stopped(self.path, "OpenVINO in simulated f16", first_line(error)) from error
        return [np.array(results[index]) for index in range(len(results))]

    def _refused(self, why: str) -> ConversionError:
        return ConversionError(
            f"{self.path} cannot be simulated in f16: {why}", hint="see `ssdconvert doctor`", stage="verify"
        )


def _in_half_precision(model: Any, heads: Sequence[str]) -> tuple[list[Any], list[_Step]]:
    """Round what leads to `heads` in place; return the heads' ports, and what is rounded, in order of execution."""
    ports = {
        name: port for node in model.get_ordered_ops() for port in node.outputs() for name in port.get_names()
    }
    missing = [name for name in heads if name not in ports]
    if missing:
        raise RuntimeError(f"it has no tensor {', '.join(missing)}")
    rounded: dict[tuple[str, int], Any] = {}
    steps = []
    for node in _leading_to(model, [ports[name] for name in heads]):
        for port in node.outputs() if _is_rounded(node) else ():
            if port.get_element_type().get_type_name() != "f32":
                continue
            readers = port.get_target_inputs()
            result = _rounded_constant(node) if node.get_type_name() == "Constant" else _rounded(port)
            for reader in readers:
                reader.replace_source_output(result)
            rounded[_place(port)] = result
            steps.append(_Step(*_named(node, readers), port))
    return [rounded.get(_place(ports[name]), ports[name]) for name in heads], steps


def _named(node: Any, readers: Collection[Any]) -> tuple[str, str]:
    """Return an operation's name and type; those of what reads it for a constant, whose own name says nothing."""
    if node.get_type_name() != "Constant" or not readers:
        return node.get_friendly_name(), node.get_type_name()
    reader = min((one.get_node() for one in readers), key=lambda one: str(one.get_friendly_name()))
    return reader.get_friendly_name(), f"constant of {reader.get_type_name()}"


def _place(port: Any) -> tuple[str, int]:
    return port.get_node().get_friendly_name(), port.get_index()


def _leading_to(model: Any, ports: Sequence[Any]) -> list[Any]:
    """Return the operations that ports depend on, in order of execution."""
    needed, found = {port.get_node().get_friendly_name() for port in ports}, []
    for node in reversed(model.get_ordered_ops()):
        if node.get_friendly_name() in needed:
            found.append(node)
            needed |= {port.get_node().get_friendly_name() for port in node.input_values()}
    return found[::-1]


def _is_rounded(node: Any) -> bool:
    """Whether a device stores what an operation gives and can be wrong in doing so."""
    kind = node.get_type_name()
    if kind == "Convert":
        return bool(node.get_input_element_type(0).get_type_name() not in ("f16", "u8", "i8"))
    return kind not in EXACT and not (kind in ACCUMULATING and _goes_into_bias(node))


def _goes_into_bias(node: Any) -> bool:
    readers = list(node.output(0).get_target_inputs())
    if len(readers) != 1 or readers[0].get_node().get_type_name() != "Add":
        return False
    return all(_is_constant(port.get_node()) for port in _others(readers[0]))


def _others(reader: Any) -> list[Any]:
    ports = reader.get_node().input_values()
    return [port for index, port in enumerate(ports) if index != reader.get_index()]


def _is_constant(node: Any) -> bool:
    """Whether a node is a constant, or the f32 of one in f16."""
    if node.get_type_name() == "Convert":
        node = node.input_value(0).get_node()
    return bool(node.get_type_name() == "Constant")


def _rounded_constant(node: Any) -> Any:
    with np.errstate(over="ignore"):
        values = np.asarray(node.get_data()).astype(np.float16).astype(np.float32)
    return operation_set().constant(values).output(0)


def _rounded(port: Any) -> Any:
    """Return the port of what rounds another one's f32 to f16."""
    operations = operation_set()
    split = operations.multiply(port, _number(SPLIT))
    normal = operations.subtract(split, operations.subtract(split, port))
    steps = operations.round(operations.multiply(port, _number(1 / SMALLEST)), "half_to_even")
    small = operations.multiply(steps, _number(SMALLEST))
    size = operations.abs(port)
    finite = operations.select(operations.less(size, _number(SMALLEST_NORMAL)), small, normal)
    infinite = operations.multiply(port, _number(np.inf))
    overflows = operations.greater_equal(size, _number(OVERFLOW))
    return operations.select(overflows, infinite, finite).output(0)


def _largest(port: Any) -> Any:
    """Return the port of the largest size among the numbers of another one, infinity where one is none."""
    operations = operation_set()
    size = operations.abs(port)
    held = operations.less(size, _number(np.inf))  # which NaN is not
    axes = operations.constant(np.arange(len(port.get_partial_shape()), dtype=np.int64))
    known = operations.select(held, size, _number(np.inf))
    return operations.reduce_max(known, axes, False).output(0)


def _number(value: float) -> Any:
    return operation_set().constant(np.float32(value))
