"""`build --no-verify` ends at the IR and says so; what it left out is made up for later. `build --profile`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]
MADE = ("export", "simplify", "convert")


def told(document: dict[str, Any], what: str) -> dict[str, str]:
    return {stage["name"]: stage[what] for stage in document["stages"]}


def test_it_ends_at_the_ir_and_the_next_build_proves_what_was_left_out(run: Run) -> None:
    ended = run("build", "ssd-demo", "--no-verify", "--json", "--profile")
    document = ended.document
    assert (ended.code, document["verdict"]) == (0, "unverified")
    assert document["report"] is None
    assert document["manifest"] is None
    assert [entry["path"] for entry in document["artifacts"]] == [
        "ssd-demo.onnx",
        *(f"{precision}/ssd-demo.{suffix}" for precision in ("FP32", "FP16") for suffix in ("xml", "bin")),
    ]
    assert told(document, "status") == dict.fromkeys(("fetch", "load", *MADE), "done")
    assert told(document, "summary")["simplify"].endswith("not proven equal")
    rows = [row["name"] for row in document["profile"]]
    assert rows == ["start", "fetch", "load", *MADE, "end"]
    assert {*document["profile"][0]} == {"name", "seconds", "share", "cpu_seconds", "peak_growth"}

    again = run("build", "ssd-demo", "--no-verify")
    assert "ssd-demo: not verified: do not deploy it" in again.out
    assert "FP32/ssd-demo.xml" in again.out
    assert "load" not in again.err

    proven = run("convert", "ssd-demo", "--json").document
    assert told(proven, "status") | {"load": ""} == {"fetch": "cached", "load": ""} | {
        "export": "cached",
        "simplify": "done",
        "convert": "cached",
    }
    assert told(proven, "reason")["simplify"] == "proven changed from false to true"
    assert "equal on " in told(proven, "summary")["simplify"]
    assert proven["artifacts"] == document["artifacts"]


def test_what_was_verified_stays(run: Run, demo: Path) -> None:
    before = {path: path.read_bytes() for path in demo.rglob("*") if path.is_file()}
    ended = run("build", "ssd-demo", "--no-verify", "--output", demo, "--profile")
    assert ended.code == 0
    assert {path: path.read_bytes() for path in demo.rglob("*") if path.is_file()} == before
    table = ended.err.splitlines()[-8:]
    assert table[0].split() == ["ssd-demo:", "stage", "seconds", "share", "CPU", "s", "peak", "memory"]
    assert [line.split()[0] for line in table[1:]] == ["start", "fetch", *MADE, "end", "total"]


def test_evidence_of_other_files_goes(run: Run, demo: Path) -> None:
    ended = run("build", "ssd-demo", "--no-verify", "--output", demo, "--precision", "FP32")
    assert ended.code == 0
    left = {path.name for path in demo.iterdir()} - {".ssdconvert"}
    assert left == {"FP32", "FP16", "ssd-demo.onnx"}
    assert not (demo / "FP16" / "ssd-demo.xml").exists()


@pytest.mark.parametrize("option", [("--toolchain", "ov-2026"), ("--require-device", "CPU")])
def test_where_to_verify_is_refused(run: Run, option: tuple[str, str]) -> None:
    ended = run("build", "ssd-demo", "--no-verify", *option)
    assert ended.code == 2
    assert f"{option[0]} says where to verify, and --no-verify that nothing is verified" in ended.err
