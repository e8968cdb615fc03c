"""The same IR in other versions of OpenVINO, as toolchains run it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import pytest

from ssdconvert.build_plan import plan
from ssdconvert.candidates import candidates_of
from ssdconvert.devices import Machine
from ssdconvert.errors import ConversionError, MissingDevice
from ssdconvert.model_optimizer import conversion_arguments, from_onnx
from ssdconvert.report.result import Verification
from ssdconvert.runners.openvino_runner import OpenvinoRunner
from ssdconvert.runners.toolchain_runner import ToolchainRunner
from ssdconvert.stages.convert import convert
from ssdconvert.stages.verify import verify
from ssdconvert.toolchains import KINDS, RUNNING, session
from ssdconvert.toolchains.call import Toolchain

Installed = Callable[[str], Toolchain]


@pytest.fixture(params=RUNNING)
def toolchain(request: Any, installed: Installed) -> Toolchain:
    return installed(request.param)


def judge(tiny: Any, toolchain: Toolchain, irs: dict[str, Path]) -> Verification:
    """Verify IRs that lie anywhere, here and in a toolchain."""
    names = tiny.original.heads.names
    listed = candidates_of(plan(tiny.recipe, tuple(irs)), tiny.original, Path("/"), [Machine()])
    candidates = [
        replace(
            one,
            open=lambda path=irs[one.precision]: OpenvinoRunner(path, "CPU", names),
            open_in=lambda where, path=irs[one.precision]: ToolchainRunner(where, path, "CPU", names),
            inner=None,
            promises=None,
        )
        for one in listed
        if one.hop == "ir" and one.precision in irs
    ]
    together = [each for one in candidates for each in one.also_in([toolchain])]
    return verify(tiny.recipe, tiny.original, together, tiny.pictures)


def test_the_same_numbers(tiny: Any, toolchain: Toolchain) -> None:
    names = tiny.original.heads.names
    here = OpenvinoRunner(tiny.irs["FP32"], "CPU", names)
    there = ToolchainRunner(toolchain, tiny.irs["FP32"], "CPU", names)
    assert there.runtime == f"openvino {toolchain.kind.runs}"
    assert (there.executed_on, there.execution_precision) == ("CPU", "f32")
    for picture in tiny.pictures:
        feeds = {"picture": picture.for_converted(tiny.recipe.input)}
        expected, actual = here.run(feeds), there.run(feeds)
        assert list(actual) == list(expected)
        for name, array in expected.items():
            assert actual[name].dtype == array.dtype
            np.testing.assert_allclose(actual[name], array, atol=2e-6 * max(1, np.abs(array).max()))


def test_a_right_model_passes(tiny: Any, toolchain: Toolchain) -> None:
    result = judge(tiny, toolchain, tiny.irs)
    assert result.verdict == "pass", result.reason
    there = [check for check in result.checks if check.runtime == f"openvino {toolchain.kind.runs}"]
    assert {check.precision for check in there} == {"FP32", "FP16"}
    assert {check.level for check in there} == {"heads", "detections", "contract"}
    assert all(check.executed_on == "CPU" for check in there)


def test_a_wrong_model_fails_there_too(
    tiny: Any, tiny_recipe: Any, toolchain: Toolchain, tmp_path: Path
) -> None:
    wrong = tiny_recipe(input__mean=[0, 0, 0])
    convert(wrong, tiny.simplified, {"FP32": tmp_path / "tiny.xml"}, {})
    result = judge(tiny, toolchain, {"FP32": tmp_path / "tiny.xml"})
    failed = {check.runtime for check in result.checks if check.status == "fail"}
    assert failed == {f"openvino {openvino.__version__.split('-')[0]}", f"openvino {toolchain.kind.runs}"}


def test_a_file_that_changes_in_between(tiny: Any, toolchain: Toolchain, tmp_path: Path) -> None:
    """The other OpenVINO reads the file itself: what is wrong there is seen, although all is right here."""
    copy = tmp_path / "tiny.xml"
    copy.write_bytes(tiny.irs["FP32"].read_bytes())
    weights = bytearray(tiny.irs["FP32"].with_suffix(".bin").read_bytes())
    copy.with_suffix(".bin").write_bytes(weights)
    here = OpenvinoRunner(copy, "CPU", tiny.original.heads.names)
    numbers = np.frombuffer(weights, np.float32).copy()
    numbers[: len(numbers) // 2] *= 1.01
    copy.with_suffix(".bin").unlink()  # OpenVINO has mapped it
    copy.with_suffix(".bin").write_bytes(numbers.tobytes())
    (listed,) = [
        one
        for one in candidates_of(plan(tiny.recipe, ("FP32",)), tiny.original, Path("/"), [Machine()])
        if one.hop == "ir"
    ]
    names = tiny.original.heads.names
    candidate = replace(
        listed, open=lambda: here, open_in=lambda where: ToolchainRunner(where, copy, "CPU", names),
        inner=None, promises=None,
    )  # fmt: skip
    result = verify(tiny.recipe, tiny.original, candidate.also_in([toolchain]), tiny.pictures)
    assert {check.runtime for check in result.checks if check.status == "fail"} == {
        f"openvino {toolchain.kind.runs}"
    }
    (trace,) = result.traces
    assert trace.reason == f"tensors are not compared within the toolchain {toolchain.kind.name}"


def test_a_device_that_is_absent(tiny: Any, toolchain: Toolchain) -> None:
    if Path("/dev/dri").exists():
        pytest.skip("there may be a GPU")
    for device in ("GPU", "AUTO:GPU,CPU", "GPU.0"):
        with pytest.raises(MissingDevice, match=f"{toolchain.kind.name} finds no device {device}") as raised:
            ToolchainRunner(toolchain, tiny.irs["FP32"], device)
        assert str(toolchain.folder) not in raised.value.message


def test_devices_that_share_work(tiny: Any, toolchain: Toolchain) -> None:
    for device in ("AUTO", "AUTO:CPU", "AUTO:-GPU", "HETERO:CPU"):
        assert ToolchainRunner(toolchain, tiny.irs["FP32"], device).executed_on == "CPU"


def test_what_does_not_tell_where_it_ran_is_no_result(tiny: Any, installed: Installed) -> None:
    with pytest.raises(MissingDevice, match="MULTI:CPU fell back: it ran on what it does not tell"):
        ToolchainRunner(installed("ov-2022"), tiny.irs["FP32"], "MULTI:CPU")


def test_settings_that_it_does_not_know(tiny: Any, installed: Installed) -> None:
    """Which is the machine's trouble, and not the model's."""
    toolchain = installed("ov-2022")
    told = r"CPU in the toolchain ov-2022 does not know what it was told by -c: .*ENABLE_CPU_PINNING"
    with pytest.raises(MissingDevice, match=told):
        ToolchainRunner(toolchain, tiny.irs["FP32"], "CPU", settings={"ENABLE_CPU_PINNING": "YES"})
    ToolchainRunner(toolchain, tiny.irs["FP32"], "CPU", settings={"NUM_STREAMS": "2"})


def test_a_worker_that_crashes_leaves_the_verdict_open(
    tiny: Any, toolchain: Toolchain, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    crashing = tmp_path / "worker.py"
    crashing.write_text("import os; input(); os.kill(os.getpid(), 11)")
    monkeypatch.setattr(session, "WORKER", crashing)
    result = judge(tiny, toolchain, tiny.irs)
    assert result.verdict == "inconclusive"
    assert "was killed by SIGSEGV in 'open_model'" in result.reason


def test_2022_does_not_read_what_the_front_end_makes(tiny: Any, installed: Installed, tmp_path: Path) -> None:
    """That is why TopK is written in its older form."""
    toolchain = installed("ov-2022")
    model = from_onnx(tiny.simplified, conversion_arguments(tiny.recipe))
    openvino.save_model(model, tmp_path / "tiny.xml", compress_to_fp16=False)
    with pytest.raises(ConversionError, match=r"cannot open model: .*\n?.*TopK .*opset11"):
        ToolchainRunner(toolchain, tmp_path / "tiny.xml")
    result = judge(tiny, toolchain, {"FP32": tmp_path / "tiny.xml"})
    assert result.verdict == "fail"
    assert "TopK" in result.reason


def test_kinds_that_run_irs() -> None:
    assert RUNNING == ("ov-2022", "ov-2026")
    for name in RUNNING:
        assert KINDS[name].pins()["openvino"] == KINDS[name].runs
