"""--converter openvino and --bake: a whole build, and what cannot be asked for."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ssdconvert.toolchains.call import Toolchain


@pytest.mark.parametrize("bake", ["values", "image"])
def test_a_build_passes_and_repeats(
    ov_2026_toolchain: Toolchain,
    run: Any,
    own_nms: Mapping[str, Any],
    recipe_file: Any,
    tmp_path: Path,
    bake: str,
) -> None:
    recipe = recipe_file(own_nms)
    options = ("--converter", "openvino", "--bake", bake, "--mirror", "mirror", "--json")
    ended = run("build", recipe, *options, "--output", "a")
    assert (ended.code, ended.document["verdict"]) == (0, "pass"), ended.err
    convert = next(stage for stage in ended.document["stages"] if stage["name"] == "convert")
    assert "by openvino.convert_model 2026.4.1" in convert["summary"]
    assert run("convert", recipe, *options, "--output", "b").code == 0
    for path in ("FP32/own-nms.xml", "FP32/own-nms.bin", "FP16/own-nms.xml", "FP16/own-nms.bin"):
        assert (tmp_path / "a" / path).read_bytes() == (tmp_path / "b" / path).read_bytes()
    manifest = json.loads((tmp_path / "a" / "manifest.json").read_text("utf-8"))
    asked = manifest["stages"]["convert"]
    pins = ov_2026_toolchain.kind.pins()
    assert (asked["converter"], asked["bake"], asked["toolchain"]) == ("openvino", bake, pins)

    again = run("verify", recipe, *options, "--output", "a", "--toolchain", "ov-2026", "--trace")
    assert again.document["verdict"] == "pass"
    judged = {one["runtime"] for one in again.document["checks"] if one["hop"] == "ir"}
    assert judged == {"openvino 2024.6.0", "openvino 2026.4.1"}

    pixels = np.random.default_rng(2).integers(0, 256, (299, 401, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "odd.png")
    found = run("detect", "a/FP16/own-nms.xml", "odd.png", "--threshold", "0.05", "--json", "--no-picture")
    assert found.code == 0, found.err
    assert found.document["size"] == [401, 299]
    boxes = np.array([one["box"] for one in found.document["detections"]])
    assert len(boxes)
    assert boxes.min() >= 0
    assert (boxes.max(axis=0) <= [401, 299, 401, 299]).all()
    assert boxes[:, 2].max() > 200


def test_changing_the_converter_converts_again(
    ov_2026_toolchain: Toolchain, run: Any, own_nms: Mapping[str, Any], recipe_file: Any
) -> None:
    recipe = recipe_file(own_nms)
    common = ("convert", recipe, "--mirror", "mirror", "--output", "out", "--json")

    def statuses(*options: str) -> dict[str, str]:
        document = run(*common, *options).document
        return {stage["name"]: stage["status"] for stage in document["stages"]}

    assert statuses()["convert"] == "done"
    assert statuses("--converter", "openvino")["convert"] == "done"
    assert statuses("--converter", "openvino")["convert"] == "cached"
    changed = statuses("--converter", "openvino", "--bake", "image")
    assert (changed["simplify"], changed["convert"]) == ("cached", "done")


def test_without_the_toolchain(
    run: Any, own_nms: Mapping[str, Any], recipe_file: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSDCONVERT_TOOLCHAINS", str(tmp_path / "none"))
    ended = run(
        "build", recipe_file(own_nms), "--converter", "openvino", "--mirror", "mirror", "--output", "out"
    )
    assert ended.code == 5
    assert "the toolchain ov-2026 is not installed" in ended.err
    assert "ssdconvert toolchain add ov-2026" in ended.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("build", "ssd-demo", "--bake", "image"), "add --converter openvino"),
        (("build", "mobilenet-ssd", "--converter", "openvino"), "mobilenet-ssd is a Caffe network"),
        (("build", "face-detection-0206", "--converter", "openvino"), "face-detection-0206 is a ready IR"),
        (
            ("convert", "ssd300-resnet50-hub", "--converter", "openvino", "--bake", "image"),
            "crops its pictures",
        ),
        (("verify", "a.xml", "--against", "b.onnx", "--bake", "image"), "with --against nothing is built"),
    ],
)
def test_what_cannot_be_asked_for(run: Any, arguments: tuple[str, ...], told: str) -> None:
    ended = run(*arguments)
    assert ended.code == 2
    assert told in ended.err
