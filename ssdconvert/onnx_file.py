"""Reads an ONNX file that somebody gives: the whole model must be in it."""

from pathlib import Path
from typing import TYPE_CHECKING

from ssdconvert.errors import ConversionError

if TYPE_CHECKING:
    import onnx


def read_onnx(path: Path) -> "onnx.ModelProto":
    """Return the model; ConversionError for a file that is none, or that keeps weights in another file."""
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load(path, load_external_data=False)
    except DecodeError as error:
        raise _no_onnx(path, str(error)) from error
    if not model.graph.node:  # an empty file is a valid message
        raise _no_onnx(path, "it holds no graph")
    for tensor in model.graph.initializer:
        if tensor.data_location == onnx.TensorProto.EXTERNAL:  # nobody checked that file
            raise ConversionError(
                f"{path.name} keeps the weight {tensor.name} in another file",
                hint="save it in one file: onnx.save(onnx.load(FILE), FILE)",
                stage="load",
            )
    return model


def _no_onnx(path: Path, problem: str) -> ConversionError:
    return ConversionError(
        f"{path} is no ONNX file: {problem}", hint="check the file with onnx.checker", stage="load"
    )
