"""--device, -c and -l of `verify` and `build`."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openvino
import pytest

from ssdconvert import verify


@pytest.fixture
def without_gpu() -> None:
    if any(name.startswith("GPU") for name in openvino.Core().available_devices):
        pytest.skip("OpenVINO finds a GPU on this machine: what it says without one cannot be seen")


def test_an_absent_gpu_is_skipped_and_what_it_would_give_foreseen(
    run: Callable[..., Any], demo: Path, without_gpu: None
) -> None:
    ended = run("verify", "ssd-demo", "--device", "CPU", "--device", "GPU")
    assert ended.code == 0
    lines = [line for line in ended.out.splitlines() if "GPU" in line]
    assert len(lines) == 4
    for skipped, simulated in (lines[:2], lines[2:]):
        assert "IR on GPU" in skipped
        assert "skipped  OpenVINO finds no device GPU on this machine: " in skipped
        assert "intel-opencl-icd" in skipped
        assert "IR simulated in f16 for GPU (openvino " in simulated
        assert "pass  heads 0.00" in simulated
    document = json.loads((demo / "report.json").read_text("utf-8"))
    gpu = {(c["hop"], c["status"], c["executed_on"]) for c in document["checks"] if c["device"] == "GPU"}
    assert gpu == {("ir", "skipped", ""), ("simulated", "pass", "CPU")}
    assert str(Path(openvino.__file__).parent) not in json.dumps(document)


def test_a_gpu_alone_is_no_verdict_and_required_an_error(
    run: Callable[..., Any], demo: Path, without_gpu: None
) -> None:
    ended = run("verify", "ssd-demo", "--device", "AUTO:GPU,CPU", "--json")
    assert (ended.code, ended.document["verdict"]) == (1, "inconclusive")
    assert {check["hop"] for check in ended.document["checks"] if check["device"] != "CPU"} == {
        "ir",
        "simulated",
    }
    ended = run("verify", "ssd-demo", "--require-device", "AUTO:GPU,CPU", "--json")
    assert (ended.code, ended.document["error"]["stage"]) == (5, "device")


@pytest.mark.parametrize("command", ["build", "verify"])
@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--device", "GPUU"], "OpenVINO knows no device 'GPUU'"),
        (["--device", "CPU", "--require-device", "AUTO:"], "names no device after AUTO:"),
        (["-c", "NO_SUCH=1"], "CPU refuses NO_SUCH = 1"),
        (
            ["--device", "AUTO:CPU", "--device-config", "NUM_STREAMS=many"],
            "AUTO:CPU refuses NUM_STREAMS = many",
        ),
        (["-c", "kernels.xml"], "kernels for GPU and MYRIAD, not for CPU"),
        (["-c", "none.json"], "none.json cannot be read"),
        (["--extension", "none.so"], "the extension none.so does not exist"),
    ],
)
def test_nonsense_ends_before_anything_is_built(
    run: Callable[..., Any], tmp_path: Path, command: str, options: list[str], told: str
) -> None:
    (tmp_path / "kernels.xml").write_text("<a/>", "utf-8")
    ended = run(command, "ssd-demo", *options)
    assert ended.code == 2
    assert told in ended.err
    assert not (tmp_path / "build").exists()


def test_what_devices_are_told_is_in_the_report_and_makes_the_gate_run_again(
    run: Callable[..., Any], demo: Path, tmp_path: Path
) -> None:
    settings = tmp_path / "settings.json"
    settings.write_text('{"CPU": {"NUM_STREAMS": "2"}, "MYRIAD": {"X": "1"}}', "utf-8")
    options = ("--device", "CPU", "--device", "AUTO:CPU", "--precision", "FP32", "--json")
    ended = run("build", "ssd-demo", "-c", settings, "-c", "INFERENCE_NUM_THREADS=1", *options)
    assert ended.code == 0
    told = {
        "CPU": {"NUM_STREAMS": "2", "INFERENCE_NUM_THREADS": "1"},
        "AUTO:CPU": {"INFERENCE_NUM_THREADS": "1"},
    }
    report = json.loads((demo / "report.json").read_text("utf-8"))
    assert (report["settings"], report["extensions"]) == (told, [])
    assert json.loads((demo / "manifest.json").read_text("utf-8"))["stages"]["verify"]["settings"] == told
    assert "NUM_STREAMS=2, INFERENCE_NUM_THREADS=1" in (demo / "report.html").read_text("utf-8")
    again = run("build", "ssd-demo", "-c", "INFERENCE_NUM_THREADS=2", *options).document
    (stage,) = [stage for stage in again["stages"] if stage["name"] == "verify"]
    assert stage["status"] == "done"
    assert "settings changed" in stage["reason"]


def test_two_files_and_python_take_settings_too(run: Callable[..., Any], demo: Path) -> None:
    pair = (demo / "FP32" / "ssd-demo.xml", "--against", demo / "ssd-demo.onnx", "--recipe", "ssd-demo")
    ended = run("verify", *pair, "-c", "NUM_STREAMS=1", "--device", "HETERO:CPU", "--json")
    assert ended.code == 0
    assert ended.document["settings"] == {"HETERO:CPU": {"NUM_STREAMS": "1"}}
    assert {c["executed_on"] for c in ended.document["checks"] if c["hop"] == "ir"} == {"CPU"}
    result = verify(pair[0], pair[2], "ssd-demo", devices="multi:cpu", device_config="NUM_STREAMS=2")
    assert result.verdict == "pass"
    assert result.settings == {"MULTI:CPU": {"NUM_STREAMS": "2"}}


def test_a_given_ir_is_foreseen_on_a_gpu(run: Callable[..., Any], demo: Path, without_gpu: None) -> None:
    pair = (demo / "FP16" / "ssd-demo.xml", "--against", demo / "ssd-demo.onnx", "--recipe", "ssd-demo")
    ended = run("verify", *pair, "--device", "CPU", "--device", "GPU.1", "--json")
    assert ended.code == 0
    checks = [check for check in ended.document["checks"] if check["hop"] == "simulated"]
    assert {(check["device"], check["status"]) for check in checks} == {("GPU.1", "pass")}


@pytest.mark.parametrize("device", ["AUTO", "auto:cpu", "MULTI:CPU", "HETERO:CPU", "BATCH:CPU"])
def test_detect_runs_wherever_verify_does(run: Callable[..., Any], demo: Path, device: str) -> None:
    picture = Path(__file__).parents[2] / "ssdconvert" / "images" / "shapes-1.jpg"
    ended = run("detect", demo, picture, "-d", device, "-c", "NUM_STREAMS=1", "--no-picture", "--json")
    assert ended.code == 0
    assert ended.document["device"] == "CPU"
    assert ended.document["detections"]


def test_detect_refuses_what_is_no_device(run: Callable[..., Any], demo: Path) -> None:
    assert run("detect", demo, "any.jpg", "-d", "GPUU").code == 2
