"""Default boxes (priors) of the SSD families that ssdconvert knows.

Every function returns `centres`, float32 [P, 4] in 0..1, in the order in which the family's heads
emit their predictions. That order differs between families, so it belongs to the boxes' contract:
see each function.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]


def cell_centres(rows: int, columns: int, divisor: tuple[float, float]) -> tuple[FloatArray, FloatArray]:
    """Return x and y of each cell's centre, both [rows, columns], as (index + 0.5) / divisor.

    `divisor` is (horizontal, vertical). It equals (columns, rows) in families that divide by the
    grid, and image / step in those that divide by a step, where the two differ.
    """
    y, x = np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij")
    return (x + 0.5) / divisor[0], (y + 0.5) / divisor[1]


def mlperf_box_sizes(
    scale: float, next_scale: float, aspect_ratios: Sequence[float], image_size: int
) -> list[tuple[float, float]]:
    """Return (width, height) of the default boxes of one level, in 0..1, in MLPerf's order.

    The square box, the square box of the geometric mean scale, then each ratio and its swap
    (mlcommons/inference, models/ssd_r34.py and utils.py, class DefaultBoxes).
    """
    small, large = scale / image_size, next_scale / image_size
    between = float(np.sqrt(small * large))
    sizes = [(small, small), (between, between)]
    for ratio in aspect_ratios:
        width, height = small * float(np.sqrt(ratio)), small / float(np.sqrt(ratio))
        sizes += [(width, height), (height, width)]
    return sizes


def mlperf_default_boxes(
    image_size: int,
    grids: Sequence[int],
    scales: Sequence[int],
    aspect_ratios: Sequence[Sequence[float]],
) -> FloatArray:
    """Return the default boxes of MLPerf's SSD-ResNet34, `centres` [P, 4].

    Order: level, size, row, column (size-major: the heads are coordinate-major). `scales` are
    pixels of the network's input, one more than there are `grids`. Centres are (index + 0.5) / grid
    and all four numbers are clamped to 0..1, which clips widths above 1 and never a centre.
    """
    boxes = []
    for level, grid in enumerate(grids):
        x, y = cell_centres(grid, grid, (grid, grid))
        for width, height in mlperf_box_sizes(
            scales[level], scales[level + 1], aspect_ratios[level], image_size
        ):
            level_boxes = np.stack([x, y, np.full_like(x, width), np.full_like(y, height)], axis=-1)
            boxes.append(level_boxes.reshape(-1, 4))
    return np.clip(np.concatenate(boxes), 0.0, 1.0).astype(np.float32)


def ultraface_default_boxes(
    image_width: int,
    image_height: int,
    min_boxes: Sequence[Sequence[int]],
    strides: Sequence[int],
) -> FloatArray:
    """Return the default boxes of Linzaer's Ultra-Light face detectors, `centres` [P, 4].

    Order: level, row, column, size. `min_boxes` are sides in pixels of the input. The divisor of
    the centres is the grid, not image / stride: 8 rows of stride 32 in 240 pixels, not 7.5
    (vision/ssd/config/fd_config.py and vision/utils/box_utils.py, function generate_priors; equal
    to the constants of the published version-RFB-320.onnx). All four numbers are clamped to 0..1.
    """
    boxes = []
    for sizes, stride in zip(min_boxes, strides, strict=True):
        columns, rows = -(-image_width // stride), -(-image_height // stride)
        x, y = cell_centres(rows, columns, (columns, rows))
        per_size = [
            np.stack([x, y, np.full_like(x, s / image_width), np.full_like(y, s / image_height)], -1)
            for s in sizes
        ]
        boxes.append(np.stack(per_size, axis=2).reshape(-1, 4))
    return np.clip(np.concatenate(boxes), 0.0, 1.0).astype(np.float32)
