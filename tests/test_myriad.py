"""What is said of a model for MYRIAD where no stick is there."""

from pathlib import Path

import pytest

from ssdconvert.myriad import Compiled, is_myriad, open_without_a_stick, read_compiled
from ssdconvert.report.result import Check, Status, Verification


@pytest.mark.parametrize(
    ("device", "expected"),
    [
        ("MYRIAD", True),
        ("MYRIAD.1.1-ma2480", True),
        ("CPU", False),
        ("HETERO:MYRIAD,CPU", False),
        ("", False),
    ],
)
def test_devices(device: str, expected: bool) -> None:
    assert is_myriad(device) is expected


def test_what_was_shown() -> None:
    compiled = Compiled(87, (), 73856, "")
    assert compiled.shown("No devices available.") == (
        "compiles for MYRIAD, numerics checked on CPU 2021.4.2, not run on a device (blob of 73856 bytes by "
        "myriad_compile 2021.3.0; 2021.4.2 names 87 of 87 operations supported; No devices available.)"
    )
    told = Compiled(97, ("a (Concat)", "b (Subtract)"), 1, "").shown("x")
    assert "95 of 97 operations supported, not a (Concat), b (Subtract); x" in told


def test_what_does_not_compile() -> None:
    compiled = Compiled(5, ("b (Atan)",), 0, 'unsupported layer type "Atan"')
    assert compiled.shown("x") == 'does not compile for MYRIAD: unsupported layer type "Atan"'


def test_what_cannot_be_made() -> None:
    assert Compiled(0, (), 0, "no").shown("x") == "cannot be made for MYRIAD: no"


def checked(device: str, runtime: str, status: Status) -> Check:
    return Check("ir", "heads", device, runtime, "FP16", "", "", "", None, None, None, status, "no stick")


def test_sticks_alone() -> None:
    here = checked("CPU", "openvino", "pass")
    absent = Verification("m", (here, checked("MYRIAD", "", "skipped")), "torch", (), 1)
    assert absent.verdict == "pass"
    opened = open_without_a_stick(absent)
    assert (opened.verdict, opened.reason) == ("inconclusive", "MYRIAD: no stick")
    assert opened.checks[0] == here
    there = checked("MYRIAD", "openvino 2021.4.2", "pass")
    one_of_two = Verification("m", (here, there, checked("MYRIAD.2", "", "skipped")), "torch", (), 1)
    assert open_without_a_stick(one_of_two) == one_of_two


def test_it_is_kept(tmp_path: Path) -> None:
    compiled = Compiled(5, ("b (Atan)",), 0, "why")
    compiled.write(tmp_path / "facts.json")
    assert read_compiled(tmp_path / "facts.json") == compiled
