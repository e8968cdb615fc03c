"""What is in the cache: who uses it and when, whether it is whole, and what is removed."""

import hashlib
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ssdconvert.fetching.cache import Cache
from ssdconvert.fetching.cache_contents import CacheContents
from ssdconvert.fetching.cache_pruning import prune_cache
from ssdconvert.fetching.cache_verification import Verified, verify_cache
from ssdconvert.fetching.digested_file import content_of
from ssdconvert.fetching.expected import Expected
from ssdconvert.fetching.options import FetchOptions
from ssdconvert.fetching.partial import source_of
from ssdconvert.recipe import Recipe
from ssdconvert.stages.fetch import fetch, fetch_if_near

MODEL, SECOND = bytes(range(256)) * 9, b"second" * 300
DAY = 86400.0
Made = Callable[..., Recipe]


def digests(content: bytes) -> dict[str, Any]:
    return {"sha256": hashlib.sha256(content).hexdigest(), "sha384": hashlib.sha384(content).hexdigest()}


@pytest.fixture
def made(documents: Any) -> Made:
    """Make a recipe with one file `model.onnx`, unpinned unless the keywords say otherwise."""

    def make(name: str, **file: Any) -> Recipe:
        source = {"kind": "onnx", "files": [{"name": "model.onnx", "urls": []} | file]}
        return Recipe.model_validate_json(json.dumps({**documents["onnx"], "name": name, "source": source}))

    return make


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def had(tmp_path: Path, cache: Path) -> Callable[[Recipe, bytes], Path]:
    """Fetch a recipe's file, which has this content, from a folder."""

    def get(recipe: Recipe, content: bytes) -> Path:
        folder = tmp_path / "mirror" / recipe.name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "model.onnx").write_bytes(content)
        return fetch(recipe, FetchOptions(cache, str(tmp_path / "mirror")))[0].path

    return get


def age(path: Path, days: float) -> None:
    """Make a file look as if it was used and changed days ago."""
    then = time.time() - days * DAY
    os.utime(path, (then, then))


def names(folder: Path) -> set[str]:
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    return {name for name in found if not name.startswith(".locks/")}


def statuses(verified: list[Verified]) -> dict[str, str]:
    return {one.file: one.status for one in verified}


def test_an_absent_cache_is_empty(cache: Path) -> None:
    contents = CacheContents(cache)
    assert (contents.files(), contents.rejected(), contents.contents(), contents.partials()) == (
        [],
        [],
        [],
        [],
    )
    assert (contents.half_written(0), contents.bytes_on_disk()) == ([], 0)
    assert not list(verify_cache(cache, []))
    assert prune_cache(cache, 0, dry_run=False) == []
    assert not cache.exists()


def test_shared_files_are_counted_once(cache: Path, made: Made, had: Any) -> None:
    for name in ("one", "two"):
        had(made(name, **digests(MODEL)), MODEL)
    had(made("three"), SECOND)
    contents = CacheContents(cache)
    files = contents.files()
    assert [file.target for file in files] == ["one/model.onnx", "three/model.onnx", "two/model.onnx"]
    assert files[0].inode == files[2].inode != files[1].inode
    assert files[0].links == 4  # two recipes, SHA-256, SHA-384
    notes = sum(path.stat().st_size for path in cache.glob("*/lock.json"))
    assert contents.bytes_on_disk() == len(MODEL) + len(SECOND) + notes
    assert [contents.sha256(file) for file in files] == [digests(c)["sha256"] for c in (MODEL, SECOND, MODEL)]
    (cache / "three" / "lock.json").unlink()
    assert contents.sha256(files[1]) == digests(SECOND)["sha256"]


@pytest.mark.parametrize("first", ["found", "of another recipe"])
def test_a_file_is_used_when_it_is_taken(cache: Path, made: Made, had: Any, first: str) -> None:
    recipe = made("one", **digests(MODEL))
    path = had(recipe, MODEL)
    assert abs(path.stat().st_atime - time.time()) < 60
    age(path, 30)
    changed = path.stat().st_mtime_ns
    if first == "of another recipe":
        path = had(made("two", **digests(MODEL)), MODEL)
    else:
        fetch(recipe, FetchOptions(cache))
    assert abs(path.stat().st_atime - time.time()) < 60
    assert path.stat().st_mtime_ns == changed


