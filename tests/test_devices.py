"""Names of devices, as people write them."""

import pytest

from ssdconvert.devices import computes_in_half, device_name
from ssdconvert.errors import RecipeError


@pytest.mark.parametrize(
    ("text", "sharing", "names", "written"),
    [
        ("cpu", "", ("CPU",), "CPU"),
        ("GPU.1", "", ("GPU.1",), "GPU.1"),
        ("NPU.3720", "", ("NPU.3720",), "NPU.3720"),
        ("myriad", "", ("MYRIAD",), "MYRIAD"),
        ("AUTO", "AUTO", (), "AUTO"),
        ("auto: gpu, cpu", "AUTO", ("GPU", "CPU"), "AUTO:GPU,CPU"),
        ("AUTO:-GPU", "AUTO", (), "AUTO:-GPU"),
        ("MULTI:CPU(2),GPU.0(4)", "MULTI", ("CPU", "GPU.0"), "MULTI:CPU(2),GPU.0(4)"),
        ("HETERO:GPU,CPU", "HETERO", ("GPU", "CPU"), "HETERO:GPU,CPU"),
        ("BATCH:GPU(8)", "BATCH", ("GPU",), "BATCH:GPU(8)"),
    ],
)
def test_what_a_name_says(text: str, sharing: str, names: tuple[str, ...], written: str) -> None:
    name = device_name(text)
    assert (name.sharing, name.names, str(name)) == (sharing, names, written)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("GPUU", "knows no device 'GPUU'"),
        ("AUTO:", "names no device after AUTO:"),
        ("AUTO:CPU,", "names no device after AUTO:"),
        ("MULTI", "names no device after MULTI:"),
        ("HETERO", "names no device after HETERO:"),
        ("AUTO:-GPUU", "knows no device 'GPUU'"),
        ("HETERO:-GPU,CPU", "knows no device '-GPU'"),
        ("BATCH:CPU,GPU", "takes one device"),
        ("CPU,GPU", "knows no device 'CPU,GPU'"),
        ("", "knows no device ''"),
    ],
)
def test_a_misspelt_name_is_a_usage_error(text: str, problem: str) -> None:
    with pytest.raises(RecipeError, match=problem) as refused:
        device_name(text)
    assert refused.value.exit_code == 2
    assert "GPU.1" in refused.value.hint


@pytest.mark.parametrize(
    ("text", "half"),
    [
        ("CPU", False), ("AUTO", False), ("AUTO:-GPU", False), ("GPU", True), ("GPU.1", True), ("NPU", True),
        ("AUTO:GPU,CPU", True), ("HETERO:CPU,GPU.1", True), ("BATCH:GPU(4)", True),
    ],
)  # fmt: skip
def test_which_compute_in_f16(text: str, half: bool) -> None:
    assert computes_in_half(text) == half
