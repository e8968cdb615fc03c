"""Rewrites operators on quantised tensors as float operators between DequantizeLinear and QuantizeLinear.

Which inputs they have is told by the ONNX operator reference (QLinearConv, QLinearMatMul) and by
docs/ContribOperators.md of ONNX Runtime (com.microsoft): a quantised tensor is followed by its scale and
its zero point, and the scale and the zero point of the output come last, but for QLinearConcat's and the
bias of QLinearConv.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ssdconvert.quantised_onnx import CONVERSIONS, MICROSOFT, WITHOUT_SCALES, refused

if TYPE_CHECKING:
    import onnx

# operator on quantised tensors -> operator on floats, and how many tensors it takes
FLOAT_FORMS = {
    ("", "QLinearConv"): ("Conv", 2),
    ("", "QLinearMatMul"): ("MatMul", 2),
    (MICROSOFT, "QLinearAdd"): ("Add", 2),
    (MICROSOFT, "QLinearMul"): ("Mul", 2),
    (MICROSOFT, "QLinearSigmoid"): ("Sigmoid", 1),
    (MICROSOFT, "QLinearLeakyRelu"): ("LeakyRelu", 1),
    (MICROSOFT, "QLinearSoftmax"): ("Softmax", 1),
    (MICROSOFT, "QLinearAveragePool"): ("AveragePool", 1),
    (MICROSOFT, "QLinearGlobalAveragePool"): ("GlobalAveragePool", 1),
    (MICROSOFT, "QLinearConcat"): ("Concat", 0),  # as many as there are
}
# these move numbers or choose among them: between the same scales they do to floats what they do to integers
INDIFFERENT = (
    "Concat", "DepthToSpace", "Expand", "Flatten", "Gather", "Identity", "MaxPool", "Reshape",
    "Slice", "SpaceToDepth", "Split", "Squeeze", "Transpose", "Unsqueeze",
)  # fmt: skip
WEIGHT_AXES = {"Conv": 0, "MatMul": 1}  # of scales for each channel
NO_ATTRIBUTES = ("channels_last", "opset")  # of com.microsoft operators alone


@dataclass(frozen=True)
class Quantised:
    """A tensor of integers, value = (integer - zero point) * scale, by names; `zero_point` may be empty."""

    tensor: str
    scale: str
    zero_point: str


class Rewriter:
    """Rewrites `model`, a copy of the graph that it is given; `per_channel` is whether any scales are."""

    def __init__(self, model: "onnx.ModelProto") -> None:
        import onnx

        self.model = onnx.ModelProto()
        self.model.CopyFrom(model)
        self.graph = self.model.graph
        self.opset = next(e.version for e in model.opset_import if e.domain in ("", "ai.onnx"))
        self.per_channel = False
        self._constants = {tensor.name: tensor for tensor in self.graph.initializer}
        for node in self.graph.node:
            if node.op_type == "Constant" and node.attribute[0].name == "value":
                self._constants[node.output[0]] = node.attribute[0].t
        self._nodes: list[onnx.NodeProto] = []
        self._quantised: dict[str, Quantised] = {}
        self._floats: dict[Quantised, str] = {}

    def rewrite(self) -> None:
        """Replace the graph's nodes; ConversionError where there is no rule for one."""
        unknown = sorted({f"{n.domain}:{n.op_type}".lstrip(":") for n in self.graph.node if not _known(n)})
        if unknown:
            raise refused(f"there is no rule for {', '.join(unknown)}")
        for node in self.graph.node:
            if (node.domain, node.op_type) in FLOAT_FORMS:
                self._rewrite(node)
            elif node.op_type in CONVERSIONS:
                self._keep_conversion(node)
            elif self._quantised.keys() & set(node.input) and node.op_type not in ("Shape", "Size"):
                self._surround(node)
            else:
                self._nodes.append(node)
        del self.graph.node[:]
        self.graph.node.extend(self._nodes)
        self._drop_unused()

    def _rewrite(self, node: "onnx.NodeProto") -> None:
        operator, count = FLOAT_FORMS[(node.domain, node.op_type)]
        if operator == "Concat":
            output, first, count = node.input[:2], 2, (len(node.input) - 2) // 3
        else:
            output, first = node.input[3 * count : 3 * count + 2], 0
        tensors = [Quantised(*node.input[at : at + 3]) for at in range(first, first + 3 * count, 3)]
        inputs = [self._dequantised(tensors[0]), *(self._dequantised(t, operator) for t in tensors[1:])]
        if operator == "Conv" and len(node.input) > 8 and node.input[8]:
            inputs.append(self._bias(node.input[8], tensors))
        self._emit(node, operator, inputs, [Quantised(node.output[0], *output)])

    def _keep_conversion(self, node: "onnx.NodeProto") -> None:
        """Keep a conversion; those of com.microsoft are the standard's, which the checker sees to."""
        node.ClearField("domain")
        self._nodes.append(node)
        if node.op_type == "QuantizeLinear":
            self._quantised[node.output[0]] = Quantised(node.output[0], *(*node.input[1:], "")[:2])

    def _surround(self, node: "onnx.NodeProto") -> None:
        """Let an operator that moves quantised numbers move floats."""
        data = node.input if node.op_type == "Concat" else node.input[:1]
        tensors = [self._quantised.get(name) for name in data]
        codings = {(t.scale, t.zero_point) if t else None for t in tensors}
        if node.op_type not in INDIFFERENT or None in codings or len(codings) != 1:
            raise refused(f"there is no rule for {node.op_type} on quantised numbers ({node.output[0]})")
        known = [tensor for tensor in tensors if tensor]
        inputs = [*map(self._dequantised, known), *node.input[len(known) :]]
        outputs = [replace(known[0], tensor=name) for name in node.output]
        self._emit(node, node.op_type, inputs, outputs)

    def _emit(
        self, node: "onnx.NodeProto", operator: str, inputs: Sequence[str], outputs: Sequence[Quantised]
    ) -> None:
        """Add the float operator that stands for `node`, and the rounding of what it gives."""
        attributes = self._attributes(node)
        self._add(operator, inputs, [f"{output.tensor}/float" for output in outputs], node.name, **attributes)
        for output in outputs:
            names = [f"{output.tensor}/float", output.scale, output.zero_point]
            self._add("QuantizeLinear", names, [output.tensor], f"{output.tensor}/quantise")
            self._quantised[output.tensor] = output

    def _dequantised(self, tensor: Quantised, operator: str = "") -> str:
        """Return the name of a tensor's floats; as the weights of `operator` it may have many scales."""
        attributes = {}
        if self._constant(tensor.scale).size > 1:
            if operator not in WEIGHT_AXES:
                raise refused(f"{tensor.tensor} has a scale for each channel, and is no weight")
            attributes = {"axis": WEIGHT_AXES[operator]}
            self.per_channel = True
        if tensor not in self._floats:
            name = f"{tensor.tensor}/dequantised"
            if name in self._floats.values():
                name = f"{name}/{tensor.scale}"
            self._add(
                "DequantizeLinear",
                [tensor.tensor, tensor.scale, tensor.zero_point],
                [name],
                name,
                **attributes,
            )
            self._floats[tensor] = name
        return self._floats[tensor]

    def _bias(self, name: str, tensors: Sequence[Quantised]) -> str:
        """Add a convolution's bias in floats: its i32 numbers count in steps of both scales' product."""
        import onnx

        full_name = f"{name}/float/{tensors[1].tensor}/{tensors[0].scale}"
        if full_name not in self._constants:
            steps = [self._constant(tensor.scale).astype(np.float64).reshape(-1) for tensor in tensors]
            bias = (self._constant(name) * steps[0] * steps[1]).astype(np.float32)
            self._constants[full_name] = onnx.numpy_helper.from_array(bias, full_name)
            self.graph.initializer.append(self._constants[full_name])
        return full_name

    def _constant(self, name: str) -> NDArray[Any]:
        import onnx

        if name not in self._constants:
            raise refused(f"{name} is computed by the graph, expected a constant")
        return np.asarray(onnx.numpy_helper.to_array(self._constants[name]))

    def _attributes(self, node: "onnx.NodeProto") -> dict[str, Any]:
        """Return a node's attributes but for those of com.microsoft, which may not change its meaning."""
        import onnx

        attributes = {entry.name: onnx.helper.get_attribute_value(entry) for entry in node.attribute}
        if node.domain != MICROSOFT:
            return attributes
        if attributes.get("channels_last"):
            raise refused(f"{node.op_type} ({node.output[0]}) has its channels last")
        opset = attributes.get("opset", self.opset)
        if (opset < 13) != (self.opset < 13):  # Softmax is another operator since
            raise refused(f"{node.op_type} ({node.output[0]}) is that of opset {opset}, not of {self.opset}")
        return {name: value for name, value in attributes.items() if name not in NO_ATTRIBUTES}

    def _add(
        self, operator: str, inputs: Iterable[str], outputs: Sequence[str], name: str, **attributes: Any
    ) -> None:
        import onnx

        names = list(inputs)
        while names and not names[-1]:  # optional ones that are left out
            names.pop()
        self._nodes.append(onnx.helper.make_node(operator, names, outputs, name=name, **attributes))

    def _drop_unused(self) -> None:
        """Remove the weights that nothing reads any more, from the inputs too where they are listed."""
        used = {name for node in self._nodes for name in node.input}
        used.update(output.name for output in self.graph.output)
        for entries in (self.graph.initializer, self.graph.input):
            kept = [entry for entry in entries if entry.name in used or entry.name not in self._constants]
            del entries[:]
            entries.extend(kept)


def _known(node: "onnx.NodeProto") -> bool:
    if (node.domain, node.op_type) in FLOAT_FORMS:
        return True
    if node.domain == MICROSOFT:
        return node.op_type in CONVERSIONS
    return node.op_type not in WITHOUT_SCALES and not node.op_type.startswith("QLinear")
