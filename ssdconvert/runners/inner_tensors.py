"""The tensors inside a model, by name: which there are, and what they hold for one input."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from numpy.typing import NDArray

from ssdconvert.caffe import read_network
from ssdconvert.onnx_graph import keep_what_leads_to
from ssdconvert.runners import Arrays

if TYPE_CHECKING:
    import onnx

Feeds = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class InnerTensor:
    """A tensor's name, the operation that computes it, and its size in bytes, None where it is not known.

    `folded_into` names the output of the convolution before it, where the operation is a batch normalisation
    and nothing else reads that: a file into which it was folded computes this tensor by that name.
    """

    name: str
    op: str
    size: int | None = None
    folded_into: str | None = None


class InnerTensors(Protocol):
    """A model that can be looked into. Tensors that do not depend on the input are not listed."""

    def listed(self, feeds: Feeds) -> list[InnerTensor]:
        """Return its tensors in order of execution."""
        ...

    def run(self, names: Sequence[str], feeds: Feeds) -> Arrays:
        """Return these tensors by name."""
        ...


@dataclass(frozen=True)
class OnnxTensors:
    """An ONNX file in ONNX Runtime, up to the tensors `heads`; `shared_names` are what others call its tensors.

    `exact` as in OnnxRunner.
    """

    path: Path
    heads: Sequence[str]
    exact: bool = False
    shared_names: Mapping[str, str] = field(default_factory=dict)

    def listed(self, feeds: Feeds) -> list[InnerTensor]:
        """Return what the heads depend on and is of a known type; ONNX Runtime's own operators give none."""
        import onnx

        model = onnx.shape_inference.infer_shapes(onnx.load(self.path))
        keep_what_leads_to(model.graph, list(self.heads))
        entries = {entry.name: entry for entry in (*model.graph.value_info, *model.graph.output)}
        known = {name for name, entry in entries.items() if entry.type.tensor_type.elem_type} | {*self.heads}
        sizes = {name: _size(entry) for name, entry in entries.items()}
        folded = _folded_normalisations(model.graph)
        reached, found = set(feeds), []
        for node in model.graph.node:
            if reached.isdisjoint(node.input):
                continue
            reached.update(filter(None, node.output))
            for name in (output for output in node.output if output in known):
                shared = self.shared_names.get(name, name)
                found.append(InnerTensor(shared, node.op_type, sizes.get(name), folded.get(name)))
        return found

    def run(self, names: Sequence[str], feeds: Feeds) -> Arrays:
        """Return these tensors by their shared names."""
        from ssdconvert.runners.onnx_runner import OnnxRunner

        own_names = {shared: own for own, shared in self.shared_names.items()}
        wanted = {name: own_names.get(name, name) for name in names}
        outputs = OnnxRunner(self.path, list(wanted.values()), self.exact, cut=True).run(feeds)
        return {name: outputs[own] for name, own in wanted.items()}


@dataclass(frozen=True)
class OpenvinoTensors:
    """An IR in OpenVINO, up to the tensors `heads` if there are some; `prepare` may name tensors of the read model."""

    path: Path
    device: str = "CPU"
    prepare: Callable[[Any], Any] = lambda model: None
    heads: Sequence[str] = ()
    settings: Mapping[str, str] = field(default_factory=dict)

    def listed(self, feeds: Feeds) -> list[InnerTensor]:
        """Return the tensors that have a name of their own, once for each name."""
        from ssdconvert.ir_file import read_ir

        model = read_ir(self.path)
        self.prepare(model)
        found = [
            InnerTensor(name, operation.get_type_name(), _size_of_port(port))
            for operation in self._operations(model)
            if operation.get_type_name() not in ("Constant", "Parameter", "Result")
            for port in operation.outputs()
            for name in sorted(port.get_names())
        ]
        # layers of Caffe that work in place have one name
        tensors = Counter(tensor.name for tensor in found)
        return [tensor for tensor in found if tensors[tensor.name] == 1]

    def _operations(self, model: Any) -> list[Any]:
        """Return what the heads depend on, in order of execution; everything without heads."""
        operations: list[Any] = model.get_ordered_ops()
        wanted, needed = set(self.heads), set[str]()
        for operation in reversed(operations):
            own = {name for port in operation.outputs() for name in port.get_names()}
            if operation.get_friendly_name() in needed or not wanted.isdisjoint(own):
                needed.add(operation.get_friendly_name())
                needed |= {port.get_node().get_friendly_name() for port in operation.input_values()}
        return [one for one in operations if not wanted or one.get_friendly_name() in needed]

    def run(self, names: Sequence[str], feeds: Feeds) -> Arrays:
        """Return these tensors, at the precision that the gate runs at."""
        from ssdconvert.runners.openvino_runner import OpenvinoRunner

        runner = OpenvinoRunner(self.path, self.device, list(names), self.prepare, True, self.settings)
        outputs = runner.run(feeds)
        return {name: outputs[name] for name in names}


def named_by_operation(model: Any) -> None:
    """Name each tensor of an openvino.Model as its operation: after Model Optimizer on Caffe that is the layer.

    Its own tensor names are those of tops, which layers that work in place share.
    """
    for operation in model.get_ordered_ops():
        if operation.get_output_size() == 1 and operation.get_type_name() != "Result":
            operation.output(0).get_tensor().set_names({operation.get_friendly_name()})


@dataclass(frozen=True)
class OpencvTensors:
    """A Caffe network in OpenCV; each tensor has the name of its layer."""

    prototxt: Path
    caffemodel: Path

    def listed(self, feeds: Feeds) -> list[InnerTensor]:
        """Return the output of each layer that computes on the picture."""
        left_out = ("Input", "PriorBox", "DetectionOutput")
        layers = read_network(self.prototxt).layers
        return [InnerTensor(layer.name, layer.type) for layer in layers if layer.type not in left_out]

    def run(self, names: Sequence[str], feeds: Feeds) -> Arrays:
        """Return what these layers compute."""
        from ssdconvert.runners.opencv_runner import OpencvRunner

        return OpencvRunner(self.prototxt, self.caffemodel, names).run(feeds)


def _folded_normalisations(graph: "onnx.GraphProto") -> dict[str, str]:
    """Return output -> input of each BatchNormalization that can be folded into the convolution before it."""
    readers = Counter(name for node in graph.node for name in node.input)
    convolutions = {node.output[0] for node in graph.node if node.op_type == "Conv"}
    return {
        node.output[0]: node.input[0]
        for node in graph.node
        if node.op_type == "BatchNormalization"
        and node.input[0] in convolutions
        and readers[node.input[0]] == 1
    }


def _size(entry: "onnx.ValueInfoProto") -> int | None:
    tensor = entry.type.tensor_type
    sides = [dimension.dim_value for dimension in tensor.shape.dim]
    return 4 * prod(sides) if tensor.HasField("shape") and all(side > 0 for side in sides) else None


def _size_of_port(port: Any) -> int | None:
    shape = port.get_partial_shape()
    return 4 * prod(shape.to_shape()) if shape.is_static else None
