"""The log lines of OpenVINO's object_detection_sample_ssd, for those whose scripts read them.

As its last published form (2021.4) wrote them: in its order, coordinates cut to whole numbers and not at the
picture's edges, detections in the order of the outputs. Its faults are left out: what follows image_id -1 is no
detection, and with a label file the name takes the label's place.
"""

from collections.abc import Sequence
from pathlib import Path

from ssdconvert.deployed import Deployed
from ssdconvert.output_rows import Rows
from ssdconvert.ssd.preprocess import visible_part

NOTICE = "This sample is an API example, for any performance measurements please use the dedicated benchmark_app tool"


def opening_lines(
    model: Path, device: str, extensions: Sequence[Path], configurations: Sequence[str]
) -> list[str]:
    """Return the lines up to the loading of the model."""
    told = ["Creating Inference Engine"]
    told += [f"Loading the {device} extension: {path}" for path in extensions]
    told += [f"Loading the {device} configuration: {path}" for path in configurations]
    told += [
        f"Reading the network: {model}",
        "Configuring input and output blobs",
        "Loading the model to the plugin",
    ]
    return [_info(line) for line in told]


def result_lines(
    image: str,
    size: tuple[int, int],
    model: Deployed,
    rows: Rows,
    threshold: float,
    output: Path,
    named: bool,
) -> list[str]:
    """Return the lines from the picture on, of (height, width), to the end; `named`: with names for labels."""
    lines = []
    if size != model.input.shape[2:]:
        lines.append(f"[ WARNING ] Image {image} is resized from {size} to {model.input.shape[2:]}")
    lines.append(_info("Starting inference in synchronous mode"))
    found = rows.select(rows.scores > threshold)
    left, top, width, height = 0.0, 0.0, float(size[1]), float(size[0])
    if model.input.resize.mode != "stretch":
        left, top, right, bottom = visible_part(size, model.input)
        width, height = right - left, bottom - top
    x, y = width / model.sides[0], height / model.sides[1]  # exact: the corners are cut to whole numbers
    for box, label, score in zip(found.boxes.tolist(), found.labels, found.scores, strict=True):
        x1, y1, x2, y2 = box
        corners = f"({int(x1 * x + left)}, {int(y1 * y + top)}), ({int(x2 * x + left)}, {int(y2 * y + top)})"
        told = model.name(int(label) + 1 - model.first_label) if named else int(label)
        lines.append(_info(f"Found: label = {told}, confidence = {score:.2f}, coords = {corners}"))
    return [*lines, _info(f"Image {output} created!"), _info(NOTICE), ""]


def _info(message: str) -> str:
    return f"[ INFO ] {message}"
