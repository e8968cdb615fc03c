"""Calls NNCF's post-training quantisation, and keeps it from printing."""

import contextlib
import io
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from numpy.typing import NDArray

from ssdconvert.errors import ConversionError, SsdconvertError

WITH_WEIGHTS = ("Convolution", "GroupConvolution", "MatMul")

Fed = Callable[[int], NDArray[Any]]


def quantised(model: Any, fed: Fed, samples: int, preset: str, in_float: Sequence[str] = ()) -> Any:
    """Return an openvino.Model with 8-bit weights and activations, but for the layers named in `in_float`.

    Ranges are those of the inputs `fed(0)` to `fed(samples - 1)`. Raises ConversionError where NNCF fails.
    """
    nncf = _nncf()
    with _quietly():
        return nncf.quantize(
            model,
            nncf.Dataset(range(samples), fed),
            preset=nncf.QuantizationPreset(preset),
            target_device=nncf.TargetDevice.CPU,
            subset_size=samples,
            ignored_scope=nncf.IgnoredScope(names=list(in_float)) if in_float else None,
        )


def _nncf() -> Any:
    with contextlib.redirect_stdout(io.StringIO()), _quiet_log("nncf"):
        import nncf
    return nncf


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Keep what NNCF prints; what fails in it is an expected failure."""
    logger = logging.getLogger("nncf")
    handlers, logger.handlers = logger.handlers, []
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # its progress bars
            yield
    except (SsdconvertError, ImportError):
        raise
    except Exception as error:  # of its own, of OpenVINO, of numpy: whatever goes wrong in it
        raise ConversionError(
            f"NNCF cannot quantise the model: {error or type(error).__name__}",
            hint="build it without INT8; -v shows where it failed",
            stage="quantize",
        ) from error
    finally:
        logger.handlers = handlers


@contextlib.contextmanager
def _quiet_log(name: str) -> Iterator[None]:
    """Keep what is logged while a library is imported."""
    logging.disable(logging.INFO)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


def left_in_float(model: Any) -> list[str]:
    """Return the names of the convolutions and products of matrices whose weights are not in 8 bits."""
    return [
        node.get_friendly_name()
        for node in model.get_ordered_ops()
        if node.get_type_name() in WITH_WEIGHTS and not _in_bytes(node.input_value(1).get_node())
    ]


def _in_bytes(node: Any) -> bool:
    """Whether weights come from a constant of bytes, through what scales them."""
    while node.get_type_name() in ("Convert", "Multiply", "Subtract", "Reshape"):
        node = node.input_value(0).get_node()
    return node.get_type_name() == "Constant" and node.get_element_type().get_type_name() in ("i8", "u8")
