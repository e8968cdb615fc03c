"""Builds with `--stand-in`: marked everywhere, and never in the folder of the real model."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ssdconvert.resources import package_file

PICTURE = package_file("package:images/shapes-2.jpg")
STAND_IN = "ready-stand-in"


@pytest.fixture
def recipe(recipe_file: Any, ready: Any) -> Path:
    path: Path = recipe_file(ready("normalised"), {"precisions": ["FP32", "FP16"]})
    return path


@pytest.fixture
def made(run: Callable[..., Any], recipe: Path) -> Path:
    """The folder of a build with --stand-in."""
    ended = run("build", recipe, "--stand-in", "--offline")
    assert ended.code == 0, ended.err
    assert ended.out.startswith(f"{STAND_IN}: pass\n  STAND-IN: ")
    assert "STAND-IN" in ended.err
    return Path("build") / STAND_IN


def test_marks(made: Path, recipe: Path) -> None:
    import openvino

    for document in ("manifest.json", "report.json"):
        assert json.loads((made / document).read_text("utf-8"))["stand_in"] is True
    assert "STAND-IN" in (made / "report.md").read_text("utf-8")
    for precision in ("FP32", "FP16"):
        model = openvino.Core().read_model(made / precision / f"{STAND_IN}.xml")
        assert model.has_rt_info(["ssdconvert", "stand_in"])
    assert [path.name for path in Path("build").iterdir()] == [STAND_IN]
    assert not Path(os.environ["SSDCONVERT_CACHE"]).exists()  # nothing was fetched


def test_a_real_build_bears_no_marks(run: Callable[..., Any], recipe: Path) -> None:
    ended = run("build", recipe, "--mirror", "mirror")
    assert (ended.code, ended.out.count("STAND-IN")) == (0, 0)
    for document in ("manifest.json", "report.json"):
        assert "stand_in" not in json.loads((Path("build") / "ready" / document).read_text("utf-8"))
    assert "STAND-IN" not in (Path("build") / "ready" / "report.md").read_text("utf-8")


@pytest.mark.parametrize("first", [("--stand-in",), ("--mirror", "mirror")])
def test_a_stand_in_and_the_real_model_never_share_a_folder(
    run: Callable[..., Any], recipe: Path, first: tuple[str, ...]
) -> None:
    (second,) = {("--stand-in",), ("--mirror", "mirror")} - {first}
    assert run("build", recipe, "--output", "out", *first).code == 0
    before = {path: path.read_bytes() for path in Path("out").rglob("*") if path.is_file()}
    ended = run("build", recipe, "--output", "out", *second)
    assert (ended.code, ended.err.count("error[output]: out holds a build of ")) == (2, 1)
    assert {path: path.read_bytes() for path in Path("out").rglob("*") if path.is_file()} == before


def test_a_stand_in_is_up_to_date_and_made_again_when_its_recipe_changes(
    run: Callable[..., Any], made: Path, recipe: Path, recipe_file: Any, ready: Any
) -> None:
    def fetch() -> tuple[str, str]:
        stages = run("build", recipe, "--stand-in", "--json").document["stages"]
        (stage,) = (stage for stage in stages if stage["name"] == "fetch")
        return stage["status"], stage["reason"]

    assert fetch() == ("cached", "up to date")
    recipe_file(ready("normalised"), {"precisions": ["FP32", "FP16"], "detections.iou_threshold": 0.4})
    assert fetch() == ("done", "detections.iou_threshold changed from 0.45 to 0.4")
    (made / ".ssdconvert" / "stand-in" / "FP16" / "ready.bin").write_bytes(b"")
    assert fetch()[0] == "done"


def test_detect_with_a_stand_in(run: Callable[..., Any], made: Path) -> None:
    ended = run("detect", STAND_IN, PICTURE, "--threshold", "0.05", "--recipes", ".", "--json")
    assert ended.code == 0, ended.err
    assert ended.document["model"] == f"build/{STAND_IN}/FP32/{STAND_IN}.xml"
    assert {found["name"] for found in ended.document["detections"]} <= {"vehicle", "person", "bike"}
    assert ended.document["detections"]


def test_a_recipe_that_does_not_say_what_its_stand_in_is(
    run: Callable[..., Any], recipe_file: Any, documents: Any
) -> None:
    for kind in ("onnx", "caffe"):
        ended = run("build", recipe_file(documents[kind]), "--stand-in")
        assert ended.code == 2
        assert ended.err.count("error[stand-in]: ") == 1
        assert "write source.stand_in" in ended.err
        assert not list(Path("build").rglob("*.xml"))
