"""`package` and `check` on a real build, as release pipelines and deployers call them."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

HEAVY = ("torch", "onnx", "onnxruntime", "onnxsim", "openvino", "cv2", "PIL", "model_signing", "jinja2")


@pytest.fixture
def packed(run: Callable[..., Any], demo: Path, tmp_path: Path) -> Path:
    """The archive of the demo."""
    ended = run("package", "ssd-demo", "-q")
    assert (ended.code, ended.out) == (0, "")
    return tmp_path / "release" / "ssd-demo.tar"


def test_a_build_and_its_archive_are_accepted(run: Callable[..., Any], demo: Path) -> None:
    ended = run("package", "ssd-demo", "--json")
    assert ended.code == 0
    document = ended.document
    assert {"archive", "sha256", "bytes", "files", "signed"} <= set(document)
    assert document["archive"] == "release/ssd-demo.tar"
    for path in (demo, document["archive"]):
        ended = run("check", path, "--json")
        assert ended.code == 0, ended.out
        assert {
            "path",
            "recipe",
            "verdict",
            "verified_when_built",
            "files",
            "problems",
            "signature",
            "run",
        } <= set(ended.document)
        assert (ended.document["verdict"], ended.document["problems"]) == ("pass", [])
    assert run("check", demo).out.startswith("ssd-demo: pass\n")


def test_an_archive_twice_is_the_same(run: Callable[..., Any], packed: Path) -> None:
    first = packed.read_bytes()
    assert run("package", "ssd-demo", "--output", "again.tar").code == 0
    assert (packed.parents[1] / "again.tar").read_bytes() == first
    assert run("package", "ssd-demo", "--output", "there", "--precision", "fp16").code == 0
    assert (packed.parents[1] / "there" / "ssd-demo.tar").stat().st_size < len(first)


KINDS = (
    "FP16/ssd-demo.bin", "FP32/ssd-demo.xml", "ssd-demo.onnx", "README.md", "LICENSE", "labels.txt", "SHA256SUMS",
    "manifest.json", "provenance.intoto.json", "bom.cdx.json", "recipe.yaml", "report.html", "reference.png",
)  # fmt: skip


def test_one_changed_byte_in_each_kind_of_file(run: Callable[..., Any], packed: Path) -> None:
    import tarfile

    content = packed.read_bytes()
    with tarfile.open(packed) as tar:
        places = {member.name.partition("/")[2]: member.offset_data + member.size // 2 for member in tar}
    for name in KINDS:
        changed = bytearray(content)
        changed[places[name]] ^= 1
        packed.write_bytes(changed)
        ended = run("check", packed, "--json")
        assert ended.code == 3
        assert ended.document["verdict"] == "fail"
        assert any(
            name in (problem["path"], *problem["problem"].split()) for problem in ended.document["problems"]
        )
        ended = run("check", packed)
        assert ended.code == 3
        assert "error[check]: " in ended.err
        assert "hint: do not deploy it" in ended.err


def test_base_dependencies_are_enough_and_no_network(packed: Path, demo: Path) -> None:
    code = (
        f"import sys\nfor name in {HEAVY!r}: sys.modules[name] = None\n"
        "import socket\nsocket.socket.connect = socket.getaddrinfo = None\n"
        "from ssdconvert.cli import main\nmain(sys.argv[1:])"
    )
    for path in (packed, demo):
        command = [sys.executable, "-c", code, "check", str(path), "--json"]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stderr
        assert json.loads(ended.stdout)["verdict"] == "pass"


def test_a_signed_archive(run: Callable[..., Any], packed: Path, tmp_path: Path) -> None:
    for command in (
        "openssl ecparam -name prime256v1 -genkey -noout -out release.key",
        "openssl ec -in release.key -pubout -out release.pub",
    ):
        subprocess.run(command.split(), cwd=tmp_path, check=True, capture_output=True)
    ended = run("check", packed, "--key", "release.pub", "--json")
    assert (ended.code, ended.document["signature"]) == (3, "absent")
    assert run("package", "ssd-demo", "--key", "release.key").code == 0
    ended = run("check", packed, "--key", "release.pub", "--json")
    assert (ended.code, ended.document["signature"]) == (0, "verified")
    assert run("check", packed, "--key", "release.key").code == 2


def test_what_is_not_packed(run: Callable[..., Any], demo: Path) -> None:
    def refused(code: int, told: str, *arguments: str) -> None:
        ended = run("package", "ssd-demo", *arguments, "--json")
        assert (ended.code, ended.document["error"]["exit_code"]) == (code, code)
        assert told in ended.document["error"]["message"]

    refused(2, "INT8 is not built", "--precision", "INT8")
    refused(2, "there is no build of ssd-demo in elsewhere", "--build", "elsewhere")
    (demo / "FP32" / "ssd-demo.bin").write_bytes(b"other")
    refused(3, "FP32/ssd-demo.bin is not the file of SHA256SUMS")
    (demo / "manifest.json").unlink()
    refused(1, "is not verified")
    assert run("package", "ssd-demo", "ultraface-rfb-320", "--output", "a.tar").code == 2
    assert run("package", "ssd-demo", "ultraface-rfb-320", "--build", "build").code == 2
    assert run("package", "nothing").code == 2
    assert not Path("release").exists()


def test_what_cannot_be_checked(run: Callable[..., Any], tmp_path: Path) -> None:
    assert run("check", "nothing").code == 2
    assert run("check", os.devnull).code == 2
    assert run("check", tmp_path).code == 3
    (tmp_path / "a.tar").write_bytes(b"x" * 3000)
    ended = run("check", "a.tar", "--json")
    assert (ended.code, ended.document["problems"][0]) == (3, {"path": "a.tar", "problem": "is no tar file"})
    assert run("check", "a.tar", "--device", "CPU").code == 2


def test_a_verdict_that_was_not_pass(run: Callable[..., Any], demo: Path, tmp_path: Path) -> None:
    """Documents that agree with each other, about a model that is wrong."""
    from ssdconvert.recipe import load_recipe
    from ssdconvert.release.documents import entry_of, write_documents

    report, manifest = (
        json.loads((demo / name).read_text("utf-8")) for name in ("report.json", "manifest.json")
    )
    report["checks"][-1]["status"] = "fail"
    (demo / "report.json").write_text(json.dumps(report | {"verdict": "fail"}), "utf-8")
    entry = entry_of("report.json", (demo / "report.json").read_bytes())
    artefacts = [entry if one["path"] == "report.json" else one for one in manifest["artifacts"]]
    changed = manifest | {"artifacts": artefacts, "verdict": "fail"}
    write_documents(demo, changed, load_recipe(demo / "recipe.yaml"), None)
    ended = run("check", demo, "--json")
    assert ended.code == 1
    assert (ended.document["problems"], ended.document["verified_when_built"]) == ([], False)
    assert run("check", demo).code == 1
    assert run("package", "ssd-demo").code == 1
