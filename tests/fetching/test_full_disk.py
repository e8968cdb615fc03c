"""A disk that is full, a limit of the size of files, a cache that is to read only, and other trouble with folders."""

import errno
import hashlib
import json
import os
import random
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from ssdconvert.errors import FetchError
from ssdconvert.fetching.cache import Cache
from ssdconvert.fetching.expected import Expected
from ssdconvert.fetching.options import Fetched, FetchOptions
from ssdconvert.recipe import Recipe
from ssdconvert.stages.fetch import fetch

from .range_server import RangeServer, range_server, recipe_of
from .small_disk import NoDisk, SmallDisk

CONTENT = random.Random(4).randbytes(20_000_000)
SIZE, MIB = len(CONTENT), 1 << 20
SHA256, SHA384 = hashlib.sha256(CONTENT).hexdigest(), hashlib.sha384(CONTENT).hexdigest()
ROOM = re.compile(r"it needs (?:(\d+) bytes more|more room).*available are (\d+) bytes")


@pytest.fixture
def disk_of(tmp_path: Path) -> Iterator[Callable[[str], SmallDisk]]:
    """Mount a disk with these options."""
    mounted = []

    def mount(options: str) -> SmallDisk:
        (tmp_path / "disk").mkdir()
        try:
            mounted.append(SmallDisk(tmp_path / "disk", options))
        except NoDisk as error:
            pytest.skip(f"a small disk cannot be mounted: {error}")
        return mounted[-1]

    yield mount
    for disk in mounted:
        disk.close()


@pytest.fixture
def server() -> Iterator[RangeServer]:
    with range_server() as server:
        server.url_of("/model.onnx", CONTENT)
        yield server


@pytest.fixture
def recipe(documents: Mapping[str, Any], server: RangeServer) -> Callable[..., Recipe]:
    """Return a recipe of the file with such a pin."""

    def named(name: str = "tried", **told: Any) -> Recipe:
        file = {"name": "model.onnx", "urls": [server.url + "/model.onnx"], **told}
        return recipe_of(documents["onnx"], name, file)

    return named


def refusal(recipe: Recipe, cache: Path, **others: Any) -> FetchError:
    """Return why a fetch fails."""
    with pytest.raises(FetchError) as caught:
        fetch(recipe, FetchOptions(cache, **others))
    assert caught.value.exit_code == 3
    return caught.value


def fetched(recipe: Recipe, cache: Path, **others: Any) -> Fetched:
    """Return a file, which is right."""
    (one,) = fetch(recipe, FetchOptions(cache, **others))
    assert one.path.read_bytes() == CONTENT
    assert one.sha256 == SHA256
    return one


def room(message: str) -> tuple[int | None, int]:
    """Return the bytes that a message says are needed, and those that are available."""
    found = ROOM.search(message)
    assert found, message
    return int(found[1]) if found[1] else None, int(found[2])


def arrived(cache: Path) -> int:
    """Return how many bytes of the file are there, none of them under its name."""
    assert not (cache / "tried" / "model.onnx").exists()
    assert not (cache / ".files").exists()
    return sum(path.stat().st_size for path in (cache / ".partial").iterdir() if path.suffix != ".json")


@pytest.mark.parametrize("told_by", ["server", "recipe"])
def test_too_large_a_file_is_refused_before_it_comes(
    disk_of: Callable[[str], SmallDisk], server: RangeServer, recipe: Callable[..., Recipe], told_by: str
) -> None:
    disk = disk_of("size=16m")
    server.announced = told_by == "server"
    size = {"size": SIZE} if told_by == "recipe" else {}
    refused = disk.refusal(recipe(sha256=SHA256, **size))
    needed, available = room(refused["error"]["message"])
    assert needed == SIZE
    assert 15 * MIB < available <= 16 * MIB
    assert "--cache" in refused["error"]["hint"]
    assert arrived(disk.path / "cache") == 0
    assert "started" not in refused["told"]
    server.settle()
    assert server.sent < SIZE


