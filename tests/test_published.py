"""The independent check: our IRs against the authors' published ONNX, in ONNX Runtime, on photographs.

The published file, its preprocessing (cv2, RGB, (x - 127) / 128) and the authors' NMS are written out
here once more, so that nothing of ssdconvert stands between the two sides.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime
import openvino
import pytest

from ssdconvert.build_result import BuildOptions
from ssdconvert.catalog import Catalog
from ssdconvert.fetching.options import FetchOptions
from ssdconvert.pipeline import build

PUBLISHED = {
    "rfb": "ultraface-rfb-320-onnx/version-RFB-320.onnx",
    "slim": "ultraface-slim-320-onnx/version-slim-320.onnx",
}
RECIPES = ["ultraface-rfb-320", "ultraface-slim-320", "ultraface-rfb-320-onnx", "ultraface-slim-320-onnx"]


@dataclass
class Faces:
    boxes: Any  # [N, 4] corners in 0..1
    scores: Any  # [N]


def overlap(a: Any, b: Any) -> float:
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    both = width * height
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


def published_faces(session: onnxruntime.InferenceSession, picture: Any) -> Faces:
    """What the authors' demo finds: probability above 0.7, NMS at an IoU of 0.3."""
    rgb = cv2.resize(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), (320, 240))
    image = ((rgb.astype(np.float32) - 127) / 128).transpose(2, 0, 1)[None]
    scores, boxes = session.run(["scores", "boxes"], {"input": image})
    scores, boxes = scores[0, :, 1], boxes[0]
    kept: list[int] = []
    for index in np.argsort(-scores, kind="stable"):
        if scores[index] >= 0.7 and all(overlap(boxes[index], boxes[k]) <= 0.3 for k in kept):
            kept.append(int(index))
    return Faces(boxes[kept], scores[kept])


def our_faces(compiled: Any, picture: Any) -> Faces:
    """What a deployer gets: BGR pixels stretched to the input, rows of a score of at least 0.7."""
    image = cv2.resize(picture, (320, 240)).astype(np.float32).transpose(2, 0, 1)[None]
    outputs = compiled([np.ascontiguousarray(image)])
    keep = outputs["scores"][0] >= 0.7
    return Faces(outputs["bboxes"][0][keep], outputs["scores"][0][keep])


@pytest.mark.parametrize("name", RECIPES)
def test_our_ir_finds_the_faces_of_the_published_model(
    name: str, mirror: Path, photographs: list[Path], tmp_path: Path
) -> None:
    options = BuildOptions(tmp_path / name, FetchOptions(tmp_path / "cache", str(mirror)), ("FP32",))
    assert build(Catalog().find(name), options).verdict == "pass"
    compiled = openvino.Core().compile_model(
        tmp_path / name / "FP32" / f"{name}.xml", "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 3
    published = mirror / PUBLISHED["rfb" if "rfb" in name else "slim"]
    session = onnxruntime.InferenceSession(published, settings, ["CPUExecutionProvider"])
    found = 0
    for path in photographs:
        picture = cv2.imread(str(path))
        theirs, ours = published_faces(session, picture), our_faces(compiled, picture)
        assert len(ours.scores) == len(theirs.scores), path.name
        for box, score in zip(theirs.boxes, theirs.scores, strict=True):
            ious = [overlap(box, other) for other in ours.boxes]
            best = int(np.argmax(ious))
            assert ious[best] >= 0.999, (path.name, ious[best])
            assert abs(float(ours.scores[best]) - float(score)) <= 1e-4, path.name
        found += len(theirs.scores)
    assert found >= 50, "too few faces for this to mean anything"
