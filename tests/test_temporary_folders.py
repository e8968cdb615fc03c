"""Temporary folders: those of killed processes are removed, those in use stay."""

import subprocess
import sys
from pathlib import Path

from ssdconvert.temporary_folders import remove_abandoned, temporary_folder_beside
from ssdconvert.workspace import Workspace

HOLD = """
import sys
from pathlib import Path
from ssdconvert.temporary_folders import temporary_folder_beside
with temporary_folder_beside(Path(sys.argv[1]) / "model.xml") as folder:
    (folder / "half").write_text("half")
    print(folder, flush=True)
    sys.stdin.readline()
"""


def holder(folder: Path) -> tuple["subprocess.Popen[str]", Path]:
    """Start a process that writes in a folder, and return where."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def test_nothing_is_left_of_a_folder(tmp_path: Path) -> None:
    with temporary_folder_beside(tmp_path / "new" / "model.xml") as folder:
        assert folder.parent == tmp_path / "new"
        (folder / "half").write_text("half")
    assert list((tmp_path / "new").iterdir()) == []


def test_what_a_killed_process_left_is_removed_and_what_is_in_use_stays(tmp_path: Path) -> None:
    killed, abandoned = holder(tmp_path)
    living, used = holder(tmp_path)
    killed.kill()
    killed.wait()
    assert (abandoned / "half").exists()
    remove_abandoned([tmp_path])
    assert list(tmp_path.iterdir()) == [used]
    assert (used / "half").exists()
    living.communicate("\n", timeout=10)
    assert list(tmp_path.iterdir()) == []


def test_a_build_folder_is_cleaned_when_it_is_locked(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    places = [tmp_path, tmp_path / "FP32", tmp_path / ".ssdconvert", tmp_path / ".ssdconvert" / "stand-in"]
    for place in places:
        (place / ".tmp-old").mkdir(parents=True)  # killed before it was held
        (place / ".tmp-old" / "half").write_text("half")
        (place / ".mine").write_text("a user's")
    with workspace.locked(lambda: None):
        assert not list(tmp_path.rglob(".tmp-*"))
    assert len(list(tmp_path.rglob(".mine"))) == 4
