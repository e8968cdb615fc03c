"""`fetch --print`, `--bundle`, `--from-bundle`: how files come to machines without a network."""

import hashlib
import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

MODEL, RECORDED = b"model" * 400, b"recorded" * 50
SHA256, SHA384 = hashlib.sha256(MODEL).hexdigest(), hashlib.sha384(MODEL).hexdigest()
URL = "https://user:word@models.example.com/model.onnx?token=secret"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A mirror with the files of `one`, and a folder of recipes beside it."""
    mirror = tmp_path / "mirror"
    for name, content in (("model.onnx", MODEL), ("r.tar.gz", RECORDED)):
        (mirror / "one").mkdir(parents=True, exist_ok=True)
        (mirror / "one" / name).write_bytes(content)
    return mirror


@pytest.fixture
def recipe(documents: Any, recipe_file: Callable[..., Path]) -> Callable[..., Path]:
    """Write the recipe `one` with a file model.onnx and an evidence file."""

    def write(name: str = "one", **file: Any) -> Path:
        evidence = {"name": "r.tar.gz", "urls": [], "sha256": hashlib.sha256(RECORDED).hexdigest()}
        source = {
            "kind": "onnx",
            "files": [{"name": "model.onnx", "urls": ["https://models.example.com/m.onnx"]} | file],
            "recorded": {"file": evidence},
        }
        return recipe_file(documents["onnx"], {"name": name, "source": source})

    return write


@pytest.fixture
def no_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.mark.usefixtures("no_sockets")
def test_print(run: Any, recipe: Any, tmp_path: Path) -> None:
    ended = run("fetch", "--print", recipe(sha384=SHA384))
    assert ended.code == 0
    assert ended.out == (
        f"https://models.example.com/m.onnx\tsha384:{SHA384}\t-\tone/model.onnx\n"
        f"-\tsha256:{hashlib.sha256(RECORDED).hexdigest()}\t-\tone/r.tar.gz\n"
    )
    assert "one/r.tar.gz is optional" in ended.err
    ended = run("fetch", "--print", recipe(sha256=SHA256, sha384=SHA384, size=2000), "ssd-demo")
    assert ended.out.splitlines()[0].split("\t")[1:] == [f"sha256:{SHA256}", "2000", "one/model.onnx"]
    assert run("fetch", "--print", recipe()).out.splitlines()[0].split("\t")[1] == "-"
    assert not (tmp_path / "cache").exists()


@pytest.mark.usefixtures("no_sockets")
def test_print_as_json(run: Any, recipe: Any, folder: Path, tmp_path: Path) -> None:
    model, recorded = run("fetch", "--print", recipe(sha256=SHA256), "--json").document
    path = str(Path(model["path"]))
    assert model == {
        "recipe": "one",
        "name": "model.onnx",
        "urls": ["https://models.example.com/m.onnx"],
        "sha256": SHA256,
        "sha384": None,
        "bytes": None,
        "target": "one/model.onnx",
        "path": path,
        "cached": False,
        "optional": False,
        "command": f"curl --fail --location --create-dirs --output {path} https://models.example.com/m.onnx",
    }
    assert path.endswith("/cache/one/model.onnx")
    assert (recorded["urls"], recorded["command"], recorded["optional"]) == ([], None, True)
    run("fetch", tmp_path / "one.yaml", "--mirror", folder)
    model, recorded = run("fetch", "--print", tmp_path / "one.yaml", "--json").document
    assert (model["cached"], recorded["cached"]) == (True, False)


@pytest.mark.usefixtures("no_sockets")
def test_print_names_the_mirror_first(run: Any, recipe: Any, folder: Path) -> None:
    (folder / "one" / "r.tar.gz").unlink()
    model, recorded = run("fetch", "--print", recipe(), "--json", "--mirror", folder).document
    assert model["urls"] == [(folder / "one" / "model.onnx").as_uri(), "https://models.example.com/m.onnx"]
    assert recorded["urls"] == []
    secret = "https://me:word@mirror.example.com/a?sig=abc"
    ended = run("fetch", "--print", "one.yaml", "--mirror", secret)
    assert ended.out.startswith("https://***@mirror.example.com/a/one/model.onnx?sig=***\t")
    assert "word" not in ended.out + ended.err


def test_one_of_a_kind(run: Any, recipe: Any) -> None:
    recipe()
    for options in (
        ("--print", "--bundle", "b.tar"),
        ("--print", "--from-bundle", "b.tar"),
        ("--bundle", "b.tar", "--from-bundle", "b.tar"),
    ):
        ended = run("fetch", "one.yaml", *options)
        assert ended.code == 2
        assert "do not go together" in ended.err
    for options in ((), ("--print",), ("--bundle", "b.tar")):
        ended = run("fetch", *options)
        assert ended.code == 2
        assert "Missing argument 'NAME...'" in ended.err


@pytest.mark.usefixtures("no_sockets")
def test_there_and_back(run: Any, recipe: Any, folder: Path, tmp_path: Path) -> None:
    recipe(sha256=SHA256)
    ended = run("fetch", "one.yaml", "--mirror", folder, "--bundle", "b.tar")
    assert ended.code == 0
    digest = hashlib.sha256((tmp_path / "b.tar").read_bytes()).hexdigest()
    assert ended.out.splitlines()[-1] == f"b.tar  10240 bytes  sha256 {digest}  (bundle of 2 files)"
    document = run("fetch", "one.yaml", "--mirror", folder, "--bundle", "b.tar", "--json").document
    assert document["bundle"] == {"path": "b.tar", "sha256": digest, "bytes": 10240}
    assert [file["name"] for file in document["files"]] == ["model.onnx", "r.tar.gz"]

    ended = run("fetch", "one.yaml", "--from-bundle", "b.tar", "--cache", "there", "--offline", "--json")
    assert [(file["name"], file["origin"]) for file in ended.document] == [
        ("model.onnx", "b.tar"), ("r.tar.gz", "b.tar"),
    ]  # fmt: skip
    (file,) = run("fetch", "one.yaml", "--cache", "there", "--offline", "--json").document
    assert (file["origin"], Path(file["path"]).read_bytes()) == ("cache", MODEL)


def test_without_names_the_catalogue_decides(run: Any, recipe: Any, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "recipes").mkdir()
    recipe().rename(tmp_path / "recipes" / "one.yaml")
    assert (
        run("fetch", "one", "ssd-demo", "--recipes", "recipes", "--mirror", folder, "--bundle", "b.tar").code
        == 0
    )
    ended = run("fetch", "--from-bundle", "b.tar", "--cache", "there")
    assert ended.code == 0
    assert "passed over: one, a recipe that is not known here" in ended.err
    assert ended.out.count("\n") == 1
    assert "ssd-demo.pytorch" in ended.out
    ended = run("fetch", "--from-bundle", "b.tar", "--cache", "there", "--recipes", "recipes", "--json")
    assert {file["recipe"] for file in ended.document} == {"one", "ssd-demo"}
    assert run("fetch", "ssd-demo", "--cache", "there", "--offline").code == 0


def test_a_bundle_that_is_none(run: Any, recipe: Any, tmp_path: Path) -> None:
    recipe()
    (tmp_path / "b.tar").write_bytes(b"<html>" * 200)
    ended = run("fetch", "one.yaml", "--from-bundle", "b.tar", "--offline")
    assert ended.code == 3
    assert ended.err.startswith("error[fetch]: b.tar is no tar file")
    assert "ssdconvert fetch NAME --bundle FILE.tar" in ended.err
    assert "Traceback" not in ended.err
    document = run("fetch", "--from-bundle", "absent.tar", "--json").document
    assert document["error"]["exit_code"] == 3
    assert "absent.tar cannot be read: No such file or directory" in document["error"]["message"]


def test_what_the_bundle_lacks(run: Any, recipe: Any, folder: Path, tmp_path: Path) -> None:
    recipe()
    run("fetch", "ssd-demo", "--bundle", "b.tar")
    ended = run("fetch", "one.yaml", "--from-bundle", "b.tar", "--offline")
    assert ended.code == 3
    assert "one/model.onnx is not in b.tar: it is fetched" in ended.err
    assert "not tried, because of --offline" in ended.err
    assert run("fetch", "one.yaml", "--from-bundle", "b.tar", "--offline", "--mirror", folder).code == 0


def test_a_build_from_a_bundle(run: Any, mirror: Path, tmp_path: Path) -> None:
    assert run("fetch", "ultraface-slim-320-onnx", "--mirror", mirror, "--bundle", "b.tar").code == 0
    assert run("fetch", "--from-bundle", "b.tar", "--cache", "there").code == 0
    ended = run("export", "ultraface-slim-320-onnx", "--cache", "there", "--offline", "--json")
    assert ended.code == 0
    assert json.loads(ended.out)["stages"][0]["status"] == "cached"


def test_a_mirror_that_nobody_understands(run: Any, recipe: Any) -> None:
    ended = run("fetch", recipe(), "--mirror", "ftp://friend:secret@host/models")
    assert ended.code == 2
    assert "expected a folder, or an http, https or file URL, got ftp://***@host/models" in ended.err


def test_home_is_meant_by_a_tilde(run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No shell writes it out in an environment file or after --cache=."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    assert run("fetch", "ssd-demo", "--offline", "--cache=~/cache").code == 0
    assert (tmp_path / "home" / "cache" / "ssd-demo").is_dir()
    assert not (tmp_path / "~").exists()
