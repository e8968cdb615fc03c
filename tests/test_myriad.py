"""What is said of a model for MYRIAD where no stick is there."""

from pathlib import Path

import pytest

from ssdconvert.myriad import Compiled, is_myriad, read_compiled


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


def test_it_is_kept(tmp_path: Path) -> None:
    compiled = Compiled(5, ("b (Atan)",), 0, "why")
    compiled.write(tmp_path / "facts.json")
    assert read_compiled(tmp_path / "facts.json") == compiled