def test_evidence_that_is_near_is_used(cache: Path, made: Made, had: Any) -> None:
    recipe = made("one", **digests(MODEL))
    path = had(recipe, MODEL)
    age(path, 30)
    assert fetch_if_near(recipe, recipe.source.files[0], FetchOptions(cache))
    assert abs(path.stat().st_atime - time.time()) < 60


def test_looking_is_not_using(cache: Path, made: Made, had: Any) -> None:
    recipe = made("one")
    path = had(recipe, MODEL)
    age(path, 30)
    before = path.stat().st_atime_ns
    (cache / "one" / "lock.json").unlink()
    contents = CacheContents(cache)
    contents.sha256(contents.files()[0])
    list(verify_cache(cache, [recipe]))
    assert Cache(cache).holds("one", "model.onnx", Expected())
    assert path.stat().st_atime_ns == before


def test_a_cache_to_read_only_can_be_used(
    cache: Path, made: Made, had: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = made("one")
    had(recipe, MODEL)

    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "read-only")

    monkeypatch.setattr(os, "utime", refuse)
    assert fetch(recipe, FetchOptions(cache))[0].origin == "cache"
    assert set(statuses(list(verify_cache(cache, [recipe]))).values()) == {"ok"}


def test_what_is_right_verifies(cache: Path, made: Made, had: Any) -> None:
    recipes = [made("one", **digests(MODEL)), made("two", sha384=digests(SECOND)["sha384"])]
    had(recipes[0], MODEL)
    had(recipes[1], SECOND)
    had(made("three"), b"unpinned")
    verified = list(verify_cache(cache, recipes))
    assert set(statuses(verified).values()) == {"ok"}
    assert {one.file for one in verified} >= {"one/model.onnx", "two/model.onnx", "three/model.onnx"}
    assert sum(one.file.startswith(".files/") for one in verified) == 5
    assert verified[0].to_json()["sha256"] == digests(MODEL)["sha256"]


def test_what_nobody_vouches_for_is_unpinned(cache: Path, made: Made, had: Any) -> None:
    had(made("one"), MODEL)
    (cache / "one" / "lock.json").unlink()
    assert statuses(list(verify_cache(cache, [])))["one/model.onnx"] == "unpinned"
    pinned = made("one", **digests(MODEL))
    assert statuses(list(verify_cache(cache, [pinned])))["one/model.onnx"] == "ok"


def test_a_damaged_file_is_set_aside_under_each_name(cache: Path, made: Made, had: Any) -> None:
    recipes = [made(name, **digests(MODEL)) for name in ("one", "two")]
    paths = [had(recipe, MODEL) for recipe in recipes]
    had(made("three"), SECOND)
    with paths[0].open("r+b") as file:
        file.write(b"X")
    verified = list(verify_cache(cache, recipes))
    damaged = {one.file: one for one in verified if one.status == "damaged"}
    assert len(damaged) == 4
    one = damaged["one/model.onnx"]
    assert one.problem == f"expected sha256 {digests(MODEL)['sha256']}, got {one.sha256}"
    assert one.done == "set aside as one/model.onnx.rejected"
    assert {one.done for name, one in damaged.items() if name.startswith(".")} == {"removed"}
    assert not paths[0].exists()
    assert (cache / "two" / "model.onnx.rejected").read_bytes()[:1] == b"X"
    assert set(statuses(list(verify_cache(cache, recipes))).values()) == {"ok"}
    assert had(recipes[0], MODEL).read_bytes() == MODEL


