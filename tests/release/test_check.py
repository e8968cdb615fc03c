"""What `check` sees in a folder or an archive: each document is held against the others, and against the files."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ssdconvert.devices import Machine
from ssdconvert.errors import RecipeError
from ssdconvert.release import agreement, claims, ir_claims
from ssdconvert.release.check import Checked, check, run_here
from ssdconvert.release.checksums import parsed_sums, sums_text
from ssdconvert.workspace import digest_of


def told(checked: Checked) -> list[str]:
    return [f"{path}: {problem}" for path, problem in checked.problems]


def rehash(folder: Path) -> None:
    """Write SHA256SUMS anew, as somebody does who wants a change not to be seen."""
    sums = parsed_sums((folder / "SHA256SUMS").read_bytes())
    digests = {path: digest_of(folder / path) for path in sums if (folder / path).exists()}
    (folder / "SHA256SUMS").write_text(sums_text(digests), "utf-8")


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")


def test_a_build_that_is_as_it_was(tiny: Any) -> None:
    folder = tiny()
    checked = check(folder)
    assert told(checked) == []
    assert checked.warnings == ()
    assert (checked.recipe, checked.verdict, checked.verified_when_built) == ("tiny", "pass", True)
    assert checked.signature == "not asked"
    found = {file["path"]: file for file in checked.files}
    assert found["tiny.onnx"] == {
        "path": "tiny.onnx",
        "bytes": 200,
        "sha256": digest_of(folder / "tiny.onnx"),
        "status": "ok",
    }
    assert not [path for path in found if path.startswith(".ssdconvert")]


def test_a_build_of_another_version(tiny: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may know more keys of a recipe, and of rt_info, than this one; what every version writes still counts."""
    folder = tiny()
    told_before = ir_claims.description_of
    more = {"run_configuration": "NUM_STREAMS=9", "labels": "cat\ncow"}
    monkeypatch.setattr(agreement, "recipe_digest", lambda recipe: "another")
    monkeypatch.setattr(ir_claims, "description_of", lambda *how: told_before(*how) | more)
    assert {text.partition(":")[0] for text in told(check(folder))} == {
        "recipe.yaml", "FP32/tiny.xml", "FP16/tiny.xml",
    }  # fmt: skip
    monkeypatch.setattr(claims, "__version__", "99.0")
    problems = told(check(folder))
    assert len(problems) == 2
    assert all("rt_info: labels: expected" in problem for problem in problems)


def test_an_archive_that_is_as_it_was(archive: Path) -> None:
    document = check(archive).to_json()
    assert document["problems"] == document["warnings"] == []
    assert (document["verdict"], document["verified_when_built"], document["run"]) == ("pass", True, None)
    assert {"README.md", "LICENSE", "labels.txt"} <= {file["path"] for file in document["files"]}


@pytest.mark.parametrize(
    "name", ["tiny.onnx", "FP16/tiny.bin", "FP32/tiny.xml", "recipe.yaml", "acceptance.npz"]
)
def test_a_changed_and_a_missing_file(tiny: Any, name: str) -> None:
    folder = tiny()
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content + b"\n")
    checked = check(folder)
    assert checked.verdict == "fail"
    assert any(
        text.startswith(f"{name}: is not the file of SHA256SUMS: expected sha256") for text in told(checked)
    )
    assert {file["path"]: file["status"] for file in checked.files}[name] == "changed"
    (folder / name).unlink()
    checked = check(folder)
    assert any(text.startswith(f"{name}: is missing") for text in told(checked))
    assert {file["path"]: file["status"] for file in checked.files}[name] == "missing"


