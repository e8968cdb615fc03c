"""What is asked of quantisation and means nothing: told before anything is built."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.mark.parametrize("count", ["", "abc", "0", "-3", "2.5"])
def test_generated_pictures_have_a_count(run: Callable[..., Any], tmp_path: Path, count: str) -> None:
    ended = run("quantize", "ssd-demo", "--calibration", f"generated:{count}")
    assert ended.code == 2, ended.err
    assert f"error[quantize]: there is no calibration set generated:{count}" in ended.err
    assert "hint: give generated:COUNT, of 1 to 99999 pictures" in ended.err
    assert not list((tmp_path / "build" / "ssd-demo").glob("*.onnx"))


@pytest.mark.parametrize("points", ["nan", "-1", "101"])
def test_the_largest_drop_is_a_number_of_points(run: Callable[..., Any], points: str) -> None:
    ended = run("quantize", "ssd-demo", "--max-drop", points)
    assert ended.code == 2, ended.err
    assert "--max-drop" in ended.err


def test_what_is_in_8_bits_is_not_quantised_again(run: Callable[..., Any], tmp_path: Path) -> None:
    ended = run("quantize", "ssd-12-int8", "--calibration", tmp_path)
    assert ended.code == 2, ended.err
    assert "error[quantize]: ssd-12-int8 is quantised already" in ended.err
    assert "`ssdconvert build ssd-12-int8` converts it as it is" in ended.err