@pytest.mark.parametrize("file", [{"size": 7}, {"sha384": "0" * 96}, {"sha256": "0" * 64}, {}])
def test_each_thing_that_is_known_is_checked(cache: Path, made: Made, had: Any, file: dict[str, Any]) -> None:
    path = had(made("one"), MODEL)
    if not file:
        path.unlink()
        path.write_bytes(SECOND)  # another file than the one that was remembered
    verified = list(verify_cache(cache, [made("one", **file)]))
    assert statuses(verified)["one/model.onnx"] == "damaged"
    assert "expected" in verified[0].problem


def test_a_page_in_place_of_an_unpinned_file(cache: Path) -> None:
    (cache / "one").mkdir(parents=True)
    (cache / "one" / "model.onnx").write_bytes(b"<!DOCTYPE html><html>")
    (verified,) = verify_cache(cache, [])
    assert (verified.status, verified.problem) == ("damaged", "got an HTML page")


def test_a_note_that_is_damaged(cache: Path, made: Made, had: Any) -> None:
    had(made("one"), MODEL)
    (cache / "one" / "lock.json").write_text("{", "utf-8")
    verified = {one.file: one for one in verify_cache(cache, [])}
    assert verified["one/lock.json"].status == "damaged"
    assert verified["one/model.onnx"].status == "unpinned"
    assert (cache / "one" / "lock.json").exists()
    assert CacheContents(cache).sha256(CacheContents(cache).files()[0]) == digests(MODEL)["sha256"]


