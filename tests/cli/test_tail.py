"""`--tail` by hand: what each command makes of it, and where it is refused."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import onnx
import openvino
import pytest

from ssdconvert.api import verify
from ssdconvert.resources import package_file

PICTURE = package_file("package:images/shapes-2.jpg")
TAIL = ("--tail", "detection-output")


def outputs_of(path: Path) -> list[str]:
    return [port.get_any_name() for port in openvino.Core().read_model(path).outputs]


def test_a_build_ends_in_detection_output_and_detects_the_same(
    run: Callable[..., Any], demo: Path, tmp_path: Path
) -> None:
    before = {
        p: run("detect", demo / p / "ssd-demo.xml", PICTURE, "--json").document for p in ("FP32", "FP16")
    }
    assert run("verify", "ssd-demo", *TAIL, "-q").code == 0
    ended = run("build", "ssd-demo", *TAIL, "--json")
    assert (ended.code, ended.document["verdict"]) == (0, "pass")
    assert {stage["name"]: stage["status"] for stage in ended.document["stages"]}["verify"] == "cached"
    for precision, expected in before.items():
        xml = tmp_path / "build" / "ssd-demo" / precision / "ssd-demo.xml"
        assert outputs_of(xml) == ["detection_out"]
        found = run("detect", xml, PICTURE, "--json").document["detections"]
        assert [one["name"] for one in found] == [one["name"] for one in expected["detections"]]
        for one, other in zip(found, expected["detections"], strict=True):
            assert one["box"] == pytest.approx(other["box"], abs=1)
            assert one["score"] == pytest.approx(other["score"], abs=1e-3)
    ours = ("--against", tmp_path / "build" / "ssd-demo" / "ssd-demo.onnx", "--recipe", "ssd-demo")
    assert run("verify", xml, *ours, "-q").code == 0


def test_convert_and_export(run: Callable[..., Any], tmp_path: Path) -> None:
    assert run("convert", "ssd-demo", *TAIL, "--precision", "FP16", "--output", "out", "-q").code == 0
    assert outputs_of(tmp_path / "out" / "FP16" / "ssd-demo.xml") == ["detection_out"]
    heads = ["class_logits", "box_offsets"]
    assert [one.name for one in onnx.load(tmp_path / "out" / "ssd-demo.onnx").graph.output] == heads
    assert run("export", "ssd-demo", "--tail", "heads", "--output", "out", "--json").code == 0
    assert [one.name for one in onnx.load(tmp_path / "out" / "ssd-demo.onnx").graph.output] == heads


def test_python_asks_for_it_too(demo: Path, tmp_path: Path) -> None:
    assert verify("ssd-demo", tail="heads", output=demo).verdict == "pass"
    assert outputs_of(demo / "FP32" / "ssd-demo.xml") == ["class_logits", "box_offsets"]


@pytest.mark.parametrize("command", ["build", "convert", "export", "verify"])
@pytest.mark.parametrize("kind", ["caffe", "ir"])
def test_a_source_that_keeps_its_outputs_is_refused(
    run: Callable[..., Any], documents: Mapping[str, Any], recipe_file: Any, command: str, kind: str
) -> None:
    ended = run(command, recipe_file(documents[kind]), *TAIL, "--json")
    error = json.loads(ended.out)["error"]
    assert (ended.code, error["exit_code"]) == (2, 2)
    assert "keeps its outputs" in error["message"]
    assert "--tail" in error["hint"]


def test_two_files_have_the_ends_that_they_have(run: Callable[..., Any], demo: Path) -> None:
    ended = run("verify", demo / "FP32" / "ssd-demo.xml", "--against", demo / "ssd-demo.onnx", *TAIL)
    assert ended.code == 2
    assert "nothing is built" in ended.err


def test_another_word_is_a_usage_error(run: Callable[..., Any]) -> None:
    ended = run("build", "ssd-demo", "--tail", "other")
    assert ended.code == 2
    assert "'nms', 'detection-output', 'heads'" in ended.err
