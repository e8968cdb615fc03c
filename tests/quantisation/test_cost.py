"""What a quantised IR costs is kept with its digests, and judged for these files alone."""

from dataclasses import replace
from pathlib import Path

import pytest

from ssdconvert.quantisation.cost import Cost, accuracy_check, digests_of, read_cost


@pytest.fixture
def xml(tmp_path: Path) -> Path:
    (tmp_path / "m.xml").write_text("<net/>")
    (tmp_path / "m.bin").write_bytes(b"weights")
    return tmp_path / "m.xml"


@pytest.fixture
def cost(xml: Path) -> Cost:
    return Cost("map", 0.85, 0.849, 0.002, 20, 30, "mixed", ("conv",), "openvino 1", digests_of(xml))


def test_it_is_read_as_it_was_written(cost: Cost, tmp_path: Path) -> None:
    (tmp_path / ".ssdconvert").mkdir()
    cost.write(tmp_path)
    assert read_cost(tmp_path) == cost


@pytest.mark.parametrize(
    ("value", "status"), [(0.849, "pass"), (0.86, "pass"), (0.8481, "pass"), (0.847, "fail")]
)
def test_the_check_is_of_the_drop_in_points(cost: Cost, xml: Path, value: float, status: str) -> None:
    cost = replace(cost, value=value)
    check = accuracy_check(cost, xml)
    assert (check.level, check.precision, check.limit, check.status) == ("accuracy", "INT8", 0.2, status)
    assert check.value == pytest.approx(85 - 100 * value)
    assert cost.kept == (status == "pass")


@pytest.mark.parametrize("suffix", [".xml", ".bin"])
def test_other_files_are_not_those_that_were_measured(cost: Cost, xml: Path, suffix: str) -> None:
    xml.with_suffix(suffix).write_bytes(b"others")
    check = accuracy_check(cost, xml)
    assert (check.status, check.value) == ("inconclusive", None)
    assert "another file" in check.reason


def test_in_words(cost: Cost) -> None:
    assert cost.told == (
        "map 84.90 of 85.00 on 20 pictures: 0.10 points lower (limit 0.2), 1 layer left in FP32"
    )
