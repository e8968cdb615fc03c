import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ssdconvert.errors import RecipeError
from ssdconvert.workspace import Workspace, code_digest, digest_of, write_json, written_atomically


def test_digests_are_hashlibs(tmp_path: Path) -> None:
    content = os.urandom(3_000_000)
    (tmp_path / "f").write_bytes(content)
    assert digest_of(tmp_path / "f") == hashlib.sha256(content).hexdigest()
    assert digest_of(tmp_path / "f", "sha384") == hashlib.sha384(content).hexdigest()


def test_the_digest_of_the_code_follows_its_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ssdconvert.workspace.__file__", str(tmp_path / "workspace.py"))
    (tmp_path / "stages").mkdir()
    (tmp_path / "workspace.py").write_text("a = 1\n")
    (tmp_path / "stages" / "convert.py").write_text("b = 1\n")
    first = code_digest()
    (tmp_path / "notes.txt").write_text("no source")
    assert code_digest() == first
    (tmp_path / "stages" / "convert.py").write_text("b = 2\n")
    changed = code_digest()
    (tmp_path / "stages" / "convert.py").rename(tmp_path / "stages" / "export.py")
    assert len({first, changed, code_digest()}) == 3


def test_a_file_appears_when_it_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "folder" / "f"
    with written_atomically(target) as temporary:
        temporary.write_text("half")
        assert not target.exists()
        temporary.write_text("whole")
    assert target.read_text() == "whole"
    assert [path.name for path in target.parent.iterdir()] == ["f"]


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("old")

    def fail() -> None:
        with written_atomically(tmp_path / "f") as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert (tmp_path / "f").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["f"]


def test_json_never_holds_what_json_has_not(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "f", {"value": float("nan")})
    assert list(tmp_path.iterdir()) == []


INPUTS: dict[str, Any] = {"opset": 13, "input": {"mean": [1.0, 2.0, 3.0]}, "files": {"a.onnx": "ab"}}


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A workspace in which the stage `export` made a.onnx."""
    workspace = Workspace(tmp_path / "out")
    workspace.path("a.onnx").write_bytes(b"graph")
    workspace.record("export", INPUTS, ["a.onnx"])
    return workspace


def test_a_recorded_stage_is_up_to_date(workspace: Workspace) -> None:
    assert workspace.why_stale("export", INPUTS, ["a.onnx"]) == ""
    assert Workspace(workspace.folder).why_stale("export", INPUTS, ["a.onnx"]) == ""
    assert workspace.digests("export") == {"a.onnx": digest_of(workspace.path("a.onnx"))}


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"opset": 17}, "opset changed from 13 to 17"),
        ({"input": {"mean": [0, 2, 3]}}, "input.mean changed from [1.0, 2.0, 3.0] to [0, 2, 3]"),
        ({"extra": True}, "extra changed from nothing to true"),
        ({"code": "x", "opset": 11}, "ssdconvert itself changed, and 1 more"),
    ],
)
def test_a_changed_input_is_told_by_name(workspace: Workspace, changed: dict[str, Any], reason: str) -> None:
    assert workspace.why_stale("export", {**INPUTS, **changed}, ["a.onnx"]) == reason


def test_every_other_reason_is_told(workspace: Workspace) -> None:
    assert workspace.why_stale("convert", INPUTS, ["a.onnx"]) == "not built yet"
    assert workspace.why_stale("export", INPUTS, ["a.onnx", "b.onnx"]) == "other files are asked for"
    workspace.path("a.onnx").write_bytes(b"other")
    assert workspace.why_stale("export", INPUTS, ["a.onnx"]) == "a.onnx was changed by somebody else"
    workspace.path("a.onnx").unlink()
    assert workspace.why_stale("export", INPUTS, ["a.onnx"]) == "a.onnx is missing"
    workspace.forget("export")
    assert workspace.why_stale("export", INPUTS, ["a.onnx"]) == "not built yet"


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "3", '{"export": 1}', '{"export": {"inputs": 3, "outputs": {}}}', "\x00\xff"]
)
def test_damaged_records_mean_not_built(workspace: Workspace, content: str) -> None:
    workspace.path(".ssdconvert/stages.json").write_text(content, "latin-1")
    assert workspace.why_stale("export", INPUTS, ["a.onnx"]) == "not built yet"
    workspace.record("export", INPUTS, ["a.onnx"])
    assert workspace.why_stale("export", INPUTS, ["a.onnx"]) == ""


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RecipeError, match="cannot be written") as caught:
        Workspace(tmp_path / "file" / "out")
    assert caught.value.exit_code == 2


HOLD = """
import sys, time
from pathlib import Path
from ssdconvert.workspace import Workspace
with Workspace(Path(sys.argv[1])).locked(lambda: None):
    print("held", flush=True)
    sys.stdin.readline()
"""


def test_the_second_of_two_processes_waits(tmp_path: Path) -> None:
    held = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert held.stdin is not None
    assert held.stdout is not None
    assert held.stdout.readline() == "held\n"
    told = []

    def release() -> None:
        told.append("waiting")
        assert held.stdin is not None
        held.stdin.write("\n")
        held.stdin.close()

    with Workspace(tmp_path).locked(release):
        assert told == ["waiting"]
        assert held.wait(timeout=10) == 0


def test_a_killed_process_leaves_no_stale_lock(tmp_path: Path) -> None:
    held = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert held.stdout is not None
    assert held.stdout.readline() == "held\n"
    held.kill()
    held.wait()
    with Workspace(tmp_path).locked(lambda: pytest.fail("there was a stale lock")):
        pass


def test_records_are_json_that_people_can_read(workspace: Workspace) -> None:
    records = json.loads(workspace.path(".ssdconvert/stages.json").read_text("utf-8"))
    assert records["export"]["inputs"]["input.mean"] == [1.0, 2.0, 3.0]
