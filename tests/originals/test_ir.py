"""Ready IRs: adopted as they are, judged precision by precision, detected with."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ssdconvert.errors import ConversionError
from ssdconvert.recipe import Recipe, load_recipe
from ssdconvert.report.result import Verification
from ssdconvert.stages.load import load
from ssdconvert.stand_in.ir import write_files

FOLDERS = {"FP32": "FP32", "FP16": "FP16", "INT8": "FP16-INT8"}
UNITS = pytest.mark.parametrize("units", ["normalised", "pixels"])


def failing(result: Verification) -> set[tuple[str, str, str]]:
    return {(c.hop, c.precision, c.level) for c in result.checks if c.status == "fail"}


@UNITS
def test_it_passes_and_stays_what_it_was(
    ready: Any, recipe_file: Any, build_here: Any, mirrored: Any, tmp_path: Path, units: str
) -> None:
    result = build_here(recipe_file(ready(units)))
    assert result.verdict == "pass", result.verification.reason
    statuses = {stage.name: stage.status for stage in result.stages}
    assert (statuses["export"], statuses["simplify"], statuses["convert"]) == ("skipped", "skipped", "done")
    for precision, folder in FOLDERS.items():
        for suffix in ("xml", "bin"):
            built = tmp_path / "out" / precision / f"ready.{suffix}"
            assert built.read_bytes() == (mirrored("ready") / folder / f"ready.{suffix}").read_bytes()
    assert not list((tmp_path / "out").rglob("*.onnx"))


@UNITS
def test_the_reference_can_only_be_held_against_its_contract(
    ready: Any, recipe_file: Any, build_here: Any, units: str
) -> None:
    checks = build_here(recipe_file(ready(units)), until="verify").verification.checks
    assert {c.hop for c in checks} == {"original", "ir", "control"}
    levels = {
        precision: {c.level for c in checks if c.hop == "ir" and c.precision == precision}
        for precision in FOLDERS
    }
    assert levels["FP32"] == {"contract"}
    of_outputs = [c for c in checks if (c.hop, c.precision) == ("ir", "FP32") and c.output != "file"]
    assert all("the original itself" in c.reason for c in of_outputs)
    for precision in ("FP16", "INT8"):
        assert levels[precision] >= {"contract", "detections"}
        measured = [
            c.value for c in checks if c.hop == "ir" and c.precision == precision and c.output == "scores"
        ]
        assert max(measured) > 0  # it is not the reference again


def test_a_lower_precision_alone_is_judged_against_the_highest(
    ready: Any, recipe_file: Any, build_here: Any, tmp_path: Path
) -> None:
    result = build_here(recipe_file(ready("normalised")), precisions=("FP16",))
    assert result.verdict == "pass"
    assert {c.precision for c in result.verification.checks if c.hop == "ir"} == {"FP32", "FP16"}
    assert sorted(entry["path"] for entry in result.artefacts if entry["precision"]) == [
        "FP16/ready.bin",
        "FP16/ready.xml",
    ]
    assert not (tmp_path / "out" / "FP32").exists()


def test_an_ir_of_one_precision_alone(ready: Any, recipe_file: Any, build_here: Any) -> None:
    """As Intel's FP16 files in the mirror: there is nothing to hold them against but their contract."""
    files = [{"name": f"FP16/ready.{suffix}", "urls": []} for suffix in ("xml", "bin")]
    changes = {"source.files": files, "precisions": ["FP16"]}
    result = build_here(recipe_file(ready("pixels"), changes))
    assert result.verdict == "pass"
    assert {c.level for c in result.verification.checks if c.hop == "ir"} == {"contract"}


@pytest.fixture
def of_other_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], Path]:
    """Write the same network with the weights of another seed."""

    def write(document: Any) -> Path:
        monkeypatch.setattr("ssdconvert.stand_in.ir_network.SEED", 7)
        write_files(Recipe.model_validate_json(json.dumps(document)), tmp_path / "other")
        return tmp_path / "other"

    return write


@UNITS
@pytest.mark.parametrize("folder", ["FP32", "FP16"])
def test_weights_of_another_model_of_equal_length(
    ready: Any,
    recipe_file: Any,
    build_here: Any,
    mirrored: Any,
    of_other_weights: Any,
    units: str,
    folder: str,
) -> None:
    document = ready(units)
    here, there = (path / folder / "ready.bin" for path in (mirrored("ready"), of_other_weights(document)))
    assert here.stat().st_size == there.stat().st_size
    assert here.read_bytes() != there.read_bytes()
    here.write_bytes(there.read_bytes())
    result = build_here(recipe_file(document, {"precisions": ["FP32", "FP16"]}), until="verify")
    assert result.verdict == "fail"
    assert {(hop, precision) for hop, precision, _ in failing(result.verification)} == {("ir", "FP16")}


