"""`bench` from the command line: who takes part, what it prints and writes, and every kind of bad input."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ssdconvert.resources import package_file

BRIEF = ("--seconds", "0.12", "--rounds", "2", "--threads", "1")


@pytest.fixture
def model(model_giving: Callable[..., Path], detection_rows: Callable[..., Any]) -> Path:
    """An IR of nobody's recipe that finds something in every picture, and takes 8x8."""
    return model_giving({"detection_out": detection_rows((0, 1, 0.75, 0, 0, 1, 1))})


def test_a_build_beside_onnx_runtime_and_its_original(
    run: Callable[..., Any], demo: Path, built: Path, tmp_path: Path
) -> None:
    ended = run(
        "bench", "ssd-demo", *BRIEF, "--output", tmp_path / "out", "--cache", built / "cache", "--json"
    )
    assert ended.code == 0, ended.err
    document = ended.document
    names = ["FP32 IR", "FP16 IR", "ONNX Runtime", "torch", "torch, network alone"]
    assert [row["name"] for row in document["rows"]] == names
    assert document["references"] == ["FP32 IR", "ONNX Runtime", "torch", "torch, network alone"]
    assert (document["hint"], document["rounds"], document["skipped"]) == ("latency", 2, [])
    for row in document["rows"]:
        assert row["threads"] == row["requests"] == 1
        assert len(row["rounds"]) == 2
        latency = row["latency"]
        assert 0 < latency["minimum"] <= latency["median"] <= latency["maximum"]
        assert row["pictures_per_second"] == pytest.approx(1000 / latency["mean"], rel=0.2)
        assert 0 < row["cpu_milliseconds"] < 3 * latency["mean"]
        assert {ratio["to"] for ratio in row["ratios"]} == {*document["references"]} - {row["name"]}
    assert [row["work"] for row in document["rows"]] == ["detections"] * 4 + ["heads"]
    page = (tmp_path / "out" / "bench.md").read_text("utf-8")
    assert json.loads((tmp_path / "out" / "bench.json").read_text("utf-8")) == document
    assert page.startswith("# ssd-demo: speed\n")
    assert all(f"| {name} | " in page for name in names)
    assert str(tmp_path) not in page + json.dumps(document)


def test_the_text_has_times_and_ratios(run: Callable[..., Any], demo: Path) -> None:
    ended = run(
        "bench", demo, *BRIEF, "--precision", "FP16", "--engine", "openvino", "--engine", "onnxruntime"
    )
    assert ended.code == 0, ended.err
    lines = ended.out.splitlines()
    assert re.match(r"latency, ms +min +mean +median +p90 +p95 +p99 +CPU +pictures/s$", lines[3])
    assert re.match(r"FP16 IR( +([\d.]+|-)){8}$", lines[4])
    assert re.match(r"ONNX Runtime +[\d.]+ \([\d.]+ \.\. [\d.]+\) \? +1$", lines[9])
    assert "Fewer than 6 rounds" in ended.out
    assert "FP32" not in ended.out.split("times as fast")[0].split("latency, ms")[1]


def test_an_original_that_is_not_near_is_left_out_and_not_fetched(
    run: Callable[..., Any], model: Path, tmp_path: Path
) -> None:
    ended = run("bench", model, *BRIEF, "--json")
    assert ended.code == 0, ended.err
    told = {one["name"]: one["reason"] for one in ended.document["skipped"]}
    assert told == {
        "ONNX Runtime": "there is no model.onnx beside the IR: give the file with --against",
        "original": "nothing says of which recipe this model is: give --recipe NAME",
    }
    (row,) = ended.document["rows"]
    assert (row["precision"], row["name"]) == ("not told", "model.xml")


def test_the_hint_throughput_has_several_requests(run: Callable[..., Any], model: Path) -> None:
    ended = run("bench", model, "--hint", "throughput", "--seconds", "0.1", "--rounds", "2", "--json", "-c",
                "NUM_STREAMS=2", "--threads", "2", "--engine", "openvino")  # fmt: skip
    assert ended.code == 0, ended.err
    (row,) = ended.document["rows"]
    assert row["requests"] == 2
    assert ended.document["settings"] == {"CPU": {"NUM_STREAMS": "2"}}
    assert ended.document["skipped"] == []


def test_the_same_file_twice_differs_by_noise_alone(run: Callable[..., Any], model: Path) -> None:
    ended = run("bench", model, "--engine", "openvino", "--against", model, *BRIEF, "--json")
    assert ended.code == 0, ended.err
    assert [row["name"] for row in ended.document["rows"]] == ["model.xml", "given model.xml"]


