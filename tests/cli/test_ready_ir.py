"""A ready IR from the command line: built, then detected with by name."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ssdconvert.resources import package_file

PICTURE = package_file("package:images/shapes-2.jpg")
STREET = Path(__file__).resolve().parents[3] / "shared" / "images" / "street"


@pytest.fixture
def built_ready(run: Callable[..., Any], recipe_file: Any, ready: Any) -> Path:
    path = recipe_file(ready("pixels"), {"precisions": ["FP16"]})
    assert run("build", path, "--mirror", "mirror").code == 0
    return path


def test_detect_by_the_recipes_file(run: Callable[..., Any], built_ready: Path) -> None:
    ended = run("detect", built_ready, PICTURE, "--threshold", "0.1", "--json")
    assert ended.code == 0, ended.err
    document = ended.document
    assert (document["model"], document["size"]) == ("build/ready/FP16/ready.xml", [480, 480])
    assert document["detections"]
    for found in document["detections"]:
        assert found["name"] == ["vehicle", "person", "bike"][found["label"] - 1]
        assert 0 <= found["box"][0] <= found["box"][2] <= 480
    assert max(found["box"][2] for found in document["detections"]) > 128  # not in the input's pixels


def test_detect_by_name_in_a_folder_of_recipes(run: Callable[..., Any], built_ready: Path) -> None:
    ended = run("detect", "ready", PICTURE, "--threshold", "0.1", "--recipes", ".")
    assert ended.code == 0, ended.err
    assert any(name in ended.out for name in ("vehicle", "person", "bike"))


@pytest.mark.parametrize("model", ["ready", "build/ready/FP16/ready.xml"])
def test_a_ready_ir_without_its_recipe(run: Callable[..., Any], built_ready: Path, model: str) -> None:
    """It is fed as the old sample fed it, which is said: a wrong guess would find something all the same."""
    ended = run("detect", model, PICTURE, "--threshold", "0.1", "--json")
    assert ended.code == 0
    assert "nothing says how it is fed: as the old sample did, BGR pixels of 0..255 stretched" in ended.err
    found = ended.document["detections"]
    assert found
    assert all(one["name"] == f"label {one['label']}" for one in found)
    told = run("detect", model, PICTURE, "--threshold", "0.1", "--json", "--recipe", built_ready)
    assert "fed as the recipe ready says" in told.err
    assert [one["box"] for one in told.document["detections"]] == [one["box"] for one in found]
    named = [one["name"] for one in told.document["detections"]]
    assert named == [["vehicle", "person", "bike"][one["label"]] for one in found]


@pytest.mark.parametrize(
    ("name", "picture", "threshold", "label", "box"),
    [
        ("face-detection-retail-0004", "001150.jpg", 0.5, "face", [301, 4, 355, 73]),
        ("person-vehicle-bike-detection-2000", "000456.jpg", 0.5, "vehicle", [91, 37, 431, 300]),
        ("person-vehicle-bike-detection-2004", "000456.jpg", 0.3, "vehicle", [85, 44, 429, 301]),
    ],
)
def test_intels_models_see_what_is_there(
    run: Callable[..., Any],
    mirror: Path,
    name: str,
    picture: str,
    threshold: float,
    label: str,
    box: list[float],
) -> None:
    """The boxes were looked at in the pictures."""
    if not STREET.is_dir():
        pytest.skip("../shared/images/street is not there: photographs are needed")
    assert run("build", name, "--mirror", mirror, "--offline").code == 0
    report = json.loads(Path(f"build/{name}/report.json").read_text("utf-8"))
    assert report["verdict"] == "pass"
    for suffix in ("xml", "bin"):
        built = Path(f"build/{name}/FP16/{name}.{suffix}")
        assert built.read_bytes() == (mirror / name / "FP16" / f"{name}.{suffix}").read_bytes()
    document = run("detect", name, STREET / picture, "--threshold", str(threshold), "--json").document
    (found,) = document["detections"]
    assert found["name"] == label
    assert found["box"] == pytest.approx(box, abs=5)
