"""`toolchain` by hand."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def test_nothing_is_installed(run: Callable[..., Any]) -> None:
    ended = run("toolchain", "list")
    assert ended.code == 0
    assert re.search(r"^caffe +missing ", ended.out, re.MULTILINE)
    assert "ssdconvert toolchain add NAME" in ended.out
    (entry,) = [entry for entry in run("toolchain", "list", "--json").document if entry["name"] == "caffe"]
    assert entry.keys() == {"name", "state", "title", "path", "megabytes", "python"}
    assert (entry["state"], entry["python"]) == ("missing", "3.9 to 3.12")


def test_check_of_what_is_missing(run: Callable[..., Any]) -> None:
    ended = run("toolchain", "check", "caffe")
    assert ended.code == 5
    assert ended.out == ""
    assert ended.err.startswith("error[toolchain]: the toolchain caffe is not installed")
    assert "hint: install it: ssdconvert toolchain add caffe" in ended.err


def test_check(run: Callable[..., Any], caffe_toolchain: Any) -> None:
    ended = run("toolchain", "check", "caffe", "--json")
    assert ended.code == 0
    assert ended.document["versions"]["protobuf"] == "3.20.3"
    assert ended.document["path"] == str(caffe_toolchain.folder)
    assert re.search(r"^caffe +ready ", run("toolchain", "list").out, re.MULTILINE)


def test_add_with_an_interpreter_that_does_not_run(run: Callable[..., Any]) -> None:
    ended = run("toolchain", "add", "caffe", "--interpreter", "/no/python", "--json")
    assert ended.code == 5
    assert "/no/python does not run" in ended.document["error"]["message"]


def test_an_unknown_toolchain(run: Callable[..., Any]) -> None:
    for command in ("add", "remove", "check"):
        assert run("toolchain", command, "tensorflow").code == 2


def test_remove_of_what_is_missing(run: Callable[..., Any]) -> None:
    assert run("toolchain", "remove", "caffe").out == "caffe was not installed\n"
    assert run("toolchain", "remove", "caffe", "--json").document == {"name": "caffe", "removed": False}


def test_help(run: Callable[..., Any]) -> None:
    told = run("toolchain", "--help").out
    for command in ("list", "add", "remove", "check"):
        assert f"  {command} " in told


def test_a_toolchain_that_is_missing_is_told_first(run: Callable[..., Any], tmp_path: Path) -> None:
    for command in (["build", "ssd-demo"], ["verify", "ssd-demo"]):
        ended = run(*command, "--toolchain", "ov-2022")
        assert ended.code == 5
        assert "error[toolchain]: the toolchain ov-2022 is not installed" in ended.err
        assert "hint: install it: ssdconvert toolchain add ov-2022" in ended.err
    assert not (tmp_path / "build").exists()


def test_toolchains_that_run_nothing(run: Callable[..., Any]) -> None:
    ended = run("verify", "ssd-demo", "--toolchain", "caffe")
    assert ended.code == 2
    assert "the toolchain caffe does not run IRs: it converts Caffe models" in ended.err
    assert "--toolchain takes ov-2022, ov-2026" in ended.err
    assert run("verify", "ssd-demo", "--toolchain", "tensorflow").code == 2


def test_a_build_in_another_openvino(
    run: Callable[..., Any], demo: Path, installed: Callable[[str], Any]
) -> None:
    installed("ov-2022")
    ended = run("verify", "ssd-demo", "--toolchain", "ov-2022", "--json")
    assert ended.code == 0
    there = [check for check in ended.document["checks"] if check["runtime"] == "openvino 2022.3.2"]
    assert {check["precision"] for check in there} == {"FP32", "FP16"}
    assert {check["status"] for check in there} == {"pass"}
    assert {"heads", "detections", "contract"} == {check["level"] for check in there}
    assert "| CPU, openvino 2022.3.2 |" in (demo / "report.md").read_text()
    assert ">CPU, openvino 2022.3.2<" in (demo / "report.html").read_text()
    assert "openvino 2022.3.2" in (demo / "report.xml").read_text()

    xml = demo / "FP16" / "ssd-demo.xml"
    onnx = demo / "ssd-demo.onnx"
    given = run("verify", xml, "--against", onnx, "--recipe", "ssd-demo", "--toolchain", "ov-2022", "--json")
    assert given.code == 0
    assert {"openvino 2022.3.2"} < {check["runtime"] for check in given.document["checks"]}
    refused = run("verify", onnx, "--against", onnx, "--toolchain", "ov-2022")
    assert refused.code == 2
    assert "is asked to run on ov-2022" in refused.err


def test_myriad_without_its_toolchain(run: Callable[..., Any], demo: Path) -> None:
    ended = run("verify", "ssd-demo", "--device", "CPU", "--device", "MYRIAD")
    assert ended.code == 0
    assert "the toolchain myriad is not installed" in ended.out
    assert "myriad    skipped  the toolchain myriad is not there" in ended.err
    report = json.loads((demo / "report.json").read_text("utf-8"))
    (told,) = [check for check in report["checks"] if check["device"] == "MYRIAD"
               and check["precision"] == "FP16"]  # fmt: skip
    assert told["status"] == "skipped"
    assert told["reason"].startswith("the toolchain myriad is not installed")
    ended = run("verify", "ssd-demo", "--require-device", "MYRIAD")
    assert ended.code == 5
    assert "hint: install it: ssdconvert toolchain add myriad" in ended.err


def test_myriad_without_a_stick(run: Callable[..., Any], demo: Path, installed: Callable[[str], Any]) -> None:
    installed("myriad")
    ended = run("build", "ssd-demo", "--device", "CPU", "--device", "MYRIAD", "--json")
    assert ended.code == 0
    made = {entry["path"]: entry["precision"] for entry in ended.document["artifacts"]}
    for suffix in ("xml", "bin", "blob"):
        assert made[f"MYRIAD/ssd-demo.{suffix}"] == "FP16"
        assert (demo / f"MYRIAD/ssd-demo.{suffix}").stat().st_size > 10_000
    report = (demo / "report.md").read_text()
    assert "compiles for MYRIAD, numerics checked on CPU 2021.4.2, not run on a device" in report
    ended = run("verify", "ssd-demo", "--require-device", "MYRIAD")
    assert ended.code == 5
    assert "not run on a device" in ended.err
    assert run("build", "ssd-demo", "--no-verify").code == 0
    assert not (demo / "MYRIAD" / "ssd-demo.xml").exists()  # not asked for any more


@pytest.mark.slow
def test_what_was_made_for_myriad(
    run: Callable[..., Any], demo: Path, installed: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    installed("myriad")
    devices = ("--device", "CPU", "--device", "MYRIAD")
    assert run("build", "ssd-demo", *devices).code == 0
    manifest = json.loads((demo / "manifest.json").read_text("utf-8"))
    assert manifest["stages"]["myriad"]["toolchain"]["openvino"] == "2021.4.2"
    blob = demo / "MYRIAD" / "ssd-demo.blob"
    made = blob.read_bytes()
    blob.write_bytes(b"damaged")
    ended = run("build", "ssd-demo", *devices)
    assert ended.code == 0
    assert "MYRIAD/ssd-demo.blob was changed by somebody else" in ended.err
    assert blob.read_bytes() == made
    assert re.search("myriad +cached", run("build", "ssd-demo", *devices).err)

    record = demo / ".ssdconvert" / "stages.json"
    stages = json.loads(record.read_text("utf-8"))
    record.write_text(json.dumps({name: told for name, told in stages.items() if name != "convert"}), "utf-8")
    assert run("convert", "ssd-demo").code == 0
    assert not list((demo / "MYRIAD").iterdir())  # made beside an earlier IR

    assert run("build", "ssd-demo", *devices).code == 0
    assert blob.exists()
    monkeypatch.setenv("SSDCONVERT_TOOLCHAINS", str(demo / "none"))
    ended = run("verify", "ssd-demo", *devices, "--require-device", "CPU", "--json")
    assert ended.code == 0
    assert not [check for check in ended.document["checks"] if check["hop"] == "myriad"]
    assert not list((demo / "MYRIAD").iterdir())
