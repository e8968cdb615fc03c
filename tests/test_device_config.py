"""Settings of a device, in every way in which people write them."""

from pathlib import Path

import pytest

from ssdconvert.device_config import read_settings, settings_by_device, told_of
from ssdconvert.devices import Machine
from ssdconvert.errors import RecipeError


@pytest.mark.parametrize(
    "content",
    [
        "NUM_STREAMS 2\nENABLE_CPU_PINNING NO\n",
        "# threads\nNUM_STREAMS=2  # few\n\nENABLE_CPU_PINNING = NO\n",
        '{"NUM_STREAMS": 2, "ENABLE_CPU_PINNING": "NO"}',
        '{"CPU": {"NUM_STREAMS": "2", "ENABLE_CPU_PINNING": "NO"}, "GPU": {"X": 1}}',
    ],
)
def test_a_file(tmp_path: Path, content: str) -> None:
    path = tmp_path / "config"
    path.write_text(content)
    assert read_settings([str(path)], "CPU") == {"NUM_STREAMS": "2", "ENABLE_CPU_PINNING": "NO"}


def test_on_the_command_line_the_last_counts(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("A 1\nB 2\n")
    assert read_settings([str(tmp_path / "config"), "A=x=y", "B= 3 "], "AUTO:CPU") == {"A": "x=y", "B": "3"}
    assert read_settings([], "CPU") == {}


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "No such file"),
        (b"KEY\n", ":1: 'KEY' is no key with a value"),
        (b"{", "is no JSON"),
        (b"\xff\xfe", "not UTF-8"),
        (b'{"a": {"b": 1}, "CPU": "x"}', "settings for a, CPU, and none for CPU"),
        (b'{"GPU": {"b": 1}}', "settings for GPU, and none for CPU"),
    ],
)
def test_what_is_none(tmp_path: Path, content: bytes | None, problem: str) -> None:
    path = tmp_path / "config"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RecipeError, match="config") as refused:
        read_settings([str(path)], "CPU")
    assert problem in refused.value.message


def test_each_of_several_devices_gets_what_is_meant_for_it(tmp_path: Path) -> None:
    sections = tmp_path / "sections.json"
    sections.write_text('{"GPU": {"A": 1}, "GPU.1": {"B": "x"}, "AUTO": {"C": true}}')
    devices = ["CPU", "GPU", "GPU.0", "GPU.1", "AUTO:GPU,CPU"]
    assert settings_by_device([str(sections), "D=2"], devices) == {
        "CPU": {"D": "2"},
        "GPU": {"A": "1", "D": "2"},
        "GPU.0": {"A": "1", "D": "2"},
        "GPU.1": {"B": "x", "D": "2"},
        "AUTO:GPU,CPU": {"C": "true", "D": "2"},
    }
    with pytest.raises(RecipeError, match=r"settings for GPU, GPU\.1, AUTO, and none for CPU, NPU"):
        settings_by_device([str(sections)], ["CPU", "NPU"])


@pytest.mark.parametrize("content", ["<CustomLayer/>", '<?xml version="1.0"?>\n<a/>', "\ufeff<a/>"])
def test_xml_describes_kernels_for_those_that_take_them(tmp_path: Path, content: str) -> None:
    path = tmp_path / "kernels.xml"
    path.write_text(content, "utf-8")
    settings = settings_by_device([str(path)], ["CPU", "GPU.1", "MYRIAD"])
    assert settings["CPU"] == {}
    assert settings["GPU.1"] == {"CONFIG_FILE": str(path)}
    assert settings["MYRIAD"] == {"MYRIAD_CUSTOM_LAYERS": str(path)}
    for devices in (["CPU"], ["AUTO:GPU,CPU", "NPU"]):
        with pytest.raises(RecipeError, match="kernels for GPU and MYRIAD, not for") as refused:
            settings_by_device([str(path)], devices)
        assert refused.value.exit_code == 2


def test_a_report_tells_no_folder(tmp_path: Path) -> None:
    machines = [
        Machine(
            "GPU",
            (tmp_path / "my.so",),
            {"CONFIG_FILE": str(tmp_path / "k.xml"), "CACHE_DIR": "C:\\me\\cache"},
        ),
        Machine("CPU", (tmp_path / "my.so",), {}),
    ]
    assert told_of(machines) == {
        "settings": {"GPU": {"CONFIG_FILE": "k.xml", "CACHE_DIR": "cache"}},
        "extensions": ("my.so",),
    }
