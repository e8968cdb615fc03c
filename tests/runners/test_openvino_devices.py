"""What is asked of OpenVINO about devices; those that are not here are imitated."""

from pathlib import Path
from typing import Any

import openvino
import pytest
from openvino.runtime import opset13 as operations

from ssdconvert.errors import ConversionError, MissingDevice, RecipeError
from ssdconvert.runners.openvino_core import first_line
from ssdconvert.runners.openvino_devices import (
    executed_on,
    pinned,
    precision_of,
    refuse_absent,
    refuse_fallback,
    refuse_settings,
)
from ssdconvert.runners.openvino_runner import OpenvinoRunner, compiled

CAPABILITIES = {"CPU": ["FP32", "INT8"], "GPU": ["FP32", "FP16"], "NPU": ["FP16", "INT8"]}


class Compiled:
    """A compiled model that says this of itself."""

    def __init__(self, **told: Any) -> None:
        self.told = told

    def get_property(self, name: str) -> Any:
        if name not in self.told:
            raise RuntimeError(f"not supported property {name}")
        return self.told[name]


class Core:
    """A machine with a GPU and an NPU, whose compilation fails on some keys."""

    available_devices = ("CPU", "GPU", "NPU")

    def __init__(self, refused: str = "") -> None:
        self.refused, self.asked = refused, list[dict[str, Any]]()

    def get_property(self, device: str, name: str) -> Any:
        return CAPABILITIES[device]

    def compile_model(self, model: Any, device: str, settings: dict[str, Any]) -> Any:
        self.asked.append(settings)
        if self.refused in settings:
            raise RuntimeError(f"Exception from plugin.cpp:53:\nunsupported {self.refused}")
        return Compiled(**settings)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    picture = operations.parameter([1, 3], openvino.Type.f32, name="picture")
    result = operations.result(operations.relu(picture))
    result.output(0).get_tensor().set_names({"out"})
    picture.output(0).get_tensor().set_names({"picture"})
    openvino.save_model(openvino.Model([result], [picture], "m"), tmp_path / "m.xml")
    return tmp_path / "m.xml"


@pytest.mark.parametrize("device", ["CPU", "AUTO", "AUTO:CPU", "HETERO:CPU", "MULTI:CPU", "BATCH:CPU"])
def test_each_way_to_share_work_says_where_it_ran_and_in_which_type(model: Path, device: str) -> None:
    runner = OpenvinoRunner(model, device)
    assert (runner.executed_on, runner.execution_precision) == ("CPU", "f32")


def test_an_absent_device_has_openvinos_reason_without_a_folder_of_this_machine() -> None:
    core = openvino.Core()
    with pytest.raises(MissingDevice, match="no device MYRIAD on this machine: Device with") as absent:
        refuse_absent(core, "HETERO:MYRIAD,CPU")
    assert "toolchain add myriad" in absent.value.hint
    with pytest.raises(MissingDevice, match="CPU plugin supports only '' as device id"):
        refuse_absent(core, "CPU.7")
    said = "Exception from core.cpp:104:\nCannot load library '/home/me/libgpu.so': libOpenCL.so.1: cannot open\n"
    assert first_line(RuntimeError(said)) == "cannot load libgpu.so: libOpenCL.so.1: cannot open"


@pytest.mark.parametrize(
    ("device", "executed"),
    [
        ("CPU", "CPU"), ("AUTO", "CPU"), ("AUTO:-GPU", "CPU"), ("AUTO:GPU,CPU", "GPU.0"), ("AUTO:CPU,GPU", "CPU"),
        ("GPU.0", "GPU"), ("GPU.1", "GPU.1"), ("HETERO:GPU,CPU", "GPU.0, CPU"), ("HETERO:GPU,CPU", "GPU.0"),
        ("MULTI:GPU(2),CPU(1)", "GPU.0, CPU"), ("BATCH:GPU(8)", "GPU.0"),
    ],
)  # fmt: skip
def test_what_ran_where_it_was_meant_to(device: str, executed: str) -> None:
    refuse_fallback(device, executed)


