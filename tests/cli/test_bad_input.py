"""Nonsense of every kind: the exit code, the message, and never a traceback."""

import io
import os
import pickle
import shutil
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from ssdconvert.catalog import shipped_recipes_folder
from ssdconvert.resources import package_file

CHECKPOINT = package_file("package:demo/ssd-demo.pytorch")
PICTURE = package_file("package:images/shapes-2.jpg")


def failed(ended: Any, code: int, *words: str) -> None:
    assert ended.code == code, ended.err
    assert ended.err.count("error[") == 1, ended.err
    assert "hint: " in ended.err
    assert "Traceback" not in ended.err
    for word in words:
        assert word in ended.err, ended.err


@pytest.fixture
def recipe(tmp_path: Path) -> Callable[..., Path]:
    """Write ssd-demo's recipe with another file, unpinned, which lies in the folder `mirror`."""

    def write(content: bytes, *replacements: tuple[str, str]) -> Path:
        text = (shipped_recipes_folder() / "ssd-demo.yaml").read_text("utf-8")
        start, end = text.index("    - {name: ssd-demo.pytorch"), text.index("\ninput:")
        text = f"{text[:start]}    - {{name: model.pytorch, urls: []}}{text[end:]}"
        for old, new in replacements:
            assert old in text
            text = text.replace(old, new)
        path = tmp_path / "ssd-demo.yaml"
        path.write_text(text, "utf-8")
        folder = tmp_path / "mirror" / "ssd-demo"
        folder.mkdir(parents=True)
        (folder / "model.pytorch").write_bytes(content)
        return path

    return write


def test_an_unknown_recipe_suggests_near_names(run: Callable[..., Any]) -> None:
    failed(
        run("build", "ultraface-rbf-320"),
        2,
        "unknown recipe 'ultraface-rbf-320'",
        "did you mean 'ultraface-rfb-320'",
    )


