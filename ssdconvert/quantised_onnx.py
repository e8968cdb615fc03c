"""Quantised ONNX graphs: which they are, and the form of them that Model Optimizer reads.

A quantised graph is of one of two forms. QOperator graphs compute in integers, by operators of the
standard domain (QLinearConv) and of ONNX Runtime's own (com.microsoft QLinearAdd), which Model Optimizer
does not know. QDQ graphs hold the same arithmetic as float operators between DequantizeLinear and
QuantizeLinear. The two are equal but for rounding: a value that lies between two steps may fall on either.
"""

from typing import TYPE_CHECKING

from ssdconvert.errors import ConversionError

if TYPE_CHECKING:
    import onnx

MICROSOFT = "com.microsoft"
CONVERSIONS = ("QuantizeLinear", "DequantizeLinear")
WITHOUT_SCALES = ("ConvInteger", "MatMulInteger", "DynamicQuantizeLinear")
PER_CHANNEL_OPSET = 13  # DequantizeLinear has an axis from here on


def is_quantised(model: "onnx.ModelProto") -> bool:
    """Say whether a graph computes with quantised numbers, in either form."""
    return computes_in_integers(model) or any(node.op_type in CONVERSIONS for node in model.graph.node)


def computes_in_integers(model: "onnx.ModelProto") -> bool:
    """Say whether a graph holds operators on integers, so that it is no QDQ graph."""
    kinds = {node.op_type for node in model.graph.node}
    return any(kind.startswith("QLinear") or kind in WITHOUT_SCALES for kind in kinds)


def to_qdq(model: "onnx.ModelProto") -> "onnx.ModelProto":
    """Return the graph in QDQ form, without an operator of com.microsoft; a QDQ graph comes back as it is.

    Tensors keep their names, and integer weights stay integers. Where weights have a scale for each
    channel, the graph is raised to opset 13. Raises ConversionError for operators that are not known,
    naming them, and for graphs that would mean something else.
    """
    import onnx

    from ssdconvert.qlinear import Rewriter

    rewriter = Rewriter(model)
    rewriter.rewrite()
    result = rewriter.model
    domains = [entry for entry in result.opset_import if entry.domain != MICROSOFT]
    del result.opset_import[:]
    result.opset_import.extend(domains)
    try:
        if rewriter.per_channel and rewriter.opset < PER_CHANNEL_OPSET:
            result = _raised(result)
        onnx.checker.check_model(result)
    except (onnx.checker.ValidationError, RuntimeError) as error:
        raise refused(f"in QDQ form it is not valid ONNX: {error}") from error
    return result


def refused(problem: str) -> ConversionError:
    """Return the error for a graph that has no QDQ form here."""
    return ConversionError(
        f"the quantised graph cannot be converted: {problem}",
        hint="quantise the float model to QDQ form: quantize_static(..., quant_format=QuantFormat.QDQ)",
        stage="export",
    )


def _raised(model: "onnx.ModelProto") -> "onnx.ModelProto":
    """Raise the opset; per-channel scales are left out meanwhile, since the older opsets have no axis."""
    import onnx

    axes = {}
    for node in model.graph.node:
        if node.op_type == "DequantizeLinear" and node.attribute:
            axes[node.output[0]] = node.attribute[0].i
            del node.attribute[:]
    result = onnx.version_converter.convert_version(model, PER_CHANNEL_OPSET)
    for node in result.graph.node:
        if node.op_type == "DequantizeLinear" and node.output[0] in axes:
            del node.attribute[:]
            node.attribute.append(onnx.helper.make_attribute("axis", axes[node.output[0]]))
    return result