def test_a_disk_that_fills_up_keeps_what_came(
    disk_of: Callable[[str], SmallDisk], server: RangeServer, recipe: Callable[..., Recipe]
) -> None:
    disk, wanted = disk_of("size=16m"), recipe(sha256=SHA256)
    cache = disk.path / "cache"
    server.announced = False
    needed, available = room(disk.refusal(wanted)["error"]["message"])
    assert needed is None
    assert available < MIB
    had = arrived(cache)
    assert had > 15 * MIB
    server.announced = True
    disk.remount("size=17m")
    needed, available = room(disk.refusal(wanted)["error"]["message"])
    assert arrived(cache) == had
    assert needed == SIZE - had
    assert MIB // 2 < available < 2 * MIB
    disk.remount("size=64m")
    assert disk.fetched(wanted)["sha256"] == SHA256
    assert (cache / "tried" / "model.onnx").read_bytes() == CONTENT
    server.settle()
    assert [one.range for one in server.asked] == [None, f"bytes={had}-", f"bytes={had}-"]
    assert server.asked[2].sent == SIZE - had
    assert not list((cache / ".partial").iterdir())


def test_a_full_disk_without_a_cache_yet(
    disk_of: Callable[[str], SmallDisk], recipe: Callable[..., Recipe]
) -> None:
    disk = disk_of("size=16m,nr_inodes=1")
    needed, available = room(disk.refusal(recipe(sha256=SHA256, size=SIZE), "a/cache")["error"]["message"])
    assert (needed, available > 15 * MIB) == (SIZE, True)