@pytest.mark.parametrize(
    ("name", "old", "new", "problem"),
    [
        ("tiny.onnx", "onnx", "onyx", "tiny.onnx: is not the file of manifest.json"),
        ("FP32/tiny.bin", "FP32", "FP23", "FP32/tiny.bin: is not the file of manifest.json"),
        (
            "manifest.json",
            '"verdict": "pass"',
            '"verdict": "fail"',
            "report.json: verdict: expected fail, got pass",
        ),
        (
            "manifest.json",
            '"name": "tiny"',
            '"name": "tinier"',
            "recipe.yaml: name: expected tinier, got tiny",
        ),
        ("manifest.json", '"sha256": "abab', '"sha256": "acab', "provenance.intoto.json: original tiny.pth"),
        ("manifest.json", '"torch": "', '"torch": "9', "bom.cdx.json: tools: expected ['pkg:pypi/torch@9"),
        ("manifest.json", '"schema": 1', '"schema": 2', "manifest.json: cannot be read: schema"),
        (
            "provenance.intoto.json",
            "abab",
            "acab",
            "provenance.intoto.json: original tiny.pth: expected abab",
        ),
        ("provenance.intoto.json", '"FP32/tiny.xml"', '"FP32/tiny.xmm"', "sha256 of FP32/tiny.xml"),
        ("provenance.intoto.json", '"verdict": "pass"', '"verdict": "fail"', "verdict: expected ['pass']"),
        (
            "bom.cdx.json",
            '"id": "MIT"',
            '"id": "ISC"',
            "bom.cdx.json: licence: expected ['MIT'], got ['ISC']",
        ),
        ("bom.cdx.json", "abab", "acab", "bom.cdx.json: original tiny.pth: expected ['abab"),
        (
            "bom.cdx.json",
            '"name": "tiny"',
            '"name": "tinier"',
            "bom.cdx.json: name: expected tiny, got tinier",
        ),
        ("recipe.yaml", "iou_threshold: 0.4", "iou_threshold: 0.5", "recipe.yaml: sha256 as resolved"),
        ("recipe.yaml", "schema: 1", "schema: 2", "recipe.yaml: cannot be read: recipe.yaml:1"),
        (
            "report.json",
            '"verdict": "pass"',
            '"verdict": "fail"',
            "report.json: verdict: expected pass, got fail",
        ),
        ("report.json", '"schema"', "schema", "report.json: cannot be read: it is no JSON"),
        (
            "FP16/tiny.xml",
            'recipe value="tiny"',
            'recipe value="big"',
            "rt_info: recipe: expected 'tiny', got 'big'",
        ),
        (
            "FP16/tiny.xml",
            "cat&#10;dog",
            "dog&#10;cat",
            "rt_info: labels: expected 'cat\\ndog', got 'dog\\ncat'",
        ),
        ("FP16/tiny.xml", '"FP16"', '"FP32"', "rt_info: precision: expected 'FP16', got 'FP32'"),
        ("FP16/tiny.xml", "120 110 100", "120 110 101", "rt_info: baked_mean: expected '120 110 100'"),
        ("FP16/tiny.xml", "input_color", "input_colour", "rt_info: input_color: expected 'bgr', got None"),
        ("FP16/tiny.xml", "abab", "acab", "rt_info: source_sha256: expected {'tiny.pth': 'abab"),
        ("FP16/tiny.xml", "</net>", "", "FP16/tiny.xml: is no whole .xml"),
        ("FP16/tiny.xml", "<net", '<!DOCTYPE a [<!ENTITY b "c">]><net', "FP16/tiny.xml: has a document type"),
        ("FP16/tiny.xml", "<net name", "<not name", "FP16/tiny.xml: "),
        *(
            ("FP16/tiny.xml", '"1.0"?>', f'"1.0" encoding="{name}"?>', "FP16/tiny.xml: is no whole .xml: ")
            for name in ("shift_jis", "hex", "undefined", "none-such")
        ),
        (
            "recipe.yaml",
            "schema: 1",
            "schema: 0x1" + "0" * 4000,
            "recipe.yaml: cannot be read: recipe.yaml: ",
        ),
        ("manifest.json", '"tail": "nms"', '"tail": "none"', "manifest.json: cannot be read: tail"),
        ("manifest.json", '"tail": "nms"', '"tail": "heads"', "json: tail: expected heads, got nms"),
        ("provenance.intoto.json", '"bake": "values"', '"bake": "image"', "bake: expected values, got image"),
        ("bom.cdx.json", '"value": "pass"', '"value": "fail"', "verdict: expected ['pass'], got ['fail']"),
    ],
)
def test_a_change_that_the_checksums_agree_with(
    tiny: Any, name: str, old: str, new: str, problem: str
) -> None:
    folder = tiny()
    edit(folder / name, old, new)
    rehash(folder)
    checked = check(folder)
    assert any(problem in text for text in told(checked)), told(checked)


