"""Quantised stand-ins: what the ONNX Model Zoo's ssd-12-int8 and ssd-12-qdq are to ssd-12.

As Intel's tool did for the zoo, the network is quantised (activations u8 with a zero point, weights i8
without) and what decodes its heads stays float. `qoperator` graphs compute in QLinear operators, partly of
com.microsoft's domain; `qdq` graphs surround float operators by QuantizeLinear and DequantizeLinear.
"""

import logging
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from ssdconvert.ssd.heads import BOX_OFFSETS, CLASS_LOGITS
from ssdconvert.workspace import written_atomically

if TYPE_CHECKING:
    import onnx

FORMS = ("qoperator", "qdq")
QUANTISED_OPERATORS = ("Add", "Concat", "Conv", "MaxPool", "Relu")


def write_quantised(
    source: Path, path: Path, form: str, input_name: str, images: Iterable[NDArray[Any]]
) -> None:
    """Write the graph of `source` (see `own_nms`, opset 12) quantised; the same bytes every time.

    `form` is one of FORMS. `images`, normalised f32 [1, 3, H, W], give the ranges of the activations.
    """
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.images = iter(images)

        def get_next(self) -> Any:
            image = next(self.images, None)
            return None if image is None else {input_name: image}

    model = onnx.load(source)
    with tempfile.TemporaryDirectory() as folder, _quiet():
        quantised = Path(folder) / "quantised.onnx"
        quantize_static(
            source,
            quantised,
            Reader(),
            quant_format={"qoperator": QuantFormat.QOperator, "qdq": QuantFormat.QDQ}[form],
            op_types_to_quantize=list(QUANTISED_OPERATORS),
            nodes_to_exclude=_tail(model),
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        result = onnx.load(quantised)
    result.graph.name = "stand-in"
    with written_atomically(path) as temporary:
        onnx.save(result, temporary)


def _tail(model: "onnx.ModelProto") -> list[str]:
    """Return the names of the nodes behind the heads."""
    behind = {CLASS_LOGITS, BOX_OFFSETS}
    names = []
    for node in model.graph.node:
        if behind.intersection(node.input):
            behind.update(node.output)
            names.append(node.name)
    return names


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the quantiser's advice from the root logger."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
