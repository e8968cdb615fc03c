"""`quantize` and `build --precision INT8`: what they ask for, what they refuse, what they make."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ssdconvert import build_run
from ssdconvert.resources import package_file

Run = Callable[..., Any]


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in (1, 2, 3):
        shutil.copy(package_file(f"package:images/shapes-{number}.jpg"), folder)
    return folder


def test_an_int8_ir_goes_through_the_gate(run: Run, demo: Path, pictures: Path) -> None:
    before = {path: path.read_bytes() for path in (demo / "FP32").iterdir()}
    ended = run("quantize", "ssd-demo", "--calibration", pictures, "--samples", "3", "--json")
    document = ended.document
    assert (ended.code, document["verdict"]) == (0, "pass"), ended.err
    stages = {stage["name"]: stage for stage in document["stages"]}
    assert stages["convert"]["status"] == "cached"
    assert "share of detections" in stages["quantize"]["summary"]
    precisions = {entry["path"]: entry["precision"] for entry in document["artifacts"]}
    assert precisions["INT8/ssd-demo.xml"] == "INT8"
    manifest = json.loads((demo / "manifest.json").read_text())
    assert manifest["tools"]["nncf"].startswith("2.")
    assert manifest["stages"]["quantize"]["samples"] == 3
    assert {path: path.read_bytes() for path in (demo / "FP32").iterdir()} == before

    report = run("check", "build/ssd-demo", "--run", "--json")
    assert report.code == 0, report.out
    assert "INT8" in {check["precision"] for check in report.document["run"]["checks"]}
    again = run("quantize", "ssd-demo", "--calibration", pictures, "--samples", "3", "--json").document
    assert {stage["status"] for stage in again["stages"] if stage["name"] != "manifest"} == {"cached"}

    without = run("build", "ssd-demo", "--json").document
    assert not any(path.startswith("INT8") for path in (entry["path"] for entry in without["artifacts"]))
    assert not list((demo / "INT8").iterdir())


@pytest.mark.slow  # quantises twice
def test_other_weights_than_were_measured_are_not_passed(run: Run, demo: Path, pictures: Path) -> None:
    """What was told of one file does not hold for another one."""
    arguments = ("quantize", "ssd-demo", "--calibration", pictures, "--samples", "3")
    run(*arguments)
    for suffix in ("xml", "bin"):
        shutil.copy(demo / "FP32" / f"ssd-demo.{suffix}", demo / "INT8" / f"ssd-demo.{suffix}")
    ended = run(*arguments)
    assert ended.code == 0
    assert "was changed by somebody else" in ended.err


@pytest.mark.parametrize("command", [("quantize",), ("build", "--precision", "INT8")])
def test_without_pictures_it_asks_for_some(run: Run, command: tuple[str, ...]) -> None:
    ended = run(*command, "ultraface-rfb-320")
    assert ended.code == 2
    assert (
        "error[quantize]: INT8 is made by calibration, and ultraface-rfb-320 names no pictures" in ended.err
    )
    assert "--calibration DIR or COCO.json" in ended.err
    assert "fetch" not in ended.err


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (("--calibration", "nowhere"), "the calibration set nowhere does not exist"),
        (("--calibration", "empty"), "the folder empty holds no picture"),
        (("--calibration", "pictures", "--max-drop", "0.5"), "pictures without annotations"),
        (("--calibration", "broken"), "cut.jpg cannot be read as a picture"),
        (("--calibration", "list.json"), "has not the lists images, annotations, categories"),
    ],
)
def test_pictures_that_are_no_use(
    run: Run, demo: Path, pictures: Path, tmp_path: Path, given: tuple[str, ...], told: str
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "cut.jpg").write_bytes(b"\xff\xd8\xff")
    (tmp_path / "list.json").write_text("{}")
    ended = run("quantize", "ssd-demo", *given)
    assert ended.code == 2
    assert told in ended.err
    if "broken" not in given:  # which is found when it is read
        assert "export" not in ended.err


def test_without_nncf_it_says_what_to_install(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def not_found(name: str) -> None:
        assert name == "nncf"

    monkeypatch.setattr(build_run, "find_spec", not_found)
    ended = run("quantize", "ssd-demo")
    assert ended.code == 5
    assert "pip install 'ssdconvert[int8]'" in ended.err


def test_a_ready_ir_is_not_quantised(run: Run) -> None:
    ended = run("quantize", "face-detection-0206", "--calibration", ".")
    assert ended.code == 2
    assert "a ready IR, which is taken as it is" in ended.err