def test_a_line_of_the_checksums_that_changed_is_what_is_blamed(tiny: Any) -> None:
    folder = tiny()
    digest = digest_of(folder / "tiny.onnx")
    edit(folder / "SHA256SUMS", digest, "0" * 64)
    (problem,) = told(check(folder))
    assert problem == f"SHA256SUMS: says sha256 {'0' * 64} of tiny.onnx, the file and manifest.json {digest}"


def test_a_file_too_many(tiny: Any, archive: Path, tmp_path: Path) -> None:
    folder = tiny("other")
    (folder / "FP32" / "more.xml").write_text("<net/>")
    checked = check(folder)
    assert (checked.verdict, checked.problems) == ("pass", ())
    assert [path for path, _ in checked.warnings] == ["FP32/more.xml"]
    assert {file["path"]: file["status"] for file in checked.files}["FP32/more.xml"] == "unexpected"


def test_checksums_that_list_other_files_than_the_manifest(tiny: Any) -> None:
    folder = tiny()
    (folder / "INT8").mkdir()
    (folder / "INT8" / "tiny.bin").write_bytes(b"more")
    sums = parsed_sums((folder / "SHA256SUMS").read_bytes())
    more = sums | {"INT8/tiny.bin": digest_of(folder / "INT8" / "tiny.bin")}
    (folder / "SHA256SUMS").write_text(sums_text(more), "utf-8")
    assert told(check(folder)) == ["INT8/tiny.bin: is not expected: manifest.json does not list it"]
    (folder / "INT8" / "tiny.bin").unlink()
    del sums["FP16/tiny.bin"]
    (folder / "SHA256SUMS").write_text(sums_text(sums), "utf-8")
    checked = check(folder)
    assert told(checked) == ["SHA256SUMS: does not list FP16/tiny.bin, manifest.json does"]
    assert checked.warnings == ()


def make_anew(folder: Path, report: dict[str, Any]) -> None:
    """Give a build another report, and make every document agree with it."""
    from ssdconvert.recipe import load_resolved_recipe
    from ssdconvert.release.documents import entry_of, write_documents

    content = json.dumps(report).encode()
    (folder / "report.json").write_bytes(content)
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    manifest["verdict"] = report["verdict"]
    entries = [entry for entry in manifest["artifacts"] if entry["path"] != "report.json"]
    manifest["artifacts"] = [*entries, entry_of("report.json", content)]
    write_documents(folder, manifest, load_resolved_recipe(folder / "recipe.yaml"), None)


def test_a_verdict_that_its_checks_do_not_add_up_to(tiny: Any) -> None:
    folder = tiny(verdict="fail")
    report = json.loads((folder / "report.json").read_text("utf-8"))
    make_anew(folder, report)
    assert told(check(folder)) == []
    make_anew(folder, report | {"verdict": "pass"})
    problems = told(check(folder))
    assert "report.json: verdict of its checks: expected pass, got fail" in problems


def test_an_ir_that_no_check_of_the_report_passed(tiny: Any) -> None:
    folder = tiny()
    report = json.loads((folder / "report.json").read_text("utf-8"))
    checks = [one for one in report["checks"] if one["precision"] == "FP32"]
    make_anew(folder, report | {"checks": checks})
    assert told(check(folder)) == ["report.json: IRs that passed: expected ['FP16', 'FP32'], got ['FP32']"]