def test_files_of_one_name_have_names_of_their_own(run: Callable[..., Any], model: Path) -> None:
    """Two builds of a recipe give files of the same name; ratios are told by the names of rows."""
    ended = run(
        "bench", model, "--engine", "openvino", "--against", model, "--against", model, *BRIEF, "--json"
    )
    assert ended.code == 0, ended.err
    names = ["model.xml", "given model.xml", "given model.xml (2)"]
    assert [row["name"] for row in ended.document["rows"]] == names


def test_an_onnx_file_runs_in_both_engines(run: Callable[..., Any], demo: Path) -> None:
    ended = run("bench", demo / "ssd-demo.onnx", "--recipe", "ssd-demo", *BRIEF, "--engine", "openvino",
                "--engine", "onnxruntime", "--json")  # fmt: skip
    assert ended.code == 0, ended.err
    assert [row["engine"] for row in ended.document["rows"]] == ["OpenVINO", "ONNX Runtime"]


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["MODEL", "--seconds", "0"], 2, "0 seconds in 10 rounds measure nothing"),
        (["MODEL", "--seconds", "nan"], 2, "measure nothing"),
        (["nothing.xml"], 2, "there is no nothing.xml"),
        (["PICTURE"], 2, "unknown recipe|no recipe|not built"),
        (["ssd-demo"], 2, "error.bench.: ssd-demo is not built"),
        (["MODEL", "--device", "GPU"], 5, "no device GPU"),
        (["MODEL", "--device", "TOASTER"], 2, "is no device"),
        (["MODEL", "--precision", "FP16"], 2, "is one file, of one precision"),
        (["MODEL", "-c", "PERFORMANCE_HINT=LATENCY"], 2, "is set by --hint"),
        (["MODEL", "-c", "NONSENSE=1"], 2, "refuses NONSENSE"),
        (["MODEL", "--against", "nothing.onnx"], 2, "nothing.onnx does not exist"),
        (["MODEL", "--against", "PICTURE"], 2, "is no .xml or .onnx"),
        (["MODEL", "--image", "nothing.jpg"], 2, "nothing.jpg does not exist"),
        (["nothing.xml", "--output", "BROKEN/out"], 2, "the folder BROKEN/out cannot be made"),
        (["OTHERS", "--recipe", "ssd-demo"], 2, "made by the recipe tiny, not by ssd-demo"),
        (["MODEL", "--engine", "onnxruntime"], 2, "there is nothing to measure"),
        (["BROKEN"], 4, "is no whole .xml of an IR"),
        (["TWO"], 2, "2 inputs, expected one"),
        (["DYNAMIC"], 2, "pictures of any size"),
        (["NAN"], 1, "gives NaN in detection_out"),
    ],
)
def test_bad_input_is_told_with_a_hint(
    run: Callable[..., Any], model: Path, model_giving: Callable[..., Path], detection_rows: Callable[..., Any],
    tmp_path: Path, arguments: list[str], code: int, told: str,
) -> None:  # fmt: skip
    rows = {"detection_out": detection_rows((0, 1, 0.75, 0, 0, 1, 1))}
    made = {
        "MODEL": lambda: model,
        "PICTURE": lambda: package_file("package:images/shapes-1.jpg"),
        "BROKEN": lambda: broken(tmp_path),
        "TWO": lambda: model_giving(rows, (1, 3, 8, 8), (1, 3, 8, 8), name="two"),
        "DYNAMIC": lambda: model_giving(rows, (1, 3, -1, -1), name="dynamic"),
        "OTHERS": lambda: said_to_be_of(model, "tiny"),
        "NAN": lambda: model_giving({"detection_out": np.full((1, 1, 6, 7), np.nan, np.float32)}, name="nan"),
    }
    (tmp_path / "BROKEN").write_text("a file")
    ended = run("bench", *(made[one]() if one in made else one for one in arguments))
    assert ended.code == code, ended.err
    assert re.search(told, ended.err)
    assert "hint: " in ended.err
    assert "Traceback" not in ended.err


def said_to_be_of(model: Path, recipe: str) -> Path:
    """A copy of an IR that says of itself that it was made by a recipe."""
    import openvino

    described = openvino.Core().read_model(model)
    described.set_rt_info(recipe, ["ssdconvert", "recipe"])
    path = model.with_name("others.xml")
    openvino.save_model(described, path)
    return path


def broken(folder: Path) -> Path:
    """An .xml that is none, with its .bin."""
    (folder / "broken.xml").write_text("no IR")
    (folder / "broken.bin").write_bytes(b"")
    return folder / "broken.xml"
