"""Settings of a device, in every way in which people write them."""

from pathlib import Path

import pytest

from ssdconvert.device_config import read_settings
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
