"""Builds as they lie in folders, also half-made, stale and hostile ones."""

import hashlib
import io
import json
import os
import tarfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ssdconvert.report.builds import read_build, read_builds
from ssdconvert.report.result import Verification


def pack(path: Path, name: str, manifest: Any) -> None:
    content = manifest if isinstance(manifest, bytes) else json.dumps(manifest).encode()
    with tarfile.open(path, "w") as archive:
        member = tarfile.TarInfo(f"{name}/manifest.json")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))


def manifest_of(folder: Path) -> Any:
    return json.loads((folder / "manifest.json").read_text("utf-8"))


def test_a_build_tells_its_verdict_title_and_sizes(
    build_folder: Callable[..., Path], verification: Verification
) -> None:
    build = read_build(build_folder("one"))
    assert (build.name, build.title, build.verdict, build.reason) == ("one", "One at 8x8", "pass", "")
    assert build.sizes == {"FP32": 30, "FP16": 20}
    assert build.verification is not None
    assert build.verification.checks == verification.checks


def test_a_folder_that_is_not_there_is_unbuilt(tmp_path: Path) -> None:
    build = read_build(tmp_path / "nothing")
    assert (build.name, build.verdict) == ("nothing", "unbuilt")
    assert "is not there" in build.reason
    (tmp_path / "file").touch()
    build = read_build(tmp_path / "file")
    assert build.verdict == "unbuilt"
    assert "is no folder" in build.reason


@pytest.mark.parametrize(
    ("file", "reason"),
    [("manifest.json", "manifest.json cannot be read: ValueError: no regular file"), ("recipe.yaml", "")],
)
def test_a_pipe_is_not_waited_for(build_folder: Callable[..., Path], file: str, reason: str) -> None:
    path = build_folder("one") / file
    path.unlink()
    os.mkfifo(path)
    threading.Thread(target=path.write_bytes, args=(b"title: read",), daemon=True).start()
    build = read_build(path.parent)
    assert (build.reason, build.title) == (reason, "")
    assert path.read_bytes() == b"title: read"


@pytest.mark.parametrize(
    ("file", "content", "reason"),
    [
        ("manifest.json", None, "the build did not come to its end"),
        ("manifest.json", "[]", "manifest.json cannot be read: TypeError"),
        ("manifest.json", '{"recipe": {"name": "x"}, "artifacts": [1]}', "manifest.json cannot be read: TypeError"),
        ("manifest.json", '{"recipe": {"name": "../x"}, "artifacts": []}', "it is of a recipe '../x'"),
        ("manifest.json", "[" * 100_000, "manifest.json cannot be read"),
        ("manifest.json", "\xff", "manifest.json cannot be read"),
        ("report.json", None, "it was not verified"),
        ("report.json", "{}", "not the one that manifest.json names"),
    ],
)  # fmt: skip
def test_what_has_no_report_that_counts_is_unverified(
    build_folder: Callable[..., Path], file: str, content: str | None, reason: str
) -> None:
    folder = build_folder("one")
    if content is None:
        (folder / file).unlink()
    else:
        (folder / file).write_bytes(content.encode("latin-1"))
    build = read_build(folder)
    assert build.verdict == "unverified"
    assert reason in build.reason


@pytest.mark.parametrize("content", ["{}", "[]", '{"checks": 1}', "null", "not json", None])
def test_a_malformed_report_is_no_report(build_folder: Callable[..., Path], content: str | None) -> None:
    folder = build_folder("one")
    document = manifest_of(folder)
    if content is None:
        report = json.loads((folder / "report.json").read_text("utf-8"))
        report["checks"][0]["value"] = "none"
        content = json.dumps(report)
    (entry,) = [entry for entry in document["artifacts"] if entry["path"] == "report.json"]
    entry["sha256"] = hashlib.sha256(content.encode()).hexdigest()
    (folder / "report.json").write_text(content, "utf-8")
    (folder / "manifest.json").write_text(json.dumps(document), "utf-8")
    build = read_build(folder)
    assert build.verdict == "unverified"
    assert build.reason.startswith("report.json cannot be read: ")


def test_the_archive_of_this_very_build_is_found(build_folder: Callable[..., Path], tmp_path: Path) -> None:
    folder = build_folder("one")
    document = manifest_of(folder)
    document["artifacts"] = [*document["artifacts"][:2], {"path": "README.md", "sha256": "0"}]
    pack(tmp_path / "one.tar", "one", document)
    build = read_build(folder, (tmp_path / "nowhere", tmp_path))
    assert (build.archive, build.archive_problem) == (tmp_path / "one.tar", "")


def test_an_archive_of_another_build_is_passed_over(
    build_folder: Callable[..., Path], tmp_path: Path
) -> None:
    folder = build_folder("one")
    document = manifest_of(folder)
    document["artifacts"][0]["sha256"] = "f" * 64
    pack(tmp_path / "one.tar", "one", document)
    build = read_build(folder, (tmp_path,))
    assert build.archive is None
    assert build.archive_problem == "one.tar is of another build: package it again"


@pytest.mark.parametrize("content", [b"", b"no tar" * 200, b"\0" * 10240])
def test_what_is_no_archive_is_said_to_be_none(
    build_folder: Callable[..., Path], tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "one.tar").write_bytes(content)
    build = read_build(build_folder("one"), (tmp_path,))
    assert build.archive is None
    assert build.archive_problem.startswith("one.tar is no archive of ssdconvert: ")


def test_an_archive_with_a_malformed_manifest_is_none(
    build_folder: Callable[..., Path], tmp_path: Path
) -> None:
    pack(tmp_path / "one.tar", "one", b"[" * 100_000)
    assert "is no archive" in read_build(build_folder("one"), (tmp_path,)).archive_problem


def test_builds_of_one_name_are_told_apart(build_folder: Callable[..., Path], tmp_path: Path) -> None:
    first, second, other = build_folder("one"), build_folder("one", tmp_path / "again"), build_folder("two")
    names = [build.name for build in read_builds([first, second, other, first])]
    assert names == [f"one ({first})", f"one ({second})", "two"]
