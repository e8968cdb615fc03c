"""The table of runtimes: a column for each OpenVINO, a row for each measurement."""

from typing import Any

from ssdconvert.report.markdown import to_markdown
from ssdconvert.report.result import Check, Verification, judged
from ssdconvert.report.runtimes import cell_text, runtime_table


def check(number: float, limit: float = 1e-4, **changes: Any) -> Check:
    fields: dict[str, Any] = {
        "hop": "ir",
        "level": "heads",
        "device": "CPU",
        "runtime": "openvino 1",
        "precision": "FP32",
        "input": "a.jpg",
        "output": "scores",
        "metric": "max error",
    }
    return Check(**(fields | judged(number, limit) | changes))


def verification(*checks: Check) -> Verification:
    return Verification("m", checks, "torch 1", ("a.jpg", "b.jpg"), 3)


def test_one_column_is_no_table() -> None:
    assert runtime_table(verification(check(1e-5), check(1e-5, hop="onnx", runtime="onnxruntime 1"))) is None


def test_the_worst_of_all_pictures() -> None:
    result = verification(
        check(1e-5),
        check(3e-5, input="b.jpg"),
        check(2e-3, limit=0.03, precision="FP16"),
        check(2e-5, runtime="openvino 2"),
        check(2e-4, runtime="openvino 2", input="b.jpg"),
        check(0, 0, level="contract", output="", metric="broken promises", runtime="openvino 2"),
    )
    table = runtime_table(result)
    assert table is not None
    assert table.columns == ("CPU, openvino 1", "CPU, openvino 2")
    assert [(row.precision, row.measured, row.limit) for row in table.rows] == [
        ("FP32", "scores max error", "≤ 0.0001"),
        ("FP16", "scores max error", "≤ 0.03"),
    ]
    assert [[cell_text(cell) for cell in row.cells] for row in table.rows] == [
        ["3e-5", "0.0002, fail"],
        ["0.002", ""],
    ]
    assert "| FP32 | scores max error | ≤ 0.0001 | 3e-5 | 0.0002, fail |" in to_markdown(result)


def test_a_file_that_does_not_load_and_a_device_that_is_absent() -> None:
    nothing: dict[str, Any] = {"value": None, "required": None}
    result = verification(
        check(1e-5),
        check(0, runtime="", device="GPU", output="", metric="", status="skipped", reason="none", **nothing),
        check(0, runtime="", level="contract", output="", metric="loads", status="fail", **nothing),
    )
    table = runtime_table(result)
    assert table is not None
    assert table.columns == ("CPU, openvino 1", "GPU", "CPU")
    assert [[cell_text(cell) for cell in row.cells] for row in table.rows] == [["1e-5", "skipped", "fail"]]
