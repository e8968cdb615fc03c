"""The cache gives what it was given, or nothing."""

import hashlib
import os
from pathlib import Path
from typing import Any

import pytest

from ssdconvert.errors import FetchError
from ssdconvert.fetching.cache import Cache
from ssdconvert.fetching.digested_file import content_of
from ssdconvert.fetching.expected import Expected
from ssdconvert.fetching.partial import source_of

MODEL = b"model" * 100
SHA256, SHA384 = hashlib.sha256(MODEL).hexdigest(), hashlib.sha384(MODEL).hexdigest()
PINNED = Expected(len(MODEL), SHA256)


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


def put(cache: Cache, recipe: str = "one", name: str = "m.onnx", expected: Expected = PINNED) -> Path:
    """Put the model into the cache as a download does."""
    partial = cache.partial(recipe, name, expected, copy=False)
    partial.begin(source_of("http://a/", None, None))
    partial.path.write_bytes(MODEL)
    return cache.adopt(partial, recipe, name, content_of(partial.path, expected.algorithms))


def test_an_empty_cache_has_nothing_and_makes_nothing(cache: Cache) -> None:
    assert cache.find("one", "m.onnx", PINNED) is None
    assert cache.find_content("m.onnx", PINNED) is None
    assert cache.remembered("one") == {}
    assert not cache.folder.exists()


def test_what_is_adopted_has_both_names_and_no_other(cache: Cache) -> None:
    path = put(cache, name="deep/m.onnx", expected=Expected(None, SHA256, SHA384))
    assert path == cache.folder / "one" / "deep" / "m.onnx"
    names = [cache.content_path("sha256", SHA256), cache.content_path("sha384", SHA384), path]
    assert all(name.read_bytes() == MODEL and name.samefile(path) for name in names)
    assert path.stat().st_nlink == 3
    assert list((cache.folder / ".partial").iterdir()) == []


def test_another_recipe_finds_it_by_its_digest(cache: Cache) -> None:
    put(cache)
    assert cache.find("two", "other.onnx", PINNED) is None
    found = cache.find_content("other.onnx", PINNED)
    assert found is not None
    assert (found[0], found[1].digests["sha256"]) == (cache.content_path("sha256", SHA256), SHA256)
    assert cache.name_for(found[0], "two", "other.onnx") == cache.path("two", "other.onnx")
    assert cache.find("two", "other.onnx", PINNED) is not None


def test_another_recipe_finds_by_name_what_was_put_there_by_hand(cache: Cache) -> None:
    cache.path("one", "m.onnx").parent.mkdir(parents=True)
    cache.path("one", "m.onnx").write_bytes(MODEL)
    found = cache.find_content("m.onnx", PINNED)
    assert found is not None
    assert found[0] == cache.path("one", "m.onnx")
    assert cache.find_content("m.onnx", Expected()) is None
    assert cache.find_content("m.onnx", Expected(sha256="0" * 64)) is None


@pytest.mark.parametrize("expected", [Expected(), Expected(len(MODEL)), Expected(sha384=SHA384)])
def test_without_that_digest_nothing_is_shared(cache: Cache, expected: Expected) -> None:
    put(cache)
    assert cache.find_content("other.onnx", expected) is None


