"""A verification with everything that a page can show, and pictures for it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ssdconvert.catalog import Catalog
from ssdconvert.recipe import Recipe
from ssdconvert.report.comparison import PictureRow, picture_row
from ssdconvert.report.result import Box, Check, Shown, Verification, judged
from ssdconvert.ssd.detections import Detections
from ssdconvert.workspace import digest_of, write_json

COUNTS = (5, 0, 0, 0, 0, 10, 100, 1000, 30, 2, 1, *[0] * 9)


def a_check(number: float, limit: float = 1e-4, **changes: Any) -> Check:
    fields: dict[str, Any] = {
        "hop": "ir",
        "level": "heads",
        "device": "CPU",
        "runtime": "openvino 1",
        "precision": "FP32",
        "input": "a.jpg",
        "output": "class_logits",
        "metric": "max error / scale",
        "executed_on": "CPU",
        "execution_precision": "f32",
        **judged(number, limit, changes.pop("at_least", False)),
    }
    return Check(**(fields | changes))


def detections(*rows: tuple[int, float, tuple[float, float, float, float]]) -> Detections:
    """Make detections of (label, score, box)."""
    labels, scores, boxes = zip(*rows, strict=True) if rows else ((), (), ())
    return Detections(
        np.array(boxes, np.float32).reshape(-1, 4), np.array(labels, np.int64), np.array(scores, np.float32)
    )


@pytest.fixture
def verification() -> Verification:
    """A pass: heads, detections, a skipped device, a control."""
    return Verification(
        "m",
        (
            a_check(2e-6, histogram=COUNTS),
            a_check(0, 0, level="contract", output="", metric="broken promises"),
            a_check(0.97, 0.93, at_least=True, level="detections", output="bboxes", metric="min IoU"),
            Check("ir", "heads", "GPU", "", "FP32", "", "", "", None, None, None, "skipped", "no device GPU"),
            a_check(0.3, at_least=True, hop="control", level="control", output="mean dropped"),
        ),
        "torch 2",
        ("a.jpg",),
        3,
        shown=(Shown("a.jpg", "FP32 IR on CPU", (Box(1, 0.5, (0.0, 0.1, 0.2, 0.3)),), ()),),
    )


@pytest.fixture
def recipe() -> Recipe:
    """The recipe of five shapes at 400x400."""
    return Catalog().find("ssd-demo").recipe


@pytest.fixture
def row(recipe: Recipe) -> PictureRow:
    """A picture with one box on both sides."""
    pixels = np.random.default_rng(1).integers(0, 256, (60, 90, 3), dtype=np.uint8)
    found = detections((1, 0.9, (0.2, 0.2, 0.6, 0.8)))
    return picture_row(recipe, "a.jpg", pixels, found, found)


@pytest.fixture
def build_folder(verification: Verification, tmp_path: Path) -> Callable[..., Path]:
    """Make a folder as a build leaves it, in build/NAME or elsewhere: documents and pictures, no models."""

    def make(name: str, folder: Path | None = None) -> Path:
        folder = folder or tmp_path / "build" / name
        folder.mkdir(parents=True)
        write_json(folder / "report.json", replace(verification, model=name).to_json())
        for file in ("report.html", "reference.png"):
            (folder / file).write_text("x", "utf-8")
        (folder / "recipe.yaml").write_text("schema: 1\ntitle: One at 8x8\n", "utf-8")
        models = {"FP32/m.xml": 10, "FP32/m.bin": 20, "FP16/m.xml": 12, "FP16/m.bin": 8}
        entries = [
            {"path": path, "sha256": "0" * 64, "bytes": count, "precision": path[:4]}
            for path, count in models.items()
        ]
        report = {
            "path": "report.json",
            "sha256": digest_of(folder / "report.json"),
            "bytes": 1,
            "precision": None,
        }
        manifest = {
            "recipe": {"name": name, "sha256": "0" * 64},
            "verdict": "pass",
            "artifacts": [*entries, report],
        }
        write_json(folder / "manifest.json", manifest)
        return folder

    return make
