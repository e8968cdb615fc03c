"""Every command by hand: what is on stdout, what on stderr, and the keys of each document."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from ssdconvert.resources import package_file

PICTURE = package_file("package:images/shapes-2.jpg")
CHECK_KEYS = {
    "hop", "level", "device", "runtime", "precision", "input", "output", "metric", "value", "limit", "required",
    "status", "reason",
}  # fmt: skip


def test_help_and_version(run: Callable[..., Any]) -> None:
    ended = run("--help")
    assert ended.code == 0
    for command in (
        "build",
        "convert",
        "detect",
        "doctor",
        "export",
        "fetch",
        "cache",
        "list",
        "schema",
        "show",
        "toolchain",
        "verify",
    ):
        assert f"  {command} " in ended.out
    assert run("--version").out.startswith("ssdconvert")


@pytest.mark.parametrize(
    "command", ["build", "convert", "detect", "doctor", "export", "fetch", "list", "schema", "show", "verify"]
)
def test_every_command_has_help(run: Callable[..., Any], command: str) -> None:
    ended = run(command, "--help")
    assert ended.code == 0
    assert "--json" in ended.out


def test_list(run: Callable[..., Any], demo: Path) -> None:
    entries = {entry["name"]: entry for entry in run("list", "--json").document}
    assert {"ssd-demo", "ultraface-rfb-320", "ultraface-slim-320-onnx"} <= set(entries)
    entry = entries["ssd-demo"]
    assert set(entry) == {"name", "kind", "title", "input", "classes", "licence", "cached", "built"}
    assert (entry["kind"], entry["input"], entry["classes"]) == ("pytorch", [1, 3, 400, 400], 6)
    assert (entry["built"], entries["ultraface-rfb-320"]["built"]) == (True, False)
    assert "ssd-demo" in run("list").out


def test_show_and_schema(run: Callable[..., Any]) -> None:
    assert run("show", "ssd-demo", "--json").document["name"] == "ssd-demo"
    text = run("show", "ultraface-rfb-320").out
    for word in ("MIT", "version-RFB-320.pth", "127 127 127 (RGB)", "1 face", "wider-face-val-easy-ap"):
        assert word in text
    schema = run("schema").document
    assert {"name", "source", "input", "detections"} <= set(schema["required"])


def test_doctor(run: Callable[..., Any]) -> None:
    document = run("doctor", "--json").document
    assert {"python", "versions", "devices", "cache"} <= set(document)
    assert document["versions"]["openvino"] == "2024.6.0"
    assert any(device["name"] == "CPU" and device["full_name"] for device in document["devices"])
    assert "CPU" in run("doctor").out


def test_a_build_with_nothing_to_do(run: Callable[..., Any], demo: Path) -> None:
    ended = run("build", "ssd-demo", "--json")
    assert ended.code == 0
    document = ended.document
    promised = {"recipe", "verdict", "output", "stages", "artifacts", "report", "manifest"}
    assert promised <= set(document)
    assert document["verdict"] == "pass"
    statuses = {stage["name"]: stage["status"] for stage in document["stages"]}
    assert all(statuses[name] == "cached" for name in ("export", "simplify", "convert", "verify", "detect"))
    assert all({"name", "status", "seconds", "reason"} <= set(stage) for stage in document["stages"])
    for artefact in document["artifacts"]:
        assert {"path", "sha256", "bytes", "precision"} <= set(artefact)
        assert (demo / artefact["path"]).stat().st_size == artefact["bytes"]
    assert Path(document["report"]).is_file()
    assert json.loads(Path(document["manifest"]).read_text("utf-8"))["verdict"] == "pass"
    assert "up to date" in ended.err


def test_text_tells_the_verdict_and_where_things_are(run: Callable[..., Any], demo: Path) -> None:
    ended = run("build", "ssd-demo")
    assert ended.out.startswith("ssd-demo: pass\n")
    assert "build/ssd-demo/reference.png" in ended.out
    assert "build/ssd-demo/report.html" in ended.out
    assert "FP16 IR on CPU" in ended.out


def test_quiet_says_nothing(run: Callable[..., Any], demo: Path) -> None:
    ended = run("build", "ssd-demo", "-q")
    assert (ended.code, ended.out, ended.err) == (0, "", "")


def test_colour(run: Callable[..., Any], demo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "\x1b[" in run("build", "ssd-demo", "--color", "always").out
    assert "\x1b[" not in run("build", "ssd-demo", "--color", "never").out
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[" not in run("build", "ssd-demo").out


def test_verify_runs_the_gate_anew_and_traces_every_hop_when_asked(
    run: Callable[..., Any], demo: Path
) -> None:
    ended = run("verify", "ssd-demo", "--trace", "--json")
    traces = ended.document["traces"]
    assert ended.code == 0
    assert [trace["hop"] for trace in traces] == ["onnx", "simplified", "ir", "ir"]
    assert all(trace["divergence"] is None and len(trace["points"]) > 80 for trace in traces)
    text = run("build", "ssd-demo").out
    assert text.count("  trace: ") == 4
    assert "trace: FP16 IR on CPU: all " in text
    report = (demo / "report.md").read_text("utf-8")
    assert "* FP16 IR on CPU: all " in report
    ended = run("verify", "ssd-demo", "--json", "-v")
    document = ended.document
    assert (ended.code, document["verdict"], document["recipe"]) == (0, "pass", "ssd-demo")
    assert document["checks"]
    assert all(set(check) >= CHECK_KEYS for check in document["checks"])
    assert document["traces"] == []
    assert "asked for" in ended.err


def test_detect(run: Callable[..., Any], demo: Path, tmp_path: Path) -> None:
    ended = run("detect", "ssd-demo", PICTURE, "--json", "--output", "found.png")
    document = ended.document
    assert ended.code == 0
    assert set(document) == {"model", "device", "image", "size", "output", "detections"}
    assert (document["device"], document["size"], document["output"]) == ("CPU", [480, 480], "found.png")
    assert {found["name"] for found in document["detections"]} >= {"red disc", "blue disc", "square"}
    for found in document["detections"]:
        assert set(found) == {"label", "name", "score", "box"}
        x1, y1, x2, y2 = found["box"]
        assert 0 <= x1 < x2 <= 480
        assert 0 <= y1 < y2 <= 480
        assert found["score"] > 0.5
    red = next(found for found in document["detections"] if found["name"] == "red disc")
    assert red["box"] == pytest.approx([318, 211, 412, 303], abs=6)
    assert Image.open(tmp_path / "found.png").size == (480, 480)


def test_detect_with_an_ir_finds_its_recipe(run: Callable[..., Any], demo: Path) -> None:
    ended = run("detect", demo / "FP16" / "ssd-demo.xml", PICTURE, "--threshold", "0.9")
    assert ended.code == 0
    assert "red disc" in ended.out


def test_fetch_export_convert(run: Callable[..., Any], tmp_path: Path) -> None:
    (fetched,) = run("fetch", "ssd-demo", "--json").document
    assert {"recipe", "name", "path", "sha256", "bytes"} <= set(fetched)
    exported = run("export", "ssd-demo", "--json").document
    assert [artefact["path"] for artefact in exported["artifacts"]] == ["ssd-demo.onnx"]
    assert exported["verdict"] == "unverified"
    converted = run("convert", "ssd-demo", "--precision", "FP16")
    assert "FP16/ssd-demo.xml" in converted.out
    assert "not verified" in converted.out
    assert not (tmp_path / "build" / "ssd-demo" / "FP32").exists()


def test_several_recipes_give_a_list(run: Callable[..., Any], demo: Path, mirror: Path) -> None:
    ended = run("build", "ssd-demo", "ultraface-slim-320-onnx", "--mirror", mirror, "--json")
    assert [document["verdict"] for document in ended.document] == ["pass", "pass"]
