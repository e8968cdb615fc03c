"""Bundles: what is written is a mirror and the same every time; what is read is right, or refused."""

import hashlib
import io
import json
import shutil
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random
from typing import Any

import pytest

from ssdconvert.errors import FetchError
from ssdconvert.fetching import bundle, unpacked_bundle
from ssdconvert.fetching.options import FetchOptions
from ssdconvert.fetching.unpacked_bundle import import_bundle, index_of
from ssdconvert.file_bundles import all_unbundled, bundled, unbundled
from ssdconvert.recipe import Recipe
from ssdconvert.stages.fetch import fetch

MODEL, SECOND, RECORDED = bytes(range(256)) * 9, b"second" * 300, b"recorded" * 50
Made = Callable[..., Recipe]


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def pinned(content: bytes) -> dict[str, Any]:
    return {"size": len(content), "sha256": sha256(content), "sha384": hashlib.sha384(content).hexdigest()}


def recipe_of(document: Mapping[str, Any], name: str, /, evidence: bool = False, **file: Any) -> Recipe:
    source: dict[str, Any] = {"kind": "onnx", "files": [{"name": "model.onnx", "urls": []} | file]}
    if evidence:
        source["recorded"] = {"file": {"name": "sets/r.tar.gz", "urls": [], **pinned(RECORDED)}}
    return Recipe.model_validate_json(json.dumps({**document, "name": name, "source": source}))


