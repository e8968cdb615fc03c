from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.mark.parametrize("command", ["build", "verify"])
def test_the_report_is_appended(
    run: Callable[..., Any], demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    summary = tmp_path / "summary.md"
    summary.write_text("what was there\n", "utf-8")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    assert run(command, "ssd-demo").code == 0
    text = summary.read_text("utf-8")
    assert text.startswith("what was there\n# ssd-demo: pass\n")
    assert (demo / "report.md").read_text("utf-8") in text


def test_a_summary_that_cannot_be_written_is_a_warning(
    run: Callable[..., Any], demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path))
    ended = run("build", "ssd-demo")
    assert ended.code == 0
    assert "warning: GITHUB_STEP_SUMMARY names" in ended.err


def test_a_failure_is_in_the_summary_too(
    run: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, demo: Path
) -> None:
    from ssdconvert.catalog import shipped_recipes_folder

    text = (shipped_recipes_folder() / "ssd-demo.yaml").read_text("utf-8")
    strict = tmp_path / "strict" / "ssd-demo.yaml"
    strict.parent.mkdir()
    strict.write_text(text + "limits: {FP16: {heads: 0.000001}}\n", "utf-8")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    assert run("build", strict).code == 1
    assert (tmp_path / "summary.md").read_text("utf-8").startswith("# ssd-demo: fail\n")
