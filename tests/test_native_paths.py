"""Paths that libraries can open."""

import os
from pathlib import Path

import pytest

from ssdconvert.native_paths import native_path

CAFE = os.fsdecode(b"caf\xe9")


@pytest.mark.parametrize("folder", ["plain", "ünder score\n", CAFE])
@pytest.mark.parametrize("name", ["model", CAFE])
def test_both_files_of_an_ir_are_read_by_names_that_are_utf_8(
    tmp_path: Path, folder: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = Path(folder) / f"{name}.xml"
    path.parent.mkdir()
    path.write_text("xml")
    path.with_suffix(".bin").write_text("bin")
    with native_path(path) as given:
        str(given).encode("utf-8")
        assert (given.read_text(), given.with_suffix(".bin").read_text()) == ("xml", "bin")
        assert (given == path) is (CAFE not in str(path))


def test_a_file_is_written_into_a_folder_of_any_name(tmp_path: Path) -> None:
    (tmp_path / CAFE).mkdir()
    with native_path(tmp_path / CAFE / "model.xml") as given:
        given.write_text("new")
    assert (tmp_path / CAFE / "model.xml").read_text() == "new"
