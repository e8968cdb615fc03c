"""`cache list`, `verify` and `prune` by hand."""

import os
import time
from pathlib import Path
from typing import Any

import pytest

FILE = "ssd-demo/ssd-demo.pytorch"


@pytest.fixture
def cache(run: Any, tmp_path: Path) -> Path:
    """A cache with the demo's checkpoint."""
    assert run("fetch", "ssd-demo", "--cache", "cache").code == 0
    return tmp_path / "cache"


def test_an_empty_cache(run: Any, tmp_path: Path) -> None:
    ended = run("cache", "list", "--cache", "none")
    assert (ended.code, ended.out) == (
        0, "the cache none is empty: `ssdconvert fetch NAME` and `ssdconvert build NAME` fill it\n",
    )  # fmt: skip
    document = run("cache", "list", "--cache", "none", "--json").document
    assert document == {"path": "none", "bytes": 0, "files": [], "partial": [], "rejected": []}
    assert "0 names of files checked, 0 damaged" in run("cache", "verify", "--cache", "none").out
    assert run("cache", "verify", "--cache", "none", "--json").document == []
    assert "nothing to remove" in run("cache", "prune", "--cache", "none").out
    assert not (tmp_path / "none").exists()


def test_list(run: Any, cache: Path) -> None:
    document = run("cache", "list", "--cache", cache, "--json").document
    (file,) = document["files"]
    assert set(file) == {"recipe", "name", "path", "bytes", "sha256", "recipes", "last_used"}
    assert (file["recipe"], file["bytes"], file["recipes"]) == ("ssd-demo", 1343165, 1)
    assert file["last_used"].endswith("+00:00")
    assert file["bytes"] < document["bytes"] < file["bytes"] + 1000
    ended = run("cache", "list", "--cache", cache)
    assert f"  {FILE}     1.3 MB  sha256 {file['sha256'][:8]}...  used 20" in ended.out
    assert ended.out.endswith("1 file, 1.3 MB on disk\n")
    (cache / f"{FILE}.rejected").write_bytes(b"wrong")
    (cache / ".partial" / ("0" * 64)).write_bytes(b"part")
    ended = run("cache", "list", "--cache", cache)
    assert f"rejected: {cache / FILE}.rejected, 0.0 kB" in ended.out
    assert f"partial: {cache / '.partial' / ('0' * 64)}, 0.0 kB" in ended.out
    assert "`ssdconvert cache prune` removes what is partial or rejected" in ended.out
    assert run("doctor", "--json", "--cache", cache).document["cache"]["files"] == 1


def test_verify(run: Any, cache: Path) -> None:
    ended = run("cache", "verify", "--cache", cache, "--color", "never")
    assert ended.code == 0
    assert ended.out == f"  ok       {FILE}\nthe cache {cache}: 2 names of files checked, 0 damaged\n"
    with (cache / FILE).open("ab") as file:
        file.write(b"x")
    ended = run("cache", "verify", "--cache", cache, "--color", "never")
    assert ended.code == 3
    assert (
        f"  damaged  {FILE}  expected 1343165 bytes, got 1343166; set aside as {FILE}.rejected\n" in ended.out
    )
    assert "fetches again" in ended.err
    assert run("cache", "verify", "--cache", cache).code == 0
    assert run("fetch", "ssd-demo", "--cache", cache).code == 0


def test_verify_as_json(run: Any, cache: Path) -> None:
    (cache / FILE).unlink()
    (cache / FILE).write_bytes(b"other")
    ended = run("cache", "verify", "--cache", cache, "--json")
    assert ended.code == 3
    assert {one["file"]: one["status"] for one in ended.document}[FILE] == "damaged"
    assert set(ended.document[0]) == {"file", "path", "status", "sha256", "problem", "done"}
    (cache / "mine").mkdir()
    (cache / "mine" / "model").write_bytes(b"mine")
    ended = run("cache", "verify", "--cache", cache, "--json")
    assert {one["file"]: one["status"] for one in ended.document}["mine/model"] == "unpinned"
    assert ended.code == 0


def test_prune(run: Any, cache: Path) -> None:
    (cache / f"{FILE}.rejected").write_bytes(b"wrong")
    ended = run("cache", "prune", "--cache", cache, "--dry-run")
    assert f"  would be removed: {FILE}.rejected (a wrong file, kept for a look)" in ended.out
    assert "0.0 kB would be freed" in ended.out
    document = run("cache", "prune", "--cache", cache, "--json").document
    assert document == {
        "removed": [{"file": f"{FILE}.rejected", "reason": "a wrong file, kept for a look", "freed": 5}],
        "freed": 5,
        "dry_run": False,
    }
    assert (cache / FILE).exists()
    month_ago = time.time() - 30 * 86400
    os.utime(cache / FILE, (month_ago, month_ago))
    assert "nothing to remove" in run("cache", "prune", "--cache", cache, "--unused-for", "31").out
    ended = run("cache", "prune", "--cache", cache, "--unused-for", "29")
    assert (
        f"  removed: {FILE} (not used for 30 days)\n  removed: 1 names in .files/ (of no recipe)\n"
        in ended.out
    )
    assert "1.3 MB freed" in ended.out
    assert not (cache / FILE).exists()
    assert run("cache", "prune", "--unused-for", "-1").code == 2


def test_help(run: Any) -> None:
    assert run("cache", "--help").code == 0
    for command in ("list", "verify", "prune"):
        assert "--json" in run("cache", command, "--help").out
