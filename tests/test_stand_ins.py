"""Every shipped recipe builds from a stand-in and passes the gate, and everything it makes says what it is."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ssdconvert.catalog import Catalog

LARGEST_FAST_INPUT = 700 * 700  # pixels; above it a build takes minutes

# ssdlite320-mobilenet-v3 stands for torchvision's, ultraface-rfb-320 for its slim twins; tests/sabotage and
# tests/originals build of Caffe
ALSO_SLOW = (
    "mobilenet-ssd",
    "ssd300-resnet50",
    "ssd300-resnet50-hub",
    "ssd300-vgg16",
    "ultraface-rfb-320-caffe",
    "ultraface-slim-320",
    "ultraface-slim-320-onnx",
)

RECIPES = {entry.recipe.name: entry.recipe for entry in Catalog().all_entries()}


def slow_if_large(name: str) -> Any:
    height, width = RECIPES[name].input.shape[2:]
    slow = height * width > LARGEST_FAST_INPUT or name in ALSO_SLOW
    marks = [pytest.mark.slow] if slow else []
    return pytest.param(name, marks=marks)


@pytest.mark.parametrize("name", [slow_if_large(name) for name in RECIPES])
def test_every_recipe_passes_with_a_stand_in(name: str, tmp_path: Path, request: Any) -> None:
    if RECIPES[name].source.kind == "caffe":
        request.getfixturevalue("caffe_toolchain")
    command = [sys.executable, "-m", "ssdconvert", "build", name, "--stand-in", "--offline", "--json"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=os.environ, check=False)
    assert ended.returncode == 0, ended.stderr
    document = json.loads(ended.stdout)
    assert (document["recipe"], document["verdict"]) == (f"{name}-stand-in", "pass")
    marked_everywhere(tmp_path / "build" / f"{name}-stand-in", document["artifacts"])
    realistic(tmp_path / "build" / f"{name}-stand-in", RECIPES[name].detections.keep)


def marked_everywhere(folder: Path, artefacts: list[dict[str, Any]]) -> None:
    import openvino

    for report in ("manifest.json", "report.json"):
        assert json.loads((folder / report).read_text("utf-8"))["stand_in"] is True
    for report in ("report.md", "report.html"):
        assert "STAND-IN" in (folder / report).read_text("utf-8")
    assert "stand-in" in (folder / "report.xml").read_text("utf-8")
    models = [entry["path"] for entry in artefacts if entry["precision"] and entry["path"].endswith(".xml")]
    assert models
    for path in models:
        assert "stand-in" in path
        assert openvino.Core().read_model(folder / path).has_rt_info(["ssdconvert", "stand_in"])


def realistic(folder: Path, keep: int) -> None:
    """Tens to a few hundred detections a picture."""
    report = json.loads((folder / "report.json").read_text("utf-8"))
    mean = report["reference_detections"] / len(report["pictures"])
    assert min(10, keep / 4) <= mean <= min(400, keep)