def test_an_older_build_and_none_at_all(tiny: Any, tmp_path: Path) -> None:
    folder = tiny()
    (folder / "SHA256SUMS").unlink()
    assert "SHA256SUMS: there is none: the build is of an older version" in told(check(folder))[0]
    (tmp_path / "empty").mkdir()
    assert told(check(tmp_path / "empty")) == ["manifest.json: there is none: is this a build of ssdconvert?"]
    with pytest.raises(RecipeError, match="does not exist"):
        check(tmp_path / "nothing")


def test_links_are_not_followed(tiny: Any, tmp_path: Path) -> None:
    folder = tiny()
    (folder / "tiny.onnx").rename(tmp_path / "elsewhere.onnx")
    (folder / "tiny.onnx").symlink_to(tmp_path / "elsewhere.onnx")
    (folder / "more").symlink_to(tmp_path)
    os.mkfifo(folder / "pipe")
    problems = told(check(folder))
    for name in ("tiny.onnx", "more", "pipe"):
        assert f"{name}: is a link or a device, expected a plain file" in problems


def test_a_build_that_is_not_verified(tiny: Any) -> None:
    checked = check(tiny(verdict="fail"))
    assert told(checked) == []
    assert (checked.verified_when_built, checked.verdict) == (False, "fail")


def test_a_stand_in_says_so(tiny: Any) -> None:
    checked = check(tiny(stand_in=True))
    assert told(checked) == []
    assert checked.to_json()["stand_in"] is True


@pytest.mark.parametrize(
    "content", [b"[" * 100_000, b"1" * 10_000, b'{"schema": NaN}', b"\xff", b"null", b""]
)
def test_documents_that_are_meant_to_hurt(tiny: Any, content: bytes) -> None:
    folder = tiny()
    for name in ("manifest.json", "bom.cdx.json", "provenance.intoto.json", "report.json", "recipe.yaml"):
        (folder / name).write_bytes(content)
        assert check(folder).verdict == "fail"


@pytest.fixture
def accepting(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, bytes]]:
    """Stand in for the acceptance test; what was in the folders that it was given."""
    from types import ModuleType

    seen: list[dict[str, bytes]] = []

    def accept(folder: Path, machines: Any, required: Any = ()) -> Any:
        from ssdconvert.report.result import verification_from_json

        files = [path for path in folder.rglob("*") if path.is_file()]
        seen.append({path.relative_to(folder).as_posix(): path.read_bytes() for path in files})
        return verification_from_json(json.loads((folder / "report.json").read_bytes()))

    module = ModuleType("ssdconvert.acceptance")
    module.accept = accept  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "ssdconvert.acceptance", module)
    return seen


def test_an_archive_is_unpacked_to_be_run(
    archive: Path, accepting: list[dict[str, bytes]], tiny: Any
) -> None:
    checked = run_here(check(archive), [Machine()])
    assert checked.run is not None
    assert checked.to_json()["run"]["verdict"] == "pass"
    (files,) = accepting
    models = {f"{p}/tiny.{suffix}" for p in ("FP32", "FP16") for suffix in ("xml", "bin")}
    assert set(files) == models | {"manifest.json", "recipe.yaml", "report.json", "acceptance.npz"}
    assert files["FP16/tiny.bin"] == b"FP16" * 100


def test_an_archive_that_changes_before_it_is_run(archive: Path, accepting: list[dict[str, bytes]]) -> None:
    from ssdconvert.errors import FetchError

    checked = check(archive)
    content = archive.read_bytes()
    archive.write_bytes(content.replace(b"FP16" * 100, b"FP61" * 100))
    with pytest.raises(FetchError, match=r"changed while it was checked: tiny\.bin"):
        run_here(checked, [Machine()])
    assert accepting == []


def test_a_folder_is_run_where_it_is(tiny: Any, accepting: list[dict[str, bytes]]) -> None:
    assert run_here(check(tiny()), [Machine()]).verdict == "pass"
    assert "tiny.onnx" in accepting[0]


Keys = Callable[[str], tuple[Path, Path]]


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    """Make a private and a public key."""
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
        PublicFormat,
    )

    def make(name: str) -> tuple[Path, Path]:
        key = ec.generate_private_key(ec.SECP256R1())
        private, public = tmp_path / f"{name}.key", tmp_path / f"{name}.pub"
        private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
        return private, public

    return make


