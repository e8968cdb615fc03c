"""Boxes: forms, coding against default boxes, IoU."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.floating[Any]]


def to_corners(centres: FloatArray) -> FloatArray:
    """Turn [..., 4] of (x_centre, y_centre, width, height) into (x_min, y_min, x_max, y_max)."""
    half = centres[..., 2:] / 2
    return np.concatenate([centres[..., :2] - half, centres[..., :2] + half], axis=-1)


def to_centres(corners: FloatArray) -> FloatArray:
    """Turn [..., 4] of (x_min, y_min, x_max, y_max) into (x_centre, y_centre, width, height)."""
    low, high = corners[..., :2], corners[..., 2:]
    return np.concatenate([(low + high) / 2, high - low], axis=-1)


def decode(
    offsets: FloatArray,
    default_boxes: FloatArray,
    variances: tuple[float, float],
    largest_size_offset: float | None = None,
) -> FloatArray:
    """Return the `corners` [..., P, 4] that `offsets` [..., P, 4] mean at default boxes [P, 4] (`centres`).

    Centre-size coding of the SSD paper: centre = default + offset * variance[0] * default size,
    size = default size * exp(offset * variance[1]), the exponent being `largest_size_offset` at most.
    Nothing is clipped.
    """
    centre = default_boxes[:, :2] + offsets[..., :2] * variances[0] * default_boxes[:, 2:]
    exponent = offsets[..., 2:] * variances[1]
    if largest_size_offset is not None:
        exponent = np.minimum(exponent, offsets.dtype.type(largest_size_offset))
    size = default_boxes[:, 2:] * np.exp(exponent)
    return to_corners(np.concatenate([centre, size], axis=-1))


def encode(corners: FloatArray, default_boxes: FloatArray, variances: tuple[float, float]) -> FloatArray:
    """Return the offsets [..., P, 4] that `decode` turns into `corners` [..., P, 4] of positive size."""
    boxes = to_centres(corners)
    centre = (boxes[..., :2] - default_boxes[:, :2]) / (variances[0] * default_boxes[:, 2:])
    size = np.log(boxes[..., 2:] / default_boxes[:, 2:]) / variances[1]
    return np.concatenate([centre, size], axis=-1)


def area(corners: FloatArray) -> FloatArray:
    """Return the areas [...] of boxes [..., 4]; a box with a negative side counts as empty."""
    sides = np.maximum(corners[..., 2:] - corners[..., :2], 0)  # np.clip takes ten times as long
    area: FloatArray = sides[..., 0] * sides[..., 1]
    return area


def _shared_length(first: FloatArray, second: FloatArray) -> FloatArray:
    """Return the length [N, M] that each interval of [N, 2] shares with each of [M, 2]."""
    low = np.maximum(first[:, :1], second[:, 0])
    high = np.minimum(first[:, 1:], second[:, 1])
    return np.maximum(high - low, 0)


def iou_matrix(first: FloatArray, second: FloatArray) -> FloatArray:
    """Return the IoU [N, M] of each box of [N, 4] with each of [M, 4], in 0..1; 0 where both are empty."""
    width, height = (
        _shared_length(first[:, [axis, axis + 2]], second[:, [axis, axis + 2]]) for axis in (0, 1)
    )
    shared = width * height
    union = area(first)[:, None] + area(second)[None, :] - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
