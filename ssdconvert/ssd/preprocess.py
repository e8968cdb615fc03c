"""From a picture to a network's input: the same steps for the original and for the converted model.

The original gets what its authors fed it (normalised, in the model's channel order); the converted
model gets what a deployer feeds it (plain 0..255, in the converted channel order). Both start from
the same resized u8 pixels, so that a comparison measures the models and not the rounding of a resize.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
FloatArray = NDArray[np.float32]
LONGEST = 16  # of a picture that is cropped, in widths of what remains of it


class Colour(Protocol):
    """Channel orders, `rgb` or `bgr`: of the model, and of the converted model's input."""

    @property
    def model(self) -> str: ...

    @property
    def converted(self) -> str: ...


class Resize(Protocol):
    """How a picture becomes the input's size."""

    @property
    def mode(self) -> str: ...

    @property
    def library(self) -> str: ...


class InputSpec(Protocol):
    """What a recipe says about the input; `ssdconvert.recipe.Input` is one."""

    @property
    def shape(self) -> Sequence[int]: ...

    @property
    def color(self) -> Colour: ...

    @property
    def mean(self) -> Sequence[float]: ...

    @property
    def scale(self) -> Sequence[float]: ...

    @property
    def resize(self) -> Resize: ...


def resized(pixels: Pixels, spec: InputSpec) -> Pixels:
    """Bring RGB pixels [H, W, 3] to the input's size by the recipe's mode and bilinear filter.

    The library matters: Pillow's filter smooths when it shrinks, OpenCV's does not.
    """
    rows, columns = _reached(pixels.shape, spec)
    pixels = np.ascontiguousarray(pixels[rows, columns])
    (scaled_height, scaled_width), (top, left) = _scaled_size_and_corner(pixels.shape[:2], spec)
    scaled = _stretched(pixels, scaled_height, scaled_width, spec.resize.library)
    return scaled[top : top + spec.shape[2], left : left + spec.shape[3]]


def visible_part(picture: Sequence[int], spec: InputSpec) -> tuple[float, float, float, float]:
    """Return what the input shows of a picture of (height, width): x1, y1, x2, y2 in its pixels."""
    rows, columns = _reached(picture, spec)
    height, width = rows.stop - rows.start, columns.stop - columns.start
    (scaled_height, scaled_width), (top, left) = _scaled_size_and_corner((height, width), spec)
    x, y = width / scaled_width, height / scaled_height  # pixels of the picture in a scaled one
    x1, y1 = columns.start + left * x, rows.start + top * y
    return x1, y1, x1 + spec.shape[3] * x, y1 + spec.shape[2] * y


def _reached(picture: Sequence[int], spec: InputSpec) -> tuple[slice, slice]:
    """Return the rows and columns of a picture that are scaled.

    All, but of a picture that is cropped and more than `LONGEST` times too wide or too high only the middle:
    a row of 20000 pixels would become gigabytes, to be cut off again.
    """
    rows, columns = picture[0], picture[1]
    height, width = spec.shape[2], spec.shape[3]
    if spec.resize.mode == "stretch":
        return slice(0, rows), slice(0, columns)
    return (
        _middle(rows, max(2, LONGEST * columns * height // width)),
        _middle(columns, max(2, LONGEST * rows * width // height)),
    )


def _middle(size: int, most: int) -> slice:
    """Return the middle of `size` pixels, at most `most` of them: as much is left out on either side."""
    margin = max(0, (size - most + 1) // 2)
    return slice(margin, size - margin)


def _scaled_size_and_corner(
    picture: Sequence[int], spec: InputSpec
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return (height, width) of the scaled picture and (top, left) of the input within it.

    stretch: the input's size. crop: as small as covers the input, aspect ratio kept; the input is its
    middle. A picture of aspect 1.5 becomes 450x300 and loses 75 columns on either side.
    """
    height, width = spec.shape[2], spec.shape[3]
    if spec.resize.mode == "stretch":
        return (height, width), (0, 0)
    rows, columns = picture[0], picture[1]
    if columns * height >= rows * width:  # wider than the input
        scaled = height, columns * height // rows
    else:
        scaled = rows * width // columns, width
    return scaled, (scaled[0] // 2 - height // 2, scaled[1] // 2 - width // 2)


def _stretched(pixels: Pixels, height: int, width: int, library: str) -> Pixels:
    if pixels.shape[:2] == (height, width):
        return pixels
    if library == "opencv":
        import cv2

        stretched = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_LINEAR)
        return np.asarray(stretched, np.uint8)
    from PIL import Image

    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BILINEAR))


def _planar(pixels: Pixels, order: str) -> FloatArray:
    """Turn RGB [H, W, 3] into f32 [1, 3, H, W] of the channel order."""
    ordered = pixels if order == "rgb" else pixels[..., ::-1]
    return np.ascontiguousarray(ordered.transpose(2, 0, 1)[None], np.float32)


def original_input(pixels: Pixels, spec: InputSpec) -> FloatArray:
    """Return f32 [1, 3, H, W], the model's channel order, (value - mean) / scale."""
    mean, scale = (np.array(v, np.float32).reshape(1, 3, 1, 1) for v in (spec.mean, spec.scale))
    return (_planar(resized(pixels, spec), spec.color.model) - mean) / scale


def picture_input(pixels: Pixels, spec: InputSpec) -> Pixels:
    """Return u8 [1, H, W, 3] of the picture's own size, the converted model's channel order."""
    return np.ascontiguousarray(pixels if spec.color.converted == "rgb" else pixels[..., ::-1])[None]


def converted_input(pixels: Pixels, spec: InputSpec) -> FloatArray:
    """Return f32 [1, 3, H, W], the converted model's channel order, 0..255."""
    return _planar(resized(pixels, spec), spec.color.converted)