@pytest.fixture
def signed(tiny: Any, tiny_recipe: Any, keys: Keys, tmp_path: Path) -> tuple[Path, Path]:
    """A signed archive and the public key."""
    from ssdconvert.release.package import package

    private, public = keys("ours")
    packed = package(tiny_recipe(), tiny(), tmp_path / "signed.tar", private_key=private)
    assert packed.signed
    return packed.archive, public


def test_a_signature(signed: tuple[Path, Path], keys: Keys, archive: Path) -> None:
    path, public = signed
    checked = check(path, public)
    assert (checked.signature, told(checked)) == ("verified", [])
    assert check(path).signature == "not asked"
    assert check(path).verdict == "pass"
    other = check(path, keys("theirs")[1])
    assert (other.signature, other.verdict) == ("wrong", "fail")
    unsigned = check(archive, public)
    assert unsigned.signature == "absent"
    assert told(unsigned) == ["model.sig: is missing: nobody has signed this"]


def test_upstream_verifies_it(signed: tuple[Path, Path], tmp_path: Path) -> None:
    import subprocess
    import tarfile

    path, public = signed
    with tarfile.open(path) as tar:
        tar.extractall(tmp_path / "unpacked", filter="data")
    folder = tmp_path / "unpacked" / "tiny"
    command = [
        sys.executable,
        "-m",
        "model_signing",
        "verify",
        "key",
        "--signature",
        str(folder / "model.sig"),
    ]
    command += ["--public_key", str(public), str(folder)]
    assert subprocess.run(command, check=False, capture_output=True).returncode == 0
    assert check(folder, public).signature == "verified"
    (folder / "tiny.onnx").write_bytes(b"another")
    assert subprocess.run(command, check=False, capture_output=True).returncode != 0
    assert check(folder, public).signature == "wrong"


def test_whoever_makes_it_all_anew_has_not_the_key(
    tiny: Any, signed: tuple[Path, Path], tmp_path: Path
) -> None:
    """A build that is whole in itself, with the signature of another one beside it."""
    import tarfile

    path, public = signed
    with tarfile.open(path) as tar:
        tar.extractall(tmp_path / "unpacked", filter="data")
    folder = tmp_path / "unpacked" / "tiny"
    other = tiny("other", notes=["changed"])
    for name in ("manifest.json", "provenance.intoto.json", "bom.cdx.json", "recipe.yaml", "SHA256SUMS"):
        (other / name).replace(folder / name)
    assert check(folder, public).signature == "wrong"
    (folder / "model.sig").write_text("{}")
    assert check(folder, public).signature == "wrong"


def test_keys_that_are_none(signed: tuple[Path, Path], tiny: Any, tiny_recipe: Any, tmp_path: Path) -> None:
    from ssdconvert.release.package import package

    path, public = signed
    (tmp_path / "no.key").write_text("no key")
    for name in ("no.key", "absent.key"):
        with pytest.raises(RecipeError, match="is no public key"):
            check(path, tmp_path / name)
    for name in ("no.key", "absent.key", public.name):
        with pytest.raises(RecipeError, match="is no private key"):
            package(tiny_recipe(), tiny(), tmp_path / "x.tar", private_key=tmp_path / name)
    assert not (tmp_path / "x.tar").exists()


def test_without_the_library(archive: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from ssdconvert.errors import MissingDevice

    monkeypatch.setitem(sys.modules, "model_signing", None)
    monkeypatch.setitem(sys.modules, "model_signing.verifying", None)
    signed_one = archive.parent / "signed.tar"
    signed_one.write_bytes(archive.read_bytes())
    assert check(signed_one).verdict == "pass"
    from ssdconvert.release.signatures import why_not_signed

    with pytest.raises(MissingDevice) as caught:
        why_not_signed("tiny", {}, b"{}", tmp_path / "key")
    assert caught.value.hint == "pip install 'ssdconvert[check]'"
    assert caught.value.exit_code == 5