def test_a_file_that_was_mended_meanwhile_stays(
    cache: Path, made: Made, had: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = made("one", **digests(MODEL))
    path = had(recipe, MODEL)
    path.write_bytes(b"damaged")
    locked = Cache.locked

    def mended(*arguments: Any) -> Any:
        path.write_bytes(MODEL)
        return locked(*arguments)

    monkeypatch.setattr(Cache, "locked", mended)
    assert statuses(list(verify_cache(cache, [recipe])))["one/model.onnx"] == "ok"
    assert path.read_bytes() == MODEL


def test_prune_leaves_what_is_needed(cache: Path, made: Made, had: Any) -> None:
    for name in ("one", "two"):
        had(made(name, **digests(MODEL)), MODEL)
    had(made("three"), SECOND)
    before = names(cache)
    assert prune_cache(cache, None, dry_run=False) == []
    assert prune_cache(cache, 1, dry_run=False) == []
    assert names(cache) == before


def test_prune_removes_what_nobody_needs(cache: Path, made: Made, had: Any) -> None:
    recipe = made("one", **digests(MODEL))
    had(recipe, MODEL)
    kept = names(cache)
    had(made("two"), SECOND).unlink()
    (cache / "one" / "model.onnx.rejected").write_bytes(b"wrong")
    partial = Cache(cache).partial("one", "model.onnx", Expected(sha256="0" * 64), copy=False)
    partial.begin(source_of("https://example.com/model.onnx", None, 100))
    partial.path.write_bytes(b"part")
    copy = Cache(cache).partial("one", "model.onnx", Expected(sha256="1" * 64), copy=True)
    copy.path.write_bytes(b"copied")
    for folder in (cache / "one" / ".tmp-dead", cache / ".partial" / ".tmp-dead", cache / "one" / ".tmp-new"):
        folder.mkdir()
        (folder / "lock.json").write_bytes(b"half")
        if folder.name.endswith("dead"):
            age(folder, 1)
    (cache / "two" / "lock.json.new").write_bytes(b"{")
    age(cache / "two" / "lock.json.new", 1)
    (cache / ".partial" / f"{'2' * 64}.json.new").write_bytes(b"{")
    before = names(cache)
    foreseen = prune_cache(cache, None, dry_run=True)
    assert names(cache) == before
    assert prune_cache(cache, None, dry_run=False) == foreseen
    assert names(cache) == kept | {"two/lock.json", "one/.tmp-new/lock.json"}
    reasons = {one.file: (one.reason, one.freed) for one in foreseen}
    second = digests(SECOND)["sha256"]
    assert reasons == {
        "one/model.onnx.rejected": ("a wrong file, kept for a look", 5),
        f".partial/{'0' * 64}": ("did not arrive whole", 4),
        f".partial/{'1' * 64}.copy": ("did not arrive whole", 6),
        f".partial/{'2' * 64}": ("did not arrive whole", 0),
        ".partial/.tmp-dead": ("half written by a program that died", 4),
        "one/.tmp-dead": ("half written by a program that died", 4),
        "two/lock.json.new": ("half written by a program that died", 1),
        f".files/sha256/{second[:2]}/{second}": ("of no recipe", len(SECOND)),
    }


def test_prune_leaves_what_is_being_fetched(cache: Path) -> None:
    expected = Expected(sha256="0" * 64)
    partial = Cache(cache).partial("one", "model.onnx", expected, copy=False)
    partial.path.write_bytes(b"part")
    with Cache(cache).locked("one", "model.onnx", expected, lambda: None):
        assert prune_cache(cache, None, dry_run=False) == []
        assert partial.path.read_bytes() == b"part"
    assert len(prune_cache(cache, None, dry_run=False)) == 1


def test_partial_files_are_told_by_name(cache: Path, made: Made) -> None:
    recipe = made("one", **digests(MODEL))
    known = Expected(sha256=digests(MODEL)["sha256"])
    partial = Cache(cache).partial("one", "model.onnx", known, copy=False)
    partial.begin(source_of("https://example.com/model.onnx", None, 2304))
    partial.path.write_bytes(b"part")
    Cache(cache).partial("x", "y", Expected(), copy=True).path.write_bytes(b"copied")
    told = {(one.target, one.bytes, one.total) for one in CacheContents(cache).partials([recipe])}
    assert told == {("one/model.onnx", 4, 2304), (None, 6, None)}


def test_files_that_were_not_used_for_long(cache: Path, made: Made, had: Any) -> None:
    old, shared, other = made("old"), made("shared", **digests(MODEL)), made("other", **digests(MODEL))
    age(had(old, SECOND), 40)
    had(shared, MODEL)
    age(had(other, MODEL), 40)
    fetch(shared, FetchOptions(cache))  # one content: whoever uses it uses it for all
    assert prune_cache(cache, 41, dry_run=False) == []
    removed = prune_cache(cache, 39.5, dry_run=False)
    assert [(one.file.split("/")[0], one.freed) for one in removed] == [("old", 0), (".files", len(SECOND))]
    assert removed[0].reason == "not used for 40 days"
    assert (cache / "old" / "lock.json").exists()
    assert (cache / "other" / "model.onnx").exists()


def test_a_recipe_is_used_when_one_of_its_files_is(cache: Path) -> None:
    (cache / "one").mkdir(parents=True)
    for name, days in (("a", 40.0), ("b", 1.0)):
        (cache / "one" / name).write_bytes(name.encode())
        age(cache / "one" / name, days)
    assert prune_cache(cache, 30, dry_run=False) == []
    assert [one.file for one in prune_cache(cache, 0.5, dry_run=False)] == ["one/a", "one/b"]


def test_what_is_taken_while_others_prune_stays(
    cache: Path, made: Made, had: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = made("one", **digests(MODEL))
    age(path := had(recipe, MODEL), 40)
    files = CacheContents.files

    def files_and_then_taken(contents: CacheContents) -> Any:
        found = files(contents)
        fetch(recipe, FetchOptions(cache))
        return found

    monkeypatch.setattr(CacheContents, "files", files_and_then_taken)
    assert prune_cache(cache, 30, dry_run=False) == []
    assert path.read_bytes() == MODEL


def test_a_file_is_marked_before_it_is_read(
    cache: Path, made: Made, had: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That takes seconds for a large one."""
    recipe = made("one", **digests(MODEL))
    age(path := had(recipe, MODEL), 40)

    def pruned_meanwhile(read: Path, algorithms: Any) -> Any:
        assert prune_cache(cache, 30, dry_run=False) == []
        return content_of(read, algorithms)

    monkeypatch.setattr("ssdconvert.fetching.cache.content_of", pruned_meanwhile)
    assert fetch(recipe, FetchOptions(cache))[0].path.read_bytes() == MODEL
    assert path.exists()
