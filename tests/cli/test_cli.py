"""The command line as a process: what a terminal, a signal and the environment do to it."""

import json
import os
import pty
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from ssdconvert.catalog import shipped_recipes_folder
from ssdconvert.resources import package_file
from ssdconvert.workspace import Workspace

COMMAND = [sys.executable, "-m", "ssdconvert"]
ESCAPE = b"\x1b["


def on_a_terminal(*arguments: str, folder: Path, **environment: str) -> bytes:
    """What `ssdconvert ARGUMENTS` writes to a stderr that is a terminal."""
    ours, theirs = pty.openpty()
    try:
        process = subprocess.Popen(
            [*COMMAND, *arguments], cwd=folder, env=os.environ | environment, stderr=theirs
        )
        process.wait(timeout=60)
        told = b""
        while select.select([ours], [], [], 0)[0]:
            told += os.read(ours, 10_000)
        return told
    finally:
        os.close(ours)
        os.close(theirs)


def write_recipe(folder: Path, name: str) -> Path:
    """A copy of ssd-demo's recipe under another name, its file unpinned."""
    lines = (shipped_recipes_folder() / "ssd-demo.yaml").read_text("utf-8").splitlines()
    lines[1] = f"name: {name}"
    start = next(i for i, line in enumerate(lines) if "{name: ssd-demo.pytorch" in line)
    end = lines.index("input:")
    lines[start:end] = ['    - {name: ssd-demo.pytorch, urls: ["package:demo/ssd-demo.pytorch"]}']
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.yaml"
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def test_no_command_gives_help_and_a_usage_error(run: Callable[..., Any]) -> None:
    ended = run()
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("Usage: ssdconvert")
    assert "error[" not in ended.err


def test_an_error_is_coloured_on_a_terminal_unless_told_otherwise(tmp_path: Path) -> None:
    command = ("show", "nosuch")
    assert ESCAPE in on_a_terminal(*command, folder=tmp_path, NO_COLOR="")
    assert b"error[recipe]: " in on_a_terminal(*command, folder=tmp_path, NO_COLOR="1")
    assert ESCAPE not in on_a_terminal(*command, folder=tmp_path, NO_COLOR="1")
    assert ESCAPE not in on_a_terminal(*command, "--color", "never", folder=tmp_path)
    assert ESCAPE not in on_a_terminal(*command, "--color=never", folder=tmp_path)


@pytest.mark.parametrize("option", [["--color", "always"], ["--color=always"]])
def test_an_error_is_coloured_when_asked_for(run: Callable[..., Any], option: list[str]) -> None:
    assert "\x1b[" in run("show", "nosuch", *option).err
    assert "\x1b[" not in run("show", "nosuch").err


def test_quiet_hides_warnings_too(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, "mine")

    def fetched(*options: str) -> tuple[int, str, str]:
        cache = ("--cache", f"cache{len(options)}")  # fetched afresh, so that there is a warning
        ended = subprocess.run(
            [*COMMAND, "fetch", str(recipe), *cache, *options], cwd=tmp_path, capture_output=True, text=True
        )
        return ended.returncode, ended.stdout, ended.stderr

    code, out, err = fetched()
    assert (code, "unpinned" in err, "ssd-demo.pytorch" in out) == (0, True, True)
    assert fetched("-q") == (0, "", "")