def test_bad_yaml_names_file_and_line(run: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("schema: 1\nname: [bad\n", "utf-8")
    failed(run("build", tmp_path / "bad.yaml"), 2, "error[recipe]", "bad.yaml:3")


def test_a_wrong_key_names_its_path(run: Callable[..., Any], recipe: Callable[..., Path]) -> None:
    path = recipe(b"", ("iou_threshold:", "iou_treshold:"))
    failed(run("build", path), 2, "detections.iou_treshold", "did you mean 'iou_threshold'?")


def test_a_file_that_is_not_in_the_mirror(run: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "mirror").mkdir()
    ended = run("build", "ultraface-rfb-320", "--mirror", tmp_path / "mirror", "--offline")
    failed(ended, 3, "error[fetch]", "mirror/ultraface-rfb-320/version-RFB-320.pth", "no such file")


def test_a_wrong_digest_is_never_cached(run: Callable[..., Any], tmp_path: Path) -> None:
    folder = tmp_path / "mirror" / "ultraface-rfb-320"
    folder.mkdir(parents=True)
    (folder / "version-RFB-320.pth").write_bytes(b"x" * 1168374)
    ended = run("build", "ultraface-rfb-320", "--mirror", tmp_path / "mirror", "--offline")
    failed(ended, 3, "expected sha256 c722b4427cc71642", "got ", f"{folder / 'version-RFB-320.pth'}: is not")
    cache = Path(os.environ["SSDCONVERT_CACHE"]) / "ultraface-rfb-320"
    assert not cache.exists()


@pytest.mark.parametrize("length", [1, 40, 3000, 600_000])
def test_a_truncated_checkpoint(run: Callable[..., Any], recipe: Callable[..., Path], length: int) -> None:
    path = recipe(CHECKPOINT.read_bytes()[:length])
    failed(run("build", path, "--mirror", "mirror"), 4, "error[load]", "model.pytorch")


class Attack:
    """Runs a shell command when it is unpickled."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> Any:
        return os.system, (self.command,)


def attack_alone(command: str) -> Any:
    return Attack(command)


def attack_nested(command: str) -> Any:
    """Hides in the state of a tensor dictionary, beside true weights."""
    state = OrderedDict(weight=torch.zeros(2), bias=OrderedDict(deep=[1, {"er": (Attack(command),)}]))
    return {"model": state, "epoch": 3}


@pytest.mark.parametrize("make", [attack_alone, attack_nested])
@pytest.mark.parametrize("container", ["legacy", "zip", "pickle"])
def test_a_malicious_pickle_is_refused_by_name_and_not_run(
    run: Callable[..., Any],
    recipe: Callable[..., Path],
    tmp_path: Path,
    make: Callable[[str], Any],
    container: str,
) -> None:
    marker = tmp_path / "marker"
    content = io.BytesIO()
    if container == "pickle":
        pickle.dump(make(f"touch {marker}"), content, protocol=2)
    else:
        torch.save(make(f"touch {marker}"), content, _use_new_zipfile_serialization=container == "zip")
    path = recipe(content.getvalue())
    ended = run("build", path, "--mirror", "mirror")
    assert not marker.exists()
    if container == "pickle":  # no container of torch's at all
        failed(ended, 4, "model.pytorch")
    else:
        failed(ended, 4, "error[load]", f"{os.name}.system")


def test_a_state_dict_of_another_network(run: Callable[..., Any], recipe: Callable[..., Path]) -> None:
    content = io.BytesIO()
    torch.save({"features.0.weight": torch.zeros(3, 3), "features.0.bias": torch.zeros(3)}, content)
    ended = run("build", recipe(content.getvalue()), "--mirror", "mirror")
    failed(ended, 4, "missing", "model.layer1.0.weight", "unexpected", "features.0.weight", "another network")


def test_a_checkpoint_of_another_width(run: Callable[..., Any], recipe: Callable[..., Path]) -> None:
    path = recipe(CHECKPOINT.read_bytes(), ("channel_multiplier: 0.125", "channel_multiplier: 0.25"))
    failed(run("build", path, "--mirror", "mirror"), 4, "expected [16, 3, 7, 7], found [8, 3, 7, 7]")


@pytest.mark.parametrize("content", [b"", b"this is text", PICTURE.read_bytes()[:500]])
def test_a_picture_that_is_no_picture(
    run: Callable[..., Any], demo: Path, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "p.jpg").write_bytes(content)
    failed(run("detect", "ssd-demo", "p.jpg"), 2, "error[picture]", "p.jpg")


def test_a_picture_that_does_not_exist(run: Callable[..., Any], demo: Path) -> None:
    failed(run("detect", "ssd-demo", "nowhere.png"), 2, "nowhere.png")


def test_a_model_that_is_not_built(run: Callable[..., Any]) -> None:
    failed(run("detect", "ssd-demo", PICTURE), 2, "not built", "ssdconvert build ssd-demo")


def test_an_output_folder_that_cannot_be_written(run: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    failed(run("build", "ssd-demo", "--output", "file/out"), 2, "error[output]", "file/out")


@pytest.mark.parametrize("name", ["file/out.png", "out.nosuchformat"])
def test_a_picture_that_cannot_be_written(
    run: Callable[..., Any], demo: Path, tmp_path: Path, name: str
) -> None:
    (tmp_path / "file").write_text("in the way")
    failed(run("detect", "ssd-demo", PICTURE, "--output", name), 2, "error[output]", name)


@pytest.mark.parametrize(
    "arguments", [["bild"], ["build"], ["build", "ssd-demo", "--nosuch"], ["detect", "ssd-demo"]]
)
def test_a_wrong_command_line(run: Callable[..., Any], arguments: list[str]) -> None:
    failed(run(*arguments), 2, "error[usage]", "--help")


def test_an_unreadable_ir(run: Callable[..., Any], demo: Path) -> None:
    (demo / "FP32" / "ssd-demo.bin").unlink()
    failed(run("detect", "ssd-demo", PICTURE), 4, "ssd-demo.bin does not exist")


def test_a_precision_that_cannot_be_built(run: Callable[..., Any]) -> None:
    failed(run("build", "ssd-12-int8", "--precision", "FP32"), 2, "ask for --precision INT8")


def test_a_required_device_that_is_absent(run: Callable[..., Any], demo: Path) -> None:
    failed(
        run("build", "ssd-demo", "--require-device", "MYRIAD"),
        5,
        "toolchain myriad is not installed",
        "toolchain add myriad",
    )
    failed(run("build", "ssd-demo", "--require-device", "NOSUCH"), 2, "no device 'NOSUCH'", "AUTO:GPU,CPU")


def test_a_wrong_model(run: Callable[..., Any], demo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.rmtree(demo)
    monkeypatch.setattr("ssdconvert.stages.convert.conversion_arguments", lambda recipe: {})
    ended = run("build", "ssd-demo")
    failed(
        ended,
        1,
        "error[verify]",
        "ssd-demo is fail",
        "FP32 IR on CPU",
        "good before it: exported ONNX, simplified",
    )
    assert ended.out.startswith("ssd-demo: fail")


def test_a_wrong_model_in_json(
    run: Callable[..., Any],
    own_nms: Mapping[str, Any],
    recipe_file: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ssdconvert.stages.convert.conversion_arguments", lambda recipe: {})
    ended = run("build", recipe_file(own_nms), "--mirror", "mirror", "--json")
    assert (ended.code, ended.document["verdict"]) == (1, "fail")


def test_an_error_in_json(run: Callable[..., Any]) -> None:
    ended = run("build", "nosuch", "--json")
    assert ended.code == 2
    assert set(ended.document["error"]) == {"stage", "message", "hint", "exit_code"}
    assert ended.document["error"]["exit_code"] == 2
    assert "Traceback" not in ended.err


def test_verbose_adds_the_traceback(run: Callable[..., Any]) -> None:
    ended = run("build", "nosuch", "-v")
    assert ended.code == 2
    assert "Traceback" in ended.err


def test_an_interruption_and_a_bug(run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    def broken(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr("ssdconvert.pipeline.build", interrupted)
    assert run("build", "ssd-demo").code == 130
    monkeypatch.setattr("ssdconvert.pipeline.build", broken)
    failed(run("build", "ssd-demo"), 70, "error[bug]", "ZeroDivisionError: by zero", "bug in ssdconvert")