@pytest.fixture
def made(documents: Any) -> Made:
    """Make a recipe with one file `model.onnx`, unpinned unless the keywords say otherwise."""
    return lambda name, /, **keywords: recipe_of(documents["onnx"], name, **keywords)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A mirror with the files of the recipes one and two."""
    mirror = tmp_path / "mirror"
    for name, content in (
        ("one/model.onnx", MODEL),
        ("one/sets/r.tar.gz", RECORDED),
        ("two/model.onnx", SECOND),
    ):
        (mirror / name).parent.mkdir(parents=True, exist_ok=True)
        (mirror / name).write_bytes(content)
    return mirror


@pytest.fixture
def here(tmp_path: Path, folder: Path) -> FetchOptions:
    return FetchOptions(tmp_path / "here", str(folder))


@pytest.fixture
def there(tmp_path: Path) -> FetchOptions:
    return FetchOptions(tmp_path / "there", offline=True)


def entry(path: str, content: bytes, **changes: Any) -> dict[str, Any]:
    recipe, _, name = path.partition("/")
    return {"recipe": recipe, "name": name, "bytes": len(content), "sha256": sha256(content)} | changes


def index(*entries: dict[str, Any]) -> bytes:
    return json.dumps({"schema": 1, "files": entries}).encode()


def packed(path: Path, members: list[tuple[str, bytes]], special: tuple[tarfile.TarInfo, ...] = ()) -> Path:
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        for member in special:
            archive.addfile(member)
    return path


def refused(path: Path, recipe: Recipe, options: FetchOptions) -> str:
    """The message with which a bundle is refused; nothing of it is in the cache."""
    with pytest.raises(FetchError) as caught:
        import_bundle(path, [(recipe, file) for file in recipe.source.files], options)
    assert caught.value.exit_code == 3
    assert caught.value.hint
    assert str(path) in caught.value.message
    assert not list(options.cache.glob("[!.]*/*"))
    assert not list(options.cache.glob(".partial/*"))
    assert not list(options.cache.glob(".files/*"))
    return caught.value.message


def test_an_unpacked_bundle_is_a_mirror(tmp_path: Path, made: Made, here: FetchOptions) -> None:
    recipes = [made("two"), made("one", evidence=True, **pinned(MODEL))]
    written = bundled(recipes, tmp_path / "b.tar", here)
    assert written.content.digests["sha256"] == sha256((tmp_path / "b.tar").read_bytes())
    with tarfile.open(tmp_path / "b.tar", "r:") as archive:
        members = archive.getmembers()
        told = json.load(archive.extractfile("bundle.json"))  # type: ignore[arg-type]
        archive.extractall(tmp_path / "unpacked")
    names = ["one/model.onnx", "one/sets/r.tar.gz", "two/model.onnx"]
    assert [member.name for member in members] == ["bundle.json", *names]
    assert {(m.mtime, m.uid, m.gid, m.uname, m.gname, m.mode) for m in members} == {(0, 0, 0, "", "", 0o644)}
    assert told["schema"] == 1
    assert told["files"][0] == {"recipe": "one", "name": "model.onnx", "bytes": len(MODEL)} | {
        key: pinned(MODEL)[key] for key in ("sha256", "sha384")
    }
    assert told["files"][2] == entry("two/model.onnx", SECOND)
    (from_it,) = fetch(recipes[1], FetchOptions(tmp_path / "third", str(tmp_path / "unpacked"), offline=True))
    assert from_it.path.read_bytes() == MODEL


def test_the_same_files_give_the_same_bytes(tmp_path: Path, made: Made, here: FetchOptions) -> None:
    one, two = made("one", evidence=True), made("two")
    bundled([one, two], tmp_path / "a.tar", here)
    (here.cache / "one" / "model.onnx").touch()
    again = bundled([two, one, two], tmp_path / "b.tar", here)
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()
    assert again.content.size % tarfile.RECORDSIZE == 0


def test_evidence_that_is_not_near_is_left_out(
    tmp_path: Path, made: Made, here: FetchOptions, folder: Path
) -> None:
    (folder / "one" / "sets" / "r.tar.gz").unlink()
    written = bundled([made("one", evidence=True)], tmp_path / "b.tar", here)
    assert [file.name for _, file in written.files] == ["model.onnx"]


def test_nothing_is_written_when_a_file_cannot_be_had(tmp_path: Path, made: Made, here: FetchOptions) -> None:
    (tmp_path / "b.tar").write_bytes(b"earlier")
    with pytest.raises(FetchError, match="could not be had"):
        bundled([made("one"), made("absent")], tmp_path / "b.tar", here)
    assert (tmp_path / "b.tar").read_bytes() == b"earlier"


@pytest.mark.parametrize(
    "other", [MODEL[:-1], MODEL + b"x", b"X" + MODEL[1:]], ids=["short", "long", "flipped"]
)
def test_a_file_that_changes_while_it_is_written(
    tmp_path: Path, made: Made, here: FetchOptions, other: bytes
) -> None:
    (had,) = fetch(made("one"), here)
    told = bundle.Entry(recipe="one", name="model.onnx", bytes=had.bytes, sha256=had.sha256)
    had.path.write_bytes(other)
    with pytest.raises(FetchError) as caught:
        bundle.write_bundle(tmp_path / "b.tar", [(told, had.path)])
    assert f"expected {len(MODEL)} bytes, sha256 {sha256(MODEL)}, got {len(other)}" in caught.value.message
    assert not list(tmp_path.glob("*.tar"))
    assert not list(tmp_path.glob(".tmp*"))


def test_a_bundle_that_has_no_room(
    tmp_path: Path, made: Made, here: FetchOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch(made("one"), here)
    monkeypatch.setattr(bundle, "available", lambda _: 100)
    with pytest.raises(FetchError, match=r"does not fit on the disk: it needs \d{4} bytes"):
        bundled([made("one")], tmp_path / "b.tar", here)


def test_a_name_that_no_bundle_takes(tmp_path: Path, made: Made, here: FetchOptions, folder: Path) -> None:
    name = "m" * 120 + ".onnx"
    (folder / "one" / name).write_bytes(MODEL)
    with pytest.raises(FetchError, match="cannot be put into a bundle") as caught:
        bundled([made("one", name=name)], tmp_path / "b.tar", here)
    assert "100 bytes" in caught.value.hint


def test_what_was_carried_over_is_there(
    tmp_path: Path, made: Made, here: FetchOptions, there: FetchOptions
) -> None:
    recipes = [made("one", evidence=True, **pinned(MODEL)), made("two")]
    bundled(recipes, tmp_path / "b.tar", here)
    notes: list[str] = []
    taken = unbundled(tmp_path / "b.tar", recipes, there, notes.append)
    assert [(recipe.name, file.name) for recipe, file in taken] == [
        ("one", "model.onnx"), ("one", "sets/r.tar.gz"), ("two", "model.onnx"),
    ]  # fmt: skip
    assert {file.origin for _, file in taken} == {str(tmp_path / "b.tar")}
    assert not notes
    for recipe, content in zip(recipes, (MODEL, SECOND), strict=True):
        (file,) = fetch(recipe, there)
        assert (file.origin, file.path.read_bytes()) == ("cache", content)
    remembered = json.loads((there.cache / "two" / "lock.json").read_text("utf-8"))
    assert remembered == {"model.onnx": sha256(SECOND)}
    assert not list((there.cache / ".partial").iterdir())


def test_what_is_in_the_cache_is_not_read_again(
    tmp_path: Path, made: Made, here: FetchOptions, there: FetchOptions
) -> None:
    bundled([made("one")], tmp_path / "b.tar", here)
    for origin in (str(tmp_path / "b.tar"), "cache"):
        ((_, file),) = unbundled(tmp_path / "b.tar", [made("one")], there, lambda _: None)
        assert file.origin == origin


def test_a_damaged_file_in_the_cache_is_mended(
    tmp_path: Path, made: Made, here: FetchOptions, there: FetchOptions
) -> None:
    recipe = made("one", **pinned(MODEL))
    bundled([recipe], tmp_path / "b.tar", here)
    (there.cache / "one").mkdir(parents=True)
    (there.cache / "one" / "model.onnx").write_bytes(b"damaged")
    unbundled(tmp_path / "b.tar", [recipe], there, lambda _: None)
    assert (there.cache / "one" / "model.onnx").read_bytes() == MODEL
    assert (there.cache / "one" / "model.onnx.rejected").read_bytes() == b"damaged"


def test_without_names_all_known_recipes_are_taken(
    tmp_path: Path, made: Made, here: FetchOptions, there: FetchOptions
) -> None:
    bundled([made("one", evidence=True), made("two")], tmp_path / "b.tar", here)
    notes: list[str] = []
    taken = all_unbundled(
        tmp_path / "b.tar", [made("one", name="other.onnx"), made("three")], there, notes.append
    )
    assert not taken
    assert notes == [
        "passed over: two, a recipe that is not known here",
        "passed over: one/model.onnx, which the recipe does not name",
        "passed over: one/sets/r.tar.gz, which the recipe does not name",
        f"one/other.onnx is not in {tmp_path / 'b.tar'}",
    ]
    with pytest.raises(FetchError, match="has nothing for the recipes that are known here"):
        all_unbundled(tmp_path / "b.tar", [made("three")], there, notes.append)
    ((recipe, _),) = all_unbundled(tmp_path / "b.tar", [made("two")], there, notes.append)
    assert recipe.name == "two"


def test_what_the_bundle_lacks_is_fetched(
    tmp_path: Path, made: Made, here: FetchOptions, there: FetchOptions, folder: Path
) -> None:
    bundled([made("one")], tmp_path / "b.tar", here)
    notes: list[str] = []
    with pytest.raises(FetchError, match=r"model\.onnx of two could not be had"):
        unbundled(tmp_path / "b.tar", [made("one"), made("two")], there, notes.append)
    assert notes == [f"two/model.onnx is not in {tmp_path / 'b.tar'}: it is fetched"]
    assert fetch(made("one"), there)[0].origin == "cache"
    with_mirror = FetchOptions(there.cache, str(folder), offline=True)
    _, (_, file) = unbundled(tmp_path / "b.tar", [made("one"), made("two")], with_mirror, notes.append)
    assert file.origin == str(folder / "two" / "model.onnx")


def test_the_recipe_decides(tmp_path: Path, made: Made, here: FetchOptions, there: FetchOptions) -> None:
    bundled([made("one")], tmp_path / "b.tar", here)
    message = refused(tmp_path / "b.tar", made("one", sha256=sha256(SECOND)), there)
    assert f"model.onnx of one in {tmp_path / 'b.tar'} is not the file that the recipe names" in message
    assert f"expected sha256 {sha256(SECOND)}, got {sha256(MODEL)}" in message
    assert "expected 7 bytes, got 2304" in refused(tmp_path / "b.tar", made("one", size=7), there)
    message = refused(
        tmp_path / "b.tar", made("one", sha384="0" * 96), there
    )  # which the index does not have
    assert f"expected sha384 {'0' * 96}, got {pinned(MODEL)['sha384']}" in message


def test_an_unpinned_file_that_is_another_one_now(
    tmp_path: Path, made: Made, here: FetchOptions, there: FetchOptions, folder: Path
) -> None:
    bundled([made("one")], tmp_path / "a.tar", here)
    unbundled(tmp_path / "a.tar", [made("one")], there, lambda _: None)
    shutil.copy(folder / "two" / "model.onnx", folder / "one" / "model.onnx")
    bundled([made("one")], tmp_path / "b.tar", FetchOptions(tmp_path / "new", str(folder)))
    with pytest.raises(FetchError) as caught:
        unbundled(tmp_path / "b.tar", [made("one")], there, lambda _: None)
    assert "is not the file that was fetched first" in caught.value.message
    assert f"expected sha256 {sha256(MODEL)}, got {sha256(SECOND)}" in caught.value.message
    assert "lock.json" in caught.value.hint
    assert fetch(made("one"), there)[0].path.read_bytes() == MODEL


def test_locked_refuses_unpinned_files(tmp_path: Path, made: Made, here: FetchOptions) -> None:
    bundled([made("one")], tmp_path / "b.tar", here)
    with pytest.raises(FetchError, match="unpinned and --locked"):
        unbundled(
            tmp_path / "b.tar", [made("one")], FetchOptions(tmp_path / "there", locked=True), lambda _: None
        )


def test_a_member_that_is_not_what_the_index_says(tmp_path: Path, made: Made, there: FetchOptions) -> None:
    told = index(entry("one/model.onnx", MODEL))
    path = packed(tmp_path / "b.tar", [("bundle.json", told), ("one/model.onnx", b"X" + MODEL[1:])])
    message = refused(path, made("one"), there)
    assert f"is damaged: expected sha256 {sha256(MODEL)}" in message
    assert f"target: {there.cache / 'one' / 'model.onnx'}" in message


WHOLE = index(entry("one/model.onnx", MODEL))
DEEP = b'{"schema": 1, "files": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"


@pytest.mark.parametrize(
    ("members", "problem"),
    [
        ([], "its first member is ''"),
        ([("one/model.onnx", MODEL), ("bundle.json", WHOLE)], "its first member is 'one/model.onnx'"),
        ([("bundle.json", WHOLE[:-9])], "damaged index"),
        ([("bundle.json", b"\xff\xfe{}")], "damaged index"),
        ([("bundle.json", DEEP)], "damaged index"),
        ([("bundle.json", b"[]")], "an index of schema None"),
        ([("bundle.json", b'{"schema": 2, "files": {}}')], "an index of schema 2, this ssdconvert reads 1"),
        ([("bundle.json", b'{"schema": 1}')], "damaged index: files: Field required"),
        ([("bundle.json", index(entry("one/model.onnx", MODEL, bytes=-1)))], "damaged index: files.0.bytes"),
        ([("bundle.json", index(entry("one/../x", MODEL)))], "damaged index: files.0.name"),
        ([("bundle.json", index(entry("../x/model.onnx", MODEL)))], "damaged index: files.0.recipe"),
        ([("bundle.json", index(entry("one/model.onnx", MODEL, sha256="0")))], "damaged index: files.0.sha256"),
        ([("bundle.json", index(*[entry("one/model.onnx", MODEL)] * 2)), ("x", MODEL * 2)], "names a file twice"),
        ([("bundle.json", WHOLE + b" " * (1 << 20))], "expected 1048576 at most"),
        ([("bundle.json", WHOLE), ("pad", bytes(5000))], "does not name, or has it twice: 'pad'"),
        ([("bundle.json", WHOLE), ("one/model.onnx", MODEL[:-1]), ("x", MODEL)], "has 2303 bytes of one/model.onnx"),
        ([("bundle.json", WHOLE), ("../model.onnx", MODEL)], "leaves its folder"),
        ([("bundle.json", WHOLE), ("bundle.json", WHOLE), ("one/model.onnx", MODEL)], "twice: 'bundle.json'"),
        ([("bundle.json", WHOLE)], "ends too early: its index names 2304 bytes")
    ],
)  # fmt: skip
def test_a_bundle_that_is_wrong(
    tmp_path: Path, made: Made, there: FetchOptions, members: list[tuple[str, bytes]], problem: str
) -> None:
    path = packed(tmp_path / "b.tar", members)
    if members[-1:] == [("bundle.json", WHOLE)] and len(members) == 1:
        path.write_bytes(path.read_bytes()[:2048])
    assert problem in refused(path, made("one"), there)


def test_a_file_that_the_index_promises(tmp_path: Path, made: Made, there: FetchOptions) -> None:
    told = index(entry("one/model.onnx", MODEL), entry("one/a.onnx", b""))
    path = packed(tmp_path / "b.tar", [("bundle.json", told), ("one/model.onnx", MODEL)])
    with pytest.raises(FetchError, match=r"lacks what its index names: one/a\.onnx"):
        import_bundle(path, [(made("one"), made("one").source.files[0])], there)
    assert fetch(made("one"), there)[0].path.read_bytes() == MODEL  # it came whole before that was seen


def test_a_file_that_is_there_twice(tmp_path: Path, made: Made, there: FetchOptions) -> None:
    members = [("bundle.json", WHOLE), ("one/model.onnx", MODEL), ("one/model.onnx", b"X" * len(MODEL))]
    path = packed(tmp_path / "b.tar", members)
    with pytest.raises(FetchError, match="or has it twice"):
        import_bundle(path, [(made("one"), made("one").source.files[0])], there)
    assert fetch(made("one"), there)[0].path.read_bytes() == MODEL


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices(tmp_path: Path, made: Made, there: FetchOptions, kind: bytes) -> None:
    member = tarfile.TarInfo("one/model.onnx")
    member.type, member.linkname = kind, "/etc/passwd"
    path = packed(tmp_path / "b.tar", [("bundle.json", index())], (member,))
    assert "neither file nor folder" in refused(path, made("one"), there)


def test_huge_claims(tmp_path: Path, made: Made, there: FetchOptions) -> None:
    member = tarfile.TarInfo("one/model.onnx")
    member.size = 1 << 40
    header = member.tobuf(tarfile.GNU_FORMAT)
    told = index(entry("one/model.onnx", MODEL, bytes=1 << 40))
    path = packed(tmp_path / "b.tar", [("bundle.json", told)])
    path.write_bytes(path.read_bytes()[:1024] + header + MODEL)
    assert "ends too early: its index names 1099511627776 bytes" in refused(path, made("one"), there)
    path = packed(tmp_path / "b.tar", [("bundle.json", WHOLE)])
    path.write_bytes(path.read_bytes()[:1024] + header + MODEL)
    assert "too large" in refused(path, made("one"), there)


def test_what_is_no_bundle_at_all(tmp_path: Path, made: Made, there: FetchOptions) -> None:
    path = tmp_path / "b.tar"
    assert "cannot be read: No such file" in refused(path, made("one"), there)
    path.write_bytes(b"\x1f\x8b" + bytes(600))
    assert "is compressed (gzip)" in refused(path, made("one"), there)
    path.write_bytes(b"<html>" * 200)
    assert "no tar file" in refused(path, made("one"), there)
    with pytest.raises(FetchError, match="no tar file"):
        index_of(path)


def test_many_members(
    tmp_path: Path, made: Made, there: FetchOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unpacked_bundle, "MOST_MEMBERS", 5)
    folder = tarfile.TarInfo("one")
    folder.type = tarfile.DIRTYPE
    path = packed(tmp_path / "b.tar", [("bundle.json", index())], (folder,) * 5)
    assert "has more than 5 members" in refused(path, made("one"), there)


def test_a_bundle_that_tar_made(tmp_path: Path, made: Made, here: FetchOptions, there: FetchOptions) -> None:
    bundled([made("one")], tmp_path / "b.tar", here)
    with tarfile.open(tmp_path / "b.tar") as archive:
        archive.extractall(tmp_path / "u")
    with tarfile.open(tmp_path / "c.tar", "w", format=tarfile.GNU_FORMAT) as archive:
        for name in (".", "./bundle.json", "./one", "./one/model.onnx"):
            archive.add(tmp_path / "u" / name, name, recursive=False)
    unbundled(tmp_path / "c.tar", [made("one")], there, lambda _: None)
    assert fetch(made("one"), there)[0].path.read_bytes() == MODEL


@pytest.fixture(scope="module")
def small_bundle(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    told = index(entry("one/model.onnx", MODEL), entry("one/sets/r.tar.gz", RECORDED), entry("two/a", SECOND))
    members = [
        ("bundle.json", told), ("one/model.onnx", MODEL), ("one/sets/r.tar.gz", RECORDED), ("two/a", SECOND),
    ]  # fmt: skip
    return packed(tmp_path_factory.mktemp("whole") / "b.tar", members).read_bytes()


def damaged(whole: bytes, random: Random) -> bytes:
    """Bytes are replaced, cut out, put in, and the end is cut off."""
    data = bytearray(whole)
    for _ in range(random.randint(1, 4)):
        place, piece = random.randrange(len(data)), random.randbytes(random.randint(1, 12))
        kind = random.choice(["replace", "replace", "remove", "insert", "cut"])
        if kind == "replace":
            data[place : place + len(piece)] = piece
        elif kind == "remove":
            del data[place : place + len(piece)]
        elif kind == "insert":
            data[place:place] = piece
        else:
            del data[max(place, 1) :]
    return bytes(data)


def test_damage_anywhere_is_refused_or_harmless(tmp_path: Path, made: Made, small_bundle: bytes) -> None:
    path, cache = tmp_path / "b.tar", tmp_path / "cache"
    recipe = made("one", evidence=True)
    wanted = [(recipe, file) for file in (*recipe.source.files, recipe.source.evidence) if file]
    refusals = 0
    for seed in range(600):
        path.write_bytes(damaged(small_bundle, Random(seed)))
        shutil.rmtree(cache, ignore_errors=True)
        try:
            taken = import_bundle(path, wanted, FetchOptions(cache))
            assert len(taken) == 2, seed
        except FetchError:
            refusals += 1
        for name, content in (("model.onnx", MODEL), ("sets/r.tar.gz", RECORDED)):
            cached = cache / "one" / name
            assert not cached.exists() or cached.read_bytes() == content, seed
        outside = {one for one in tmp_path.rglob("*") if one.is_file() and not one.is_relative_to(cache)}
        assert outside == {path}, seed
    assert 300 < refusals < 600