def test_the_environment_says_where_things_are(
    run: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_recipe(tmp_path / "more", "mine")
    (tmp_path / "mirror" / "mine").mkdir(parents=True)
    (tmp_path / "mirror" / "mine" / "ssd-demo.pytorch").write_bytes(b"from the mirror")
    monkeypatch.setenv("SSDCONVERT_RECIPES", str(tmp_path / "more"))
    monkeypatch.setenv("SSDCONVERT_MIRROR", str(tmp_path / "mirror"))
    monkeypatch.setenv("SSDCONVERT_CACHE", str(tmp_path / "elsewhere"))
    (fetched,) = run("fetch", "mine", "--json").document
    assert fetched["path"] == str(tmp_path / "elsewhere" / "mine" / "ssd-demo.pytorch")
    assert fetched["origin"] == str(tmp_path / "mirror" / "mine" / "ssd-demo.pytorch")
    assert {entry["name"]: entry["cached"] for entry in run("list", "--json").document}["mine"]

    monkeypatch.setenv("SSDCONVERT_OFFLINE", "1")
    monkeypatch.setenv("SSDCONVERT_MIRROR", str(tmp_path / "empty"))
    ended = run("fetch", "ultraface-rfb-320", "--json")
    assert ended.code == 3
    assert "not tried, because of --offline" in ended.document["error"]["message"]


def test_boxes_are_in_pixels_of_a_picture_that_is_not_square(
    run: Callable[..., Any], demo: Path, tmp_path: Path
) -> None:
    square = Image.open(package_file("package:images/shapes-2.jpg"))
    width, height = square.size
    square.resize((2 * width, height), Image.Resampling.BILINEAR).save(tmp_path / "wide.png")
    square.save(tmp_path / "square.png")

    def best(picture: str) -> Any:
        document = run("detect", "ssd-demo", picture, "--json", "--output", f"found-{picture}").document
        assert document["size"] == list(Image.open(tmp_path / picture).size)
        assert Image.open(tmp_path / f"found-{picture}").size == tuple(document["size"])
        return document["detections"][0]

    expected, found = best("square.png"), best("wide.png")
    assert found["name"] == expected["name"]
    x1, y1, x2, y2 = expected["box"]
    assert found["box"] == pytest.approx([2 * x1, y1, 2 * x2, y2], abs=6)


def test_a_model_whose_ir_never_ran_is_not_right(run: Callable[..., Any], demo: Path) -> None:
    ended = run("verify", "ssd-demo", "--device", "NPU", "--json")
    assert (ended.code, ended.document["verdict"]) == (1, "inconclusive")
    skipped = [
        check for check in ended.document["checks"] if check["status"] == "skipped" and check["hop"] == "ir"
    ]
    assert [(check["device"], check["precision"]) for check in skipped] == [("NPU", "FP32"), ("NPU", "FP16")]
    assert all(check["value"] is None for check in skipped)


def test_a_stick_alone_that_is_absent_and_the_hint_names_a_report_that_is_there(
    run: Callable[..., Any], demo: Path, tmp_path: Path
) -> None:
    for path in demo.glob("report.*"):
        path.unlink()
    ended = run("verify", "ssd-demo", "--device", "MYRIAD")
    assert ended.code == 1
    (hint,) = (line for line in ended.err.splitlines() if line.startswith("hint: "))
    (named,) = (word for word in hint.split() if "report" in word)
    report = json.loads((tmp_path / named).read_text("utf-8"))
    assert report["verdict"] == "inconclusive"
    assert report["reason"].startswith("MYRIAD: the toolchain myriad is not installed")
    ours = [check for check in report["checks"] if check["hop"] == "ir"]
    assert {(check["device"], check["precision"], check["status"]) for check in ours} >= {
        ("CPU", "FP32", "pass"),
        ("CPU", "FP16", "pass"),
        ("MYRIAD", "FP16", "inconclusive"),
    }


@pytest.mark.parametrize(
    ("arguments", "stage", "code"),
    [
        (["biuld"], "usage", 2),
        (["fetch", "ultraface-rfb-320", "--offline"], "fetch", 3),
        (["detect", "ssd-demo", "x.png"], "detect", 2),
        (["build", "ssd-12-int8", "--precision", "FP32"], "recipe", 2),
    ],
)
def test_every_failure_is_one_document_in_json(
    run: Callable[..., Any], arguments: list[str], stage: str, code: int
) -> None:
    ended = run(*arguments, "--json")
    error = ended.document["error"]
    assert (ended.code, error["exit_code"], error["stage"]) == (code, code, stage)
    assert error["message"]
    assert error["hint"]
    assert "Traceback" not in ended.err
    assert "error[" not in ended.err


def test_a_bug_in_json_with_its_traceback_on_stderr(
    run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr("ssdconvert.pipeline.build", broken)
    ended = run("build", "ssd-demo", "--json", "-v")
    assert (ended.code, ended.document["error"]["exit_code"]) == (70, 70)
    assert ended.document["error"]["stage"] == "bug"
    assert "Traceback" in ended.err
    assert "Traceback" not in run("build", "ssd-demo", "--json").err


def test_control_c_ends_a_build_that_waits_and_loses_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "build" / "ssd-demo"
    with Workspace(folder).locked(lambda: pytest.fail("somebody has the lock")):
        waiting = subprocess.Popen(
            [*COMMAND, "build", "ssd-demo"],
            cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            # a suite that runs in the background of a shell ignores ^C, and so would its children
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )  # fmt: skip
        assert waiting.stderr is not None
        while "waiting: another process builds" not in (line := waiting.stderr.readline()):
            assert line, "it ended without waiting"
        waiting.send_signal(signal.SIGINT)
        out, err = waiting.communicate(timeout=30)
    assert (waiting.returncode, out) == (130, "")
    assert err.lstrip().startswith("error[interrupted]: ")  # after the line that ^C is on
    assert "Traceback" not in err