def test_a_copy_that_was_cut_off_takes_no_room(
    tmp_path: Path, disk_of: Callable[[str], SmallDisk], recipe: Callable[..., Recipe]
) -> None:
    disk, wanted = disk_of("size=24m"), recipe(sha256=SHA256)
    cache = disk.path / "cache"
    (tmp_path / "mirror" / "tried").mkdir(parents=True)
    (tmp_path / "mirror" / "tried" / "model.onnx").write_bytes(CONTENT)
    partial = Cache(cache).partial("tried", "model.onnx", Expected(sha256=SHA256), copy=True)
    partial.path.write_bytes(CONTENT[: SIZE // 2])
    assert disk.fetched(wanted, mirror=str(tmp_path / "mirror"))["origin"].startswith(str(tmp_path))


def test_a_copy_that_does_not_fit(
    tmp_path: Path, disk_of: Callable[[str], SmallDisk], recipe: Callable[..., Recipe]
) -> None:
    disk = disk_of("size=16m")
    (tmp_path / "mirror" / "tried").mkdir(parents=True)
    (tmp_path / "mirror" / "tried" / "model.onnx").write_bytes(CONTENT)
    refused = disk.refusal(recipe(sha256=SHA256), mirror=str(tmp_path / "mirror"))
    needed, available = room(refused["error"]["message"])
    assert needed == SIZE
    assert 15 * MIB < available <= 16 * MIB
    assert arrived(disk.path / "cache") == 0


LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
from ssdconvert.cli import main
main(sys.argv[2:])
"""


def test_a_limit_of_the_size_of_files(
    tmp_path: Path, server: RangeServer, recipe: Callable[..., Recipe]
) -> None:
    (tmp_path / "tried.yaml").write_text(recipe(sha256=SHA256).model_dump_json(by_alias=True))
    cache = tmp_path / "cache"

    def error(limit: int) -> str:
        command = [sys.executable, "-c", LIMITED, str(limit), "fetch", str(tmp_path / "tried.yaml"), "--json"]
        done = subprocess.run([*command, "--cache", str(cache)], capture_output=True, text=True)
        document = json.loads(done.stdout)["error"]
        assert (done.returncode, document["exit_code"], document["stage"]) == (3, 3, "fetch")
        return document["message"]

    limit = 8_000_000
    assert room(error(limit)) == (SIZE, limit)
    assert arrived(cache) == 0
    server.announced = False
    assert room(error(limit)) == (None, 0)
    assert arrived(cache) == limit
    server.announced = True
    assert room(error(limit + 1000)) == (SIZE - limit, 1000)
    assert arrived(cache) == limit
    fetched(recipe(sha256=SHA256), cache)
    server.settle()
    assert server.asked[-1].sent == SIZE - limit


@pytest.mark.parametrize("pinned", [{"size": SIZE, "sha256": SHA256}, {"sha384": SHA384}, {}])
def test_a_cache_to_read_only(
    disk_of: Callable[[str], SmallDisk],
    server: RangeServer,
    recipe: Callable[..., Recipe],
    pinned: dict[str, Any],
) -> None:
    disk = disk_of("size=64m")
    disk.fetched(recipe(**pinned))
    (disk.path / "cache" / "by-hand").mkdir()
    (disk.path / "cache" / "by-hand" / "model.onnx").write_bytes(CONTENT)
    disk.remount("ro")
    known = disk.fetched(recipe(**pinned), offline=True)
    assert (known["sha256"], known["origin"], known["logged"]) == (SHA256, "cache", [])
    by_hand = disk.fetched(recipe("by-hand", **pinned), offline=True)
    assert (by_hand["sha256"], by_hand["origin"]) == (SHA256, "cache")
    warned = any("cannot be remembered" in line for line in by_hand["logged"])
    assert warned is (not pinned)
    error = disk.refusal(recipe("another", sha256=hashlib.sha256(b"another").hexdigest()))["error"]
    assert f"the cache {disk.point / 'cache'} cannot be used: [Errno {errno.EROFS}]" in error["message"]
    assert "--cache" in error["hint"]
    assert len(server.asked) == 1


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_cache_without_the_right_to_write(tmp_path: Path, recipe: Callable[..., Recipe]) -> None:
    cache = tmp_path / "cache"
    fetched(recipe(sha256=SHA256), cache)
    folders = [cache, *(path for path in cache.rglob("*") if path.is_dir())]
    for folder in folders:
        folder.chmod(0o500)
    try:
        assert fetched(recipe(sha256=SHA256), cache).origin == "cache"
        assert "Permission denied" in refusal(recipe("another", sha256="0" * 64), cache).message
    finally:
        for folder in folders:
            folder.chmod(0o700)


@pytest.mark.parametrize("kind", ["a file", "below a file", "no name that a disk takes"])
def test_a_cache_that_cannot_be(
    tmp_path: Path, server: RangeServer, recipe: Callable[..., Recipe], kind: str
) -> None:
    (tmp_path / "file").write_text("not a folder")
    cache = (
        tmp_path
        / {"a file": "file", "below a file": "file/cache", "no name that a disk takes": "x" * 300}[kind]
    )
    error = refusal(recipe(sha256=SHA256), cache)
    assert f"the cache {cache} cannot be used" in error.message
    assert "--cache" in error.hint
    assert (tmp_path / "file").read_text() == "not a folder"
    assert not server.asked


def test_a_file_system_without_hard_links(
    tmp_path: Path, server: RangeServer, recipe: Callable[..., Recipe], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    cache = tmp_path / "cache"
    assert fetched(recipe("tried", sha256=SHA256), cache).origin.startswith("http:")
    for name in ("tried", "another", "another"):
        assert fetched(recipe(name, sha256=SHA256), cache).origin == "cache"
    assert (cache / "another" / "model.onnx").read_bytes() == CONTENT
    assert [one.range for one in server.asked] == [None]
    assert not list((cache / ".partial").iterdir())


@pytest.mark.parametrize("pinned", [{"size": SIZE, "sha256": SHA256}, {"sha384": SHA384}, {}])
def test_a_damaged_file_loses_all_its_names(
    tmp_path: Path, server: RangeServer, recipe: Callable[..., Recipe], pinned: dict[str, Any]
) -> None:
    cache = tmp_path / "cache"
    path = fetched(recipe(**pinned), cache).path
    with path.open("r+b") as file:  # all its names are damaged with it
        file.seek(SIZE // 2)
        file.write(b"damaged")
    os.utime(path, (0, 0))
    assert fetched(recipe(**pinned), cache).origin.startswith("http:")
    damaged = path.with_name("model.onnx.rejected").read_bytes()
    assert damaged[SIZE // 2 :].startswith(b"damaged")
    for known in (cache / ".files").rglob("*"):
        if known.is_file():
            assert hashlib.new(known.parts[-3], known.read_bytes()).hexdigest() == known.name
    assert fetched(recipe("another", sha256=SHA256), cache).origin == "cache"
    assert len(server.asked) == 2


def test_the_time_of_a_file_says_nothing(
    tmp_path: Path, server: RangeServer, recipe: Callable[..., Recipe]
) -> None:
    cache = tmp_path / "cache"
    path = fetched(recipe(sha256=SHA256), cache).path
    for one in (path, cache / "tried" / "lock.json", path.parent):
        os.utime(one, (315532800, 315532800))  # 1980
    assert fetched(recipe(sha256=SHA256), cache).origin == "cache"
    with path.open("r+b") as file:
        file.write(b"damaged")
    os.utime(path, (315532800, 315532800))
    assert fetched(recipe(sha256=SHA256), cache).origin.startswith("http:")
