"""What stands beside a build: valid by the official schemas, made of the manifest alone, and the same every time."""

import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ssdconvert.fetching.options import Fetched
from ssdconvert.recipe import load_recipe, load_resolved_recipe, recipe_digest
from ssdconvert.release.checksums import DamagedSums, parsed_sums, sums_text
from ssdconvert.release.documents import write_documents
from ssdconvert.release.provenance import purl
from ssdconvert.release.resolved_recipe import recipe_text, resolved
from ssdconvert.report.result import verification_from_json


def read(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


def test_the_bill_is_valid_cyclonedx(tiny: Any) -> None:
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    text = (tiny() / "bom.cdx.json").read_text("utf-8")
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    broken = text.replace("machine-learning-model", "model")
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(broken) is not None


def test_what_the_bill_tells(tiny: Any) -> None:
    folder = tiny()
    bill = read(folder / "bom.cdx.json")
    model = bill["metadata"]["component"]
    assert (model["type"], model["name"]) == ("machine-learning-model", "tiny")
    assert model["licenses"] == [{"license": {"id": "MIT"}}]
    assert {file["name"]: file["hashes"][0]["content"] for file in model["components"]} == {
        entry["path"]: entry["sha256"] for entry in read(folder / "manifest.json")["artifacts"]
    }
    (original,) = model["pedigree"]["ancestors"]
    assert original["components"][0]["hashes"] == [{"alg": "SHA-256", "content": "ab" * 32}]
    card = model["modelCard"]
    assert card["modelParameters"]["task"] == "object-detection"
    assert card["modelParameters"]["inputs"] == [{"format": "picture f32 [1, 3, 48, 64] NCHW, BGR, 0..255"}]
    metrics = [
        (metric["type"], metric["value"]) for metric in card["quantitativeAnalysis"]["performanceMetrics"]
    ]
    assert metrics == [("coco-map", "0.5"), *[("scores max error / scale", "2e-05")] * 2]
    assert card["considerations"] == {"technicalLimitations": ["Cats that look like dogs are dogs."]}
    torch = next(component for component in bill["components"] if component["name"] == "torch")
    assert torch["purl"].startswith("pkg:pypi/torch@")
    assert "+" not in torch["purl"]


def test_a_licence_without_an_identifier(tiny: Any) -> None:
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    text = (tiny(licence="the authors' own") / "bom.cdx.json").read_text("utf-8")
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    assert json.loads(text)["metadata"]["component"]["licenses"] == [
        {"license": {"name": "the authors' own"}}
    ]


def test_the_provenance_is_a_valid_statement(tiny: Any) -> None:
    from google.protobuf import json_format
    from in_toto_attestation.v1 import statement, statement_pb2

    folder = tiny()
    document = read(folder / "provenance.intoto.json")
    parsed = json_format.Parse(json.dumps(document), statement_pb2.Statement())
    statement.Statement.copy_from_pb(parsed).validate()
    del document["subject"][0]["digest"]
    parsed = json_format.Parse(json.dumps(document), statement_pb2.Statement())
    with pytest.raises(ValueError, match="digest"):
        statement.Statement.copy_from_pb(parsed).validate()


def test_the_predicate_is_valid_slsa(tiny: Any) -> None:
    from google.protobuf import json_format
    from in_toto_attestation.predicates.provenance.v1 import provenance_pb2

    predicate = read(tiny() / "provenance.intoto.json")["predicate"]
    parsed = json_format.Parse(json.dumps(predicate), provenance_pb2.Provenance())
    assert parsed.build_definition.build_type == "urn:ssdconvert:build:v1"
    predicate["buildDefinition"]["parameters"] = {}
    with pytest.raises(json_format.ParseError):
        json_format.Parse(json.dumps(predicate), provenance_pb2.Provenance())


def test_what_the_provenance_tells(tiny: Any) -> None:
    folder = tiny()
    document = read(folder / "provenance.intoto.json")
    subjects = {subject["name"]: subject["digest"]["sha256"] for subject in document["subject"]}
    assert (
        subjects.pop("manifest.json") == hashlib.sha256((folder / "manifest.json").read_bytes()).hexdigest()
    )
    assert subjects == {e["path"]: e["sha256"] for e in read(folder / "manifest.json")["artifacts"]}
    definition = document["predicate"]["buildDefinition"]
    assert definition["externalParameters"] == {
        "recipe": {key: read(folder / "manifest.json")["recipe"][key] for key in ("name", "sha256")},
        "stand_in": False,
        "precisions": ["FP32", "FP16"],
        "tail": "nms",
        "converter": "mo",
        "bake": "values",
        "devices": ["CPU"],
        "toolchains": [],
    }
    original = definition["resolvedDependencies"][0]
    assert original["uri"] == "https://example.com/tiny.pth"
    assert original["digest"] == {"sha256": "ab" * 32}
    (report,) = document["predicate"]["runDetails"]["byproducts"]
    assert report["annotations"] == {"verdict": "pass"}


def test_a_version_in_a_package_url() -> None:
    assert purl("opencv_python", "1.0+cpu") == "pkg:pypi/opencv-python@1.0%2Bcpu"


def test_the_documents_are_the_same_anywhere(tiny: Any, tmp_path: Path) -> None:
    names = ("manifest.json", "provenance.intoto.json", "bom.cdx.json", "SHA256SUMS", "recipe.yaml")
    one, two = tiny("one"), tiny("two")
    for name in names:
        assert (one / name).read_bytes() == (two / name).read_bytes()
        assert str(tmp_path).encode() not in (one / name).read_bytes()


def test_documents_that_are_there_are_not_written_again(tiny: Any) -> None:
    folder = tiny()
    before = {path: path.stat().st_ino for path in folder.iterdir()}
    recipe = load_recipe(folder / "recipe.yaml")
    verification = verification_from_json(read(folder / "report.json"))
    write_documents(folder, read(folder / "manifest.json"), recipe, verification)
    assert {path: path.stat().st_ino for path in folder.iterdir()} == before
    (folder / "bom.cdx.json").write_text("{}")
    write_documents(folder, read(folder / "manifest.json"), recipe, verification)
    assert read(folder / "bom.cdx.json")["specVersion"] == "1.6"


def test_a_kill_leaves_no_manifest_of_another_recipe(tiny: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from contextlib import contextmanager

    @contextmanager
    def killed(path: Path) -> Any:
        raise KeyboardInterrupt
        yield path

    folder = tiny()
    manifest, verification = (
        read(folder / "manifest.json"),
        verification_from_json(read(folder / "report.json")),
    )
    manifest["artifacts"][-1]["sha256"] = "0" * 64  # of another recipe.yaml
    recipe = load_recipe(folder / "recipe.yaml").model_copy(update={"notes": ("another",)})
    monkeypatch.setattr("ssdconvert.release.documents.written_atomically", killed)
    with pytest.raises(KeyboardInterrupt):
        write_documents(folder, manifest, recipe, verification)
    assert not (folder / "manifest.json").exists()
    assert not (folder / "SHA256SUMS").exists()


def test_the_checksums_are_those_of_sha256sum(tiny: Any) -> None:
    folder = tiny()
    assert (
        subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=folder, check=False).returncode
        == 0
    )
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    shipped = {path for path in files if not path.startswith(".ssdconvert/")}
    assert set(parsed_sums((folder / "SHA256SUMS").read_bytes())) == shipped - {"SHA256SUMS"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "is empty"),
        (f"{'ab' * 32}  a", "ends without a newline"),
        (f"{'ab' * 32} a\n", "line 1: expected a SHA-256"),
        (f"{'AB' * 32}  a\n", "line 1: expected a SHA-256"),
        (f"{'ab' * 32}  b\n{'ab' * 32}  a\n", "'a' is there twice, or not in the order"),
        (f"{'ab' * 32}  a\n{'ab' * 32}  a\n", "'a' is there twice"),
    ],
)
def test_damaged_checksums(text: str, told: str) -> None:
    with pytest.raises(DamagedSums, match=told):
        parsed_sums(text.encode())