@pytest.mark.parametrize(
    ("device", "executed", "told"),
    [
        ("AUTO:GPU,CPU", "CPU", "ran on CPU alone, which is no result of GPU"),
        ("AUTO:GPU,CPU", "(CPU)", "ran on CPU alone, which is no result of GPU"),
        ("HETERO:GPU,CPU", "CPU", "no result of GPU"),
        ("MULTI:CPU,GPU", "CPU", "no result of GPU"),
        ("MULTI:GPU,CPU", "GPU.0", "no result of CPU"),
        ("AUTO:GPU.1,CPU", "GPU.0", "no result of GPU.1"),
        ("BATCH:GPU(8)", "CPU", "no result of GPU"),
    ],
)
def test_a_fallback_is_no_result(device: str, executed: str, told: str) -> None:
    with pytest.raises(MissingDevice, match=f"fell back: .*{told}") as fell:
        refuse_fallback(device, executed)
    assert fell.value.exit_code == 5


def test_the_type_is_pinned_to_one_that_the_device_has() -> None:
    core = Core()
    assert pinned(core, "GPU") == {"INFERENCE_PRECISION_HINT": "f32"}
    assert pinned(core, "NPU") == {"INFERENCE_PRECISION_HINT": "f16"}
    assert pinned(core, "HETERO:GPU,CPU") == {"INFERENCE_PRECISION_HINT": "f32"}
    sections = {"NPU": {"INFERENCE_PRECISION_HINT": "f16"}, "CPU": {"INFERENCE_PRECISION_HINT": "f32"}}
    assert pinned(core, "HETERO:NPU,CPU") == {"DEVICE_PROPERTIES": sections}
    assert pinned(core, "AUTO:GPU,CPU")["ENABLE_STARTUP_FALLBACK"] == "NO"


def test_what_a_user_sets_wins() -> None:
    core = Core()
    given, hints = (
        {"INFERENCE_PRECISION_HINT": "f16", "PERFORMANCE_HINT": "LATENCY"},
        {"PERFORMANCE_HINT": "X"},
    )
    assert compiled(core, None, Path("m.xml"), "GPU", given, hints).told == given
    assert compiled(core, None, Path("m.xml"), "HETERO:NPU,CPU", given).told == given  # the sections are gone


def test_a_device_that_refuses_the_pin_is_left_without_it() -> None:
    core = Core("INFERENCE_PRECISION_HINT")
    left = compiled(core, None, Path("m.xml"), "GPU", {"NUM_STREAMS": "1"})
    assert left.told == {"NUM_STREAMS": "1"}
    assert precision_of(left) == "not told"
    with pytest.raises(ConversionError, match="unsupported INFERENCE"):  # which the user asked for
        compiled(core, None, Path("m.xml"), "GPU", {"INFERENCE_PRECISION_HINT": "f16"})
    with pytest.raises(ConversionError, match="unsupported NUM"):
        compiled(Core("NUM_STREAMS"), None, Path("m.xml"), "GPU", {"NUM_STREAMS": "1"})


def test_the_type_of_devices_that_share_work_is_that_of_each() -> None:
    sections = {name: {"INFERENCE_PRECISION_HINT": kind} for name, kind in (("NPU", "f16"), ("CPU", "f32"))}
    assert precision_of(Compiled(DEVICE_PROPERTIES=sections)) == "f16, f32"
    assert precision_of(Compiled(INFERENCE_PRECISION_HINT="bf16", DEVICE_PROPERTIES=sections)) == "bf16"
    assert executed_on(Compiled(EXECUTION_DEVICES=["GPU.0", "CPU"]), "HETERO:GPU,CPU") == "GPU.0, CPU"
    assert executed_on(Compiled(), "GPU") == "GPU"


@pytest.mark.parametrize("device", ["CPU", "AUTO", "AUTO:CPU", "MULTI:CPU", "HETERO:CPU", "BATCH:CPU"])
def test_settings_that_would_be_left_out_unseen_are_refused(device: str) -> None:
    core = openvino.Core()
    refuse_settings(core, device, {"INFERENCE_NUM_THREADS": "1", "INFERENCE_PRECISION_HINT": "f16"})
    for key, value in (("NO_SUCH", "1"), ("NUM_STREAMS", "many"), ("INFERENCE_PRECISION_HINT", "fp16")):
        with pytest.raises(RecipeError, match=f"{device} refuses {key} = {value}") as refused:
            refuse_settings(core, device, {key: value})
        assert "INFERENCE_NUM_THREADS" in refused.value.hint


def test_settings_reach_the_compiled_model(model: Path) -> None:
    runner = OpenvinoRunner(model, settings={"INFERENCE_NUM_THREADS": "1"})
    assert runner.compiled.get_property("INFERENCE_NUM_THREADS") == 1
