"""What goes into an archive, and which builds do not."""

import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from ssdconvert.errors import FetchError, RecipeError, SsdconvertError, WrongModel
from ssdconvert.release.check import check
from ssdconvert.release.licences import SPDX, licence_text
from ssdconvert.release.package import package


def members(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as tar:
        return {member.name.partition("/")[2]: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]


def test_everything_goes_in(tiny: Any, tiny_recipe: Any, tmp_path: Path) -> None:
    folder = tiny()
    packed = package(tiny_recipe(), folder, tmp_path / "release" / "tiny.tar")
    found = members(packed.archive)
    made = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    own = {path for path in made if not path.startswith(".ssdconvert/")}
    assert set(found) == own | {"README.md", "LICENSE", "labels.txt"}
    assert found["tiny.onnx"] == (folder / "tiny.onnx").read_bytes()
    assert found["labels.txt"] == b"cat\ndog\n"
    document = packed.to_json()
    assert {"archive", "sha256", "bytes", "files", "signed"} <= set(document)
    assert document["bytes"] == packed.archive.stat().st_size
    assert {file["path"]: file["bytes"] for file in document["files"]} == {
        name: len(content) for name, content in found.items()
    }
    assert document["signed"] is False


def test_the_same_build_gives_the_same_bytes(tiny: Any, tiny_recipe: Any, tmp_path: Path) -> None:
    one = package(tiny_recipe(), tiny("one"), tmp_path / "a" / "one.tar")
    two = package(tiny_recipe(), tiny("two"), tmp_path / "two.tar")
    assert one.archive.read_bytes() == two.archive.read_bytes()
    assert one.sha256 == two.sha256


def test_one_precision_alone(tiny: Any, tiny_recipe: Any, tmp_path: Path) -> None:
    packed = package(tiny_recipe(), tiny(), tmp_path / "tiny.tar", ["FP16"])
    found = members(packed.archive)
    assert "FP16/tiny.xml" in found
    assert not [name for name in found if name.startswith("FP32")]
    for name in ("manifest.json", "provenance.intoto.json", "bom.cdx.json", "SHA256SUMS"):
        assert b"FP32/tiny" not in found[name], name
    assert b"FP32 IR" not in found["bom.cdx.json"]
    assert json.loads(found["provenance.intoto.json"])["predicate"]["buildDefinition"]["externalParameters"][
        "precisions"
    ] == ["FP16"]
    assert check(packed.archive).problems == ()
    with pytest.raises(RecipeError, match="INT8 is not built, there is FP32, FP16"):
        package(tiny_recipe(), tiny(), tmp_path / "x.tar", ["FP16", "INT8"])


def refused(error: type[SsdconvertError], told: str, recipe: Any, folder: Path, **options: Any) -> None:
    target = folder.parent / "refused" / "x.tar"
    with pytest.raises(error, match=told):
        package(recipe, folder, target, **options)
    assert not target.parent.exists()


def test_builds_that_are_not_packed(tiny: Any, tiny_recipe: Any, tmp_path: Path) -> None:
    recipe = tiny_recipe()
    refused(RecipeError, "there is no build", recipe, tmp_path / "nothing")
    refused(WrongModel, "is fail, expected pass", recipe, tiny("failed", verdict="fail"))
    refused(WrongModel, "is inconclusive", recipe, tiny("unclear", verdict="inconclusive"))
    refused(WrongModel, "is a stand-in", recipe, tiny("made", stand_in=True))
    refused(RecipeError, "an earlier form of the recipe", recipe, tiny("older", title="another"))
    refused(RecipeError, "a build of another recipe", recipe, tiny("other", name="other"))
    unverified = tiny("unverified")
    (unverified / "manifest.json").unlink()
    refused(WrongModel, "is not verified", recipe, unverified)
    changed = tiny("changed")
    (changed / "FP16" / "tiny.bin").write_bytes(b"FP61" * 100)
    refused(FetchError, r"FP16/tiny\.bin is not the file of SHA256SUMS", recipe, changed)
    missing = tiny("missing")
    (missing / "tiny.onnx").unlink()
    refused(FetchError, r"tiny\.onnx is missing", recipe, missing)


def test_an_unpinned_original(tiny: Any, tiny_recipe: Any, tmp_path: Path) -> None:
    source = tiny_recipe().source.model_dump(mode="json")
    source["files"][0] |= {"sha256": None, "size": None}
    recipe, folder = tiny_recipe(source=source), tiny("unpinned", pinned=False, source=source)
    refused(FetchError, r"no digest: tiny\.pth \(sha256 abab", recipe, folder)
    packed = package(recipe, folder, tmp_path / "tiny.tar", allow_unpinned=True)
    assert check(packed.archive).problems == ()
    assert b"sha256: ababab" in members(packed.archive)["recipe.yaml"]


def test_an_original_that_a_manifest_calls_pinned_and_the_recipe_does_not(
    tiny: Any, tiny_recipe: Any, tmp_path: Path
) -> None:
    source = tiny_recipe().source.model_dump(mode="json")
    source["files"][0] |= {"sha256": None, "size": None}
    refused(FetchError, "no digest", tiny_recipe(source=source), tiny("x", pinned=True, source=source))


@pytest.mark.parametrize("gone", [False, True])
def test_a_build_that_is_made_anew_while_it_is_packed(
    tiny: Any, tiny_recipe: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gone: bool
) -> None:
    """What was found to be verified is packed, or nothing."""
    from ssdconvert.release import package as module

    recipe, folder, later = tiny_recipe(), tiny(), tiny("later", verdict="fail")
    agreed = module.agreement

    def agreement(contents: Any) -> Any:
        found = agreed(contents)
        folder.rename(tmp_path / "before")
        later.rename(folder)
        if gone:
            (folder / "FP16" / "tiny.bin").unlink()
        return found

    monkeypatch.setattr(module, "agreement", agreement)
    with pytest.raises(FetchError, match="is not there any more" if gone else r"report\.json is no longer"):
        package(recipe, folder, tmp_path / "out" / "x.tar")
    assert not list((tmp_path / "out").iterdir())


def test_an_archive_that_was_unpacked_is_packed_again(tiny: Any, tiny_recipe: Any, tmp_path: Path) -> None:
    first = package(tiny_recipe(), tiny(), tmp_path / "first.tar").archive
    with tarfile.open(first) as tar:
        tar.extractall(tmp_path / "unpacked", filter="data")
    again = package(tiny_recipe(), tmp_path / "unpacked" / "tiny", tmp_path / "again.tar").archive
    assert check(again).problems == ()
    assert again.read_bytes() == first.read_bytes()


def test_a_place_that_cannot_be_written(tiny: Any, tiny_recipe: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RecipeError, match="cannot be written"):
        package(tiny_recipe(), tiny(), tmp_path / "file" / "tiny.tar")


def test_the_model_card(tiny: Any, tiny_recipe: Any, tmp_path: Path) -> None:
    text = members(package(tiny_recipe(), tiny(), tmp_path / "tiny.tar").archive)["README.md"].decode()
    sections = [line for line in text.splitlines() if line.startswith("#")]
    assert sections == [
        "# tiny",
        "## Use case and high-level description",
        "## Specification",
        "## Accuracy of the original",
        *("## Input", "### Original model", "### Converted model"),
        *("## Output", "### Original model", "### Converted model"),
        "## Verification",
        "## Files",
        "## Legal information",
    ]
    assert "It detects cat, dog in pictures." in text
    assert "* mean: 120 110 100 (RGB)" in text
    assert "* mean: inside" in text
    assert "* outputs: bboxes f32 [1, 50, 4]" in text
    assert "| coco-map | 0.5 | its authors | a paper |" in text
    assert "Verdict: **pass**" in text
    assert "* `FP32/tiny.xml`" in text


@pytest.mark.parametrize("licence", SPDX)
def test_the_text_of_a_licence(licence: str, tiny_recipe: Any) -> None:
    text = licence_text(tiny_recipe(licence=licence))
    assert f"is {licence}.\n" in text
    assert "https://example.com/tiny" in text
    assert '"AS IS"' in text
    assert len(text) > 1000


def test_a_licence_without_a_text_here(tiny: Any, tiny_recipe: Any, tmp_path: Path) -> None:
    changes = {"licence": "CC-BY-4.0"}
    packed = package(tiny_recipe(**changes), tiny(**changes), tmp_path / "tiny.tar")
    assert packed.warnings == (
        "the text of the licence CC-BY-4.0 is not part of ssdconvert: LICENSE says where it is",
    )
    assert b"It is with the model: https://example.com/tiny" in members(packed.archive)["LICENSE"]


def test_every_shipped_recipe_has_its_text() -> None:
    from ssdconvert.catalog import Catalog

    assert {entry.recipe.licence for entry in Catalog().all_entries()} <= set(SPDX)