def test_checksums_are_read_as_they_are_written() -> None:
    digests = {"b": "ab" * 32, "a/c": "cd" * 32}
    assert parsed_sums(sums_text(digests).encode()) == digests
    with pytest.raises(DamagedSums, match="no UTF-8"):
        parsed_sums(b"\xff")


def test_a_pinned_recipe_is_as_it_was(tiny_recipe: Any, tmp_path: Path) -> None:
    recipe = tiny_recipe(
        detections=tiny_recipe().detections.model_dump(mode="json") | {"labels": ["1e-3", "no", "~"]}
    )
    path = tmp_path / "tiny.yaml"
    path.write_text(recipe_text(resolved(recipe, [])), "utf-8")
    assert load_recipe(path) == recipe


def test_an_unpinned_recipe_is_pinned(tiny_recipe: Any, tmp_path: Path) -> None:
    source = tiny_recipe().source.model_dump(mode="json")
    source["files"] = [{"name": "tiny.pth", "urls": ["file:///home/me/tiny.pth", "https://example.com/a"]}]
    recipe = tiny_recipe(source=source)
    pinned = resolved(recipe, [Fetched("tiny.pth", tmp_path, "ef" * 32, 9, "cache", False)])
    (file,) = pinned.source.files
    assert (file.size, file.sha256, file.urls) == (9, "ef" * 32, ("https://example.com/a",))
    assert load_resolved_recipe(tmp_path, recipe_text(pinned).encode()) == pinned
    assert recipe_digest(pinned) != recipe_digest(recipe)


def test_the_recipe_of_a_stand_in_is_read_by_those_who_expect_one(tiny: Any) -> None:
    from ssdconvert.errors import RecipeError

    path = tiny(stand_in=True) / "recipe.yaml"
    assert load_resolved_recipe(path).name == "tiny-stand-in"
    with pytest.raises(RecipeError, match="does not end in -stand-in"):
        load_recipe(path)


def test_every_shipped_recipe_is_resolved_to_itself() -> None:
    from ssdconvert.catalog import Catalog

    for entry in Catalog().all_entries():
        text = recipe_text(resolved(entry.recipe, []))
        assert load_resolved_recipe(entry.path, text.encode()) == entry.recipe
