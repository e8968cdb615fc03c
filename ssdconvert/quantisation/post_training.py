"""Calls NNCF's post-training quantisation, and keeps it from printing."""

import contextlib
import io
import logging
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from ssdconvert.errors import ConversionError, SsdconvertError

WITH_WEIGHTS = ("Convolution", "GroupConvolution", "MatMul")

Fed = Callable[[int], NDArray[Any]]


@dataclass(frozen=True)
class Scheme:
    """How a model is quantised: with biases corrected or not, and with some layers left in floating point.

    NNCF's default, the fast correction from mean inputs, is not offered: it cost ssd-demo 1.2 points of mAP where none
    costs 0.2, and 8 dB of its heads. The whole correction takes up to three times as long as the rest.
    """

    bias_correction: bool = False
    in_float: tuple[str, ...] = ()

    @property
    def told(self) -> str:
        """The scheme in words."""
        layers = f", {len(self.in_float)} layers left in FP32" if self.in_float else ""
        return f"{'biases corrected' if self.bias_correction else 'plain'}{layers}"


def quantised(model: Any, fed: Fed, samples: int, preset: str, scheme: Scheme) -> Any:
    """Return an openvino.Model with 8-bit weights and activations.

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
            ignored_scope=nncf.IgnoredScope(names=list(scheme.in_float)) if scheme.in_float else None,
            fast_bias_correction=False,
            advanced_parameters=nncf.AdvancedQuantizationParameters(
                disable_bias_correction=not scheme.bias_correction
            ),
        )


def _nncf() -> Any:
    with contextlib.redirect_stdout(io.StringIO()), _quiet_log():
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
def _quiet_log() -> Iterator[None]:
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


def numbers_in(model: Any) -> dict[str, int]:
    """Return how many weights each convolution and product of matrices has, by its name."""
    return {
        node.get_friendly_name(): math.prod(node.input_value(1).get_shape())
        for node in model.get_ordered_ops()
        if node.get_type_name() in WITH_WEIGHTS
    }


def _in_bytes(node: Any) -> bool:
    """Whether weights come from a constant of bytes, through what scales them."""
    while node.get_type_name() in ("Convert", "Multiply", "Subtract", "Reshape"):
        node = node.input_value(0).get_node()
    return node.get_type_name() == "Constant" and node.get_element_type().get_type_name() in ("i8", "u8")