@pytest.mark.parametrize(
    ("units", "key", "value", "told"),
    [
        ("normalised", "iou_threshold", 0.451, "iou_threshold 0.45, expected 0.451"),
        ("normalised", "score_threshold", 0.02, "score_threshold 0.05, expected 0.02"),
        ("normalised", "keep", 39, "keep 40, expected 39"),
        ("normalised", "per_class", 99, "per_class 100, expected 99"),
        ("normalised", "clip", True, "clip no, expected yes"),
        ("pixels", "iou_threshold", 0.5, "iou_threshold 0.45, expected 0.5"),
        ("pixels", "score_threshold", 0.0, "score_threshold 0.05, expected 0"),
        ("pixels", "keep", 41, "keep 40, expected 41"),
    ],
)
def test_another_rule_than_its_own_is_refused(
    ready: Any, recipe_file: Any, mirrored: Any, units: str, key: str, value: float, told: str
) -> None:
    recipe = load_recipe(recipe_file(ready(units), {f"detections.{key}": value}))
    files = {file.name: mirrored("ready") / file.name for file in recipe.source.files}
    with pytest.raises(ConversionError, match="suppresses by another rule") as caught:
        load(recipe, files)
    assert caught.value.message.endswith(f"says: {told}")
    assert caught.value.stage == "load"


@UNITS
def test_thresholds_of_16_bits_are_what_the_recipe_says(
    ready: Any, recipe_file: Any, mirrored: Any, units: str
) -> None:
    """0.45 is 0.44995 there, where it is a constant among the weights."""
    changes = {"source.files": [{"name": f"FP16/ready.{suffix}", "urls": []} for suffix in ("xml", "bin")]}
    recipe = load_recipe(recipe_file(ready(units), {**changes, "precisions": ["FP16"]}))
    files = {file.name: mirrored("ready") / file.name for file in recipe.source.files}
    assert load(recipe, files).default_boxes > 0


@pytest.mark.parametrize(
    ("units", "changes", "hop"),
    [
        ("normalised", {"first_label": 1}, "ir"),
        ("normalised", {"units": "pixels"}, "original"),
        ("pixels", {"first_label": 1}, "ir"),
        ("pixels", {"units": "normalised"}, "ir"),
    ],
)
def test_another_meaning_than_its_own_is_seen(
    ready: Any, recipe_file: Any, build_here: Any, units: str, changes: dict[str, Any], hop: str
) -> None:
    dotted = {f"detections.{key}": value for key, value in changes.items()}
    result = build_here(recipe_file(ready(units), {**dotted, "precisions": ["FP32"]}), until="verify")
    assert result.verdict == "fail"
    assert hop in {found for found, _, _ in failing(result.verification)}


@UNITS
def test_what_its_heads_are(ready: Any, recipe_file: Any, mirrored: Any, units: str) -> None:
    recipe = load_recipe(recipe_file(ready(units)))
    files = {file.name: mirrored("ready") / file.name for file in recipe.source.files}
    original = load(recipe, files)
    assert original.model == files["FP32/ready.xml"]
    assert original.keeps_outputs
    coded = units == "normalised"
    assert original.heads.names == ("class_probabilities", "box_offsets" if coded else "decoded_boxes")
    import numpy as np

    heads = original.run(np.full(recipe.input.shape, 128, np.float32), "picture")
    assert {array.shape[:2] for array in heads.values()} == {(1, original.default_boxes)}
    scores, boxes = original.heads.decoded(heads)
    assert scores.shape == (original.default_boxes, 4)
    assert ((scores >= 0) & (scores <= 1)).all()
    assert (scores[:, 0] > 0.5).any() if coded else not scores[:, 0].any()  # background, last in the file
    assert -1 < boxes.min() < boxes.max() < 2  # no pixels


# --- detect


def test_detect_names_what_it_finds(
    ready: Any, recipe_file: Any, build_here: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for units in ("normalised", "pixels"):
        build_here(recipe_file(ready(units), {"precisions": ["FP32"]}), output=units)
        document = json.loads((tmp_path / units / "detections.json").read_text("utf-8"))
        width, height = document["size"]
        for found in document["detections"]:
            assert found["name"] == ["vehicle", "person", "bike"][found["label"] - 1]
            x1, y1, x2, y2 = found["box"]
            assert 0 <= x1 <= x2 <= width
            assert 0 <= y1 <= y2 <= height
        assert document["detections"], units
