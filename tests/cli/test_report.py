"""`report`: exit codes, both files, JSON."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def test_builds_that_pass_end_with_0(run: Callable[..., Any], demo: Path, tmp_path: Path) -> None:
    ended = run("report", "build/ssd-demo", "--output", "release", "--json")
    assert ended.code == 0
    assert ended.document["verdict"] == "pass"
    (build,) = ended.document["builds"]
    assert build == {
        "recipe": "ssd-demo", "verdict": "pass", "reason": "", "output": "build/ssd-demo", "stand_in": False,
        "archive": None,
    }  # fmt: skip
    assert sorted(path.name for path in (tmp_path / "release").iterdir()) == ["index.html", "junit.xml"]
    assert 'href="../build/ssd-demo/report.html"' in (tmp_path / "release/index.html").read_text("utf-8")


@pytest.mark.parametrize("option", [(), ("--json",)])
def test_one_that_is_missing_ends_with_1_and_both_files_are_written(
    run: Callable[..., Any], demo: Path, tmp_path: Path, option: tuple[str, ...]
) -> None:
    shutil.copytree(demo, tmp_path / "build/other")
    (tmp_path / "build/other/report.json").unlink()
    ended = run("report", demo, "build/other", "build/absent", "--output", "out", *option)
    assert ended.code == 1
    assert (tmp_path / "out/index.html").is_file()
    assert (tmp_path / "out/junit.xml").read_text("utf-8").count("<failure") == 2
    if option:
        verdicts = [build["verdict"] for build in ended.document["builds"]]
        assert verdicts == ["pass", "unverified", "unbuilt"]
    else:
        assert "error[report]: not shown to be right: ssd-demo (build/other), absent" in ended.err


def test_no_build_and_no_folder_are_usage_errors(run: Callable[..., Any], tmp_path: Path) -> None:
    assert run("report", "--output", "out").code == 2
    assert run("report", "build/x").code == 2
    (tmp_path / "file").touch()
    assert run("report", "build/x", "--output", "file").code == 2
    ended = run("report", "build/x", "--output", "file/below", "--json")
    assert ended.code == 2
    assert ended.document["error"]["stage"] == "output"