def test_what_is_pruned_meanwhile_is_not_there(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    def pruned(path: Path, algorithms: Any) -> Any:
        path.unlink()
        return content_of(path, algorithms)

    path = put(cache)
    monkeypatch.setattr("ssdconvert.fetching.cache.content_of", pruned)
    assert cache.find_content("m.onnx", PINNED) is None
    assert not path.exists()
    monkeypatch.undo()
    put(cache)
    monkeypatch.setattr("ssdconvert.fetching.cache.content_of", pruned)
    assert cache.find("one", "m.onnx", PINNED) is None


def test_what_was_damaged_is_not_found(cache: Cache) -> None:
    path = put(cache)
    path.write_bytes(b"damaged")  # by both names
    assert cache.find("one", "m.onnx", PINNED) is None
    assert cache.find_content("m.onnx", PINNED) is None
    assert put(cache, "two").read_bytes() == MODEL
    assert cache.content_path("sha256", SHA256).read_bytes() == MODEL


def test_a_folder_is_no_file(cache: Cache) -> None:
    cache.path("one", "m.onnx").mkdir(parents=True)
    assert cache.find("one", "m.onnx", Expected()) is None


@pytest.mark.parametrize("share", [True, False])
def test_a_file_system_without_hard_links(cache: Cache, monkeypatch: pytest.MonkeyPatch, share: bool) -> None:
    def no_link(*_: Any, **__: Any) -> None:
        raise OSError(95, "not supported")

    monkeypatch.setattr(os, "link", no_link)
    path = put(cache)
    assert path.read_bytes() == MODEL
    assert cache.find("one", "m.onnx", PINNED) is not None
    found = cache.find_content("m.onnx", PINNED)
    assert found is not None
    assert cache.name_for(found[0], "two", "m.onnx") is None
    assert list((cache.folder / ".partial").iterdir()) == []


def test_a_wrong_file_is_set_aside(cache: Cache) -> None:
    for content in (b"wrong", b"wrong again"):
        bad = cache.folder / "bad"
        cache.folder.mkdir(exist_ok=True)
        bad.write_bytes(content)
        rejected = cache.set_aside(bad, "one", "deep/m.onnx")
        assert rejected == cache.folder / "one" / "deep" / "m.onnx.rejected"
        assert rejected.read_bytes() == content
        assert not bad.exists()


def test_parts_are_kept_apart(cache: Cache) -> None:
    """By content where a digest names it, else by recipe and name; a copy is nobody's download."""
    paths = [
        cache.partial("one", "m", PINNED, False).path,
        cache.partial("one", "m", PINNED, True).path,
        cache.partial("one", "m", Expected(), False).path,
        cache.partial("two", "m", Expected(), False).path,
        cache.partial("one", "n", Expected(5), False).path,
    ]
    assert len(set(paths)) == len(paths)
    assert cache.partial("two", "n", PINNED, False).path == paths[0]
    assert cache.partial("one", "m", Expected(5), False).path == paths[2]


def test_digests_are_remembered_by_recipe_and_name(cache: Cache) -> None:
    cache.remember("one", "a", SHA256)
    cache.remember("one", "deep/b", "0" * 64)
    cache.remember("two", "a", "1" * 64)
    cache.remember("one", "a", "2" * 64)
    assert cache.remembered("one") == {"a": "2" * 64, "deep/b": "0" * 64}
    assert cache.remembered("two") == {"a": "1" * 64}


@pytest.mark.parametrize("text", ["", "{", "[]", "5", '{"m": 5}', '{"m": null}', "\xff"])
def test_a_damaged_lock_file_is_not_forgotten(cache: Cache, text: str) -> None:
    """Else whatever is fetched next would be trusted."""
    cache.path("one", "lock.json").parent.mkdir(parents=True)
    cache.path("one", "lock.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(FetchError, match="is damaged"):
        cache.remembered("one")
    with pytest.raises(FetchError, match="is damaged"):
        cache.remember("one", "m", SHA256)


def test_whoever_waits_for_a_lock_is_told_once(cache: Cache) -> None:
    import threading

    waits: list[str] = []
    waiting, inside = threading.Event(), []

    def second() -> None:
        def told() -> None:
            waits.append("second")
            waiting.set()

        with cache.locked("two", "other", PINNED, told):
            inside.append("second")

    with cache.locked("one", "m", PINNED, lambda: waits.append("first")):
        thread = threading.Thread(target=second)
        thread.start()
        assert waiting.wait(5)
        assert inside == []
        with cache.locked("one", "m", Expected(), lambda: waits.append("another content")):
            pass
    thread.join(5)
    assert (inside, waits) == (["second"], ["second"])
