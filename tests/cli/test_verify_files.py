"""`verify MODEL --against ORIGINAL`, `verify --image`, and the same from Python."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import ssdconvert
from ssdconvert.errors import RecipeError


@pytest.fixture
def irs(built: Path, tmp_path: Path) -> Path:
    """The files of a build of ssd-demo, without the build around them."""
    folder = tmp_path / "files"
    folder.mkdir()
    source = built / "build" / "ssd-demo"
    for precision in ("FP32", "FP16"):
        for suffix in ("xml", "bin"):
            shutil.copy(source / precision / f"ssd-demo.{suffix}", folder / f"{precision}.{suffix}")
    shutil.copy(source / "ssd-demo.onnx", folder / "demo.onnx")
    return folder


def test_an_ir_against_its_graph(run: Callable[..., Any], irs: Path, tmp_path: Path) -> None:
    ended = run("verify", irs / "FP32.xml", "--against", irs / "demo.onnx", "--recipe", "ssd-demo", "--json")
    assert ended.code == 0, ended.err
    document = ended.document
    assert {key: document[key] for key in ("model", "against", "recipe", "verdict")} == {
        "model": "FP32.xml",
        "against": "demo.onnx",
        "recipe": "ssd-demo",
        "verdict": "pass",
    }
    levels = {check["level"] for check in document["checks"] if check["hop"] == "ir"}
    assert levels == {"contract", "heads", "detections"}
    promises = {check["metric"] for check in document["checks"] if check["output"] == "file"}
    assert promises >= {"input", "outputs", "weights", "description", "suppression"}
    assert any(check["hop"] == "control" for check in document["checks"])
    assert {path.name for path in tmp_path.iterdir()} == {"files"}  # no report is asked for


def test_two_files_without_a_recipe(run: Callable[..., Any], irs: Path) -> None:
    ended = run("verify", irs / "FP16.xml", "--against", irs / "FP32.xml")
    assert ended.code == 0, ended.err
    assert ended.out.startswith("FP16.xml: pass")
    assert "heads" in ended.out


@pytest.mark.parametrize("devices", [("CPU",), ("CPU", "NPU"), ("CPU", "MYRIAD")], ids=" ".join)
def test_a_file_against_itself_shows_nothing(
    run: Callable[..., Any], irs: Path, devices: tuple[str, ...]
) -> None:
    asked = [word for device in devices for word in ("--device", device)]
    ended = run("verify", irs / "FP32.xml", "--against", irs / "FP32.xml", "--recipe", "ssd-demo", *asked)
    assert ended.code == 1
    assert "both files are the same, in the same engine: nothing was compared" in ended.err


def test_a_wrong_one_fails_and_a_report_is_written_where_asked(
    run: Callable[..., Any], irs: Path, tmp_path: Path
) -> None:
    import openvino

    model = openvino.Core().read_model(irs / "FP32.xml")
    constant = max(
        (node for node in model.get_ops() if node.get_type_name() == "Constant"),
        key=lambda node: node.get_data().size,
    )
    wrong = openvino.runtime.opset8.constant(constant.get_data() * 1.02)
    for port in constant.output(0).get_target_inputs():
        port.replace_source_output(wrong.output(0))
    openvino.save_model(model, irs / "wrong.xml", compress_to_fp16=False)
    command = ("verify", irs / "wrong.xml", "--against", irs / "demo.onnx", "--recipe", "ssd-demo")
    ended = run(*command, "--output", tmp_path / "report")
    assert ended.code == 1
    assert "error[verify]: wrong.xml is fail" in ended.err
    assert "first diverging tensor" in ended.out
    names = {path.name for path in (tmp_path / "report").iterdir()}
    assert names == {"report.json", "report.html", "report.md", "report.xml"}
    assert json.loads((tmp_path / "report" / "report.json").read_text())["verdict"] == "fail"
    assert "Where the error comes from" in (tmp_path / "report" / "report.html").read_text()
    assert {path.name for path in tmp_path.iterdir()} == {"files", "report"}


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["FP32.xml"], 2, "against what is not said"),
        (["ssd-demo", "--recipe", "ssd-demo"], 2, "against what is not said"),
        (["FP32.xml", "--against", "none.onnx"], 2, "none.onnx does not exist"),
        (["none.xml", "--against", "demo.onnx", "--recipe", "ssd-demo"], 2, "none.xml does not exist"),
        (["FP32.xml", "--against", "demo.onnx"], 2, "give --recipe ssd-demo"),
        (["FP32.xml", "--against", "demo.onnx", "--recipe", "no-such"], 2, "no-such"),
        (["junk.onnx", "--against", "demo.onnx", "--recipe", "ssd-demo"], 4, "junk.onnx"),
        (["junk.xml", "--against", "demo.onnx", "--recipe", "ssd-demo"], 4, "junk.bin does not exist"),
        (["FP32.xml", "--against", "junk.onnx", "--recipe", "ssd-demo"], 4, "junk.onnx"),
        (["FP32.xml", "--against", "demo.onnx", "--recipe", "ssd-demo", "--stand-in"], 2, "--stand-in"),
        (["FP32.xml", "--against", "demo.onnx", "--recipe", "ssd-demo", "--image", "empty"], 2, "no picture"),
        (["FP32.xml", "--against", "demo.onnx", "--recipe", "ssd-demo", "--image", "none.jpg"], 2, "none.jpg"),
        (["FP32.xml", "--against", "demo.onnx", "--recipe", "ultraface-rfb-320"], 4, "[1, 3, 240, 320]"),
        (
            ["FP32.xml", "--against", "demo.onnx", "--recipe", "ssd-demo", "--output", "junk.onnx"],
            2,
            "cannot be written",
        ),
        (
            ["FP32.xml", "--against", "demo.onnx", "--recipe", "ssd-demo", "--require-device", "MYRIAD"],
            5,
            "MYRIAD",
        ),
        (["FP32.xml", "--against", "demo.onnx", "--recipe", "ssd-demo", "--device", "GPUU"], 2, "no device 'GPUU'"),
        (["FP32.xml", "--against", "demo.onnx", "--recipe", "ssd-demo", "-c", "NO_SUCH=1"], 2, "refuses NO_SUCH"),
        (["FP32.xml", "--against", "demo.onnx", "--recipe", "ssd-demo", "-l", "none.so"], 2, "none.so does not"),
        (["demo.onnx", "--against", "demo.onnx", "-c", "NUM_STREAMS=1"], 2, "takes no settings"),
    ],
)  # fmt: skip
def test_nonsense_is_told(
    run: Callable[..., Any],
    irs: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    code: int,
    told: str,
) -> None:
    monkeypatch.chdir(irs)
    (irs / "junk.onnx").write_bytes(b"junk")
    (irs / "junk.xml").write_text("<net/>")
    (irs / "empty").mkdir()
    ended = run("verify", *arguments)
    assert ended.code == code, ended.err
    assert told in ended.err
    assert ended.err.count("error[") == 1
    assert "hint: " in ended.err
    assert "Traceback" not in ended.err


def test_pictures_beside_the_recipes(run: Callable[..., Any], demo: Path, tmp_path: Path) -> None:
    """Each kind of file that people have; one that is broken leaves the others judged, and the verdict open."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name, mode, size in (
        ("grey.png", "L", (30, 40)),
        ("row.png", "RGB", (50, 1)),
        ("alpha.png", "RGBA", (9, 9)),
    ):
        Image.new(mode, size, 128 if mode == "L" else (200, 30, 90, 9)[: len(mode)]).save(folder / name)
    (folder / "notes.txt").write_text("no picture, and not taken for one")
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    (folder / "to-nothing.jpg").symlink_to("nothing.jpg")
    ended = run("verify", "ssd-demo", "--image", folder, "--json")
    assert ended.code == 1
    assert ended.document["verdict"] == "inconclusive"
    assert "broken.jpg" in ended.document["reason"]
    assert set(ended.document["pictures"]) >= {"grey.png", "row.png", "alpha.png"}
    assert "notes.txt" not in ended.document["pictures"]
    bad = [check for check in ended.document["checks"] if check["status"] != "pass"]
    assert [(check["hop"], check["input"], check["status"]) for check in bad] == [
        ("input", "broken.jpg", "inconclusive"),
        ("input", "to-nothing.jpg", "inconclusive"),
    ]
    assert {"grey.png", "row.png", "alpha.png"} <= {
        check["input"] for check in ended.document["checks"] if check["hop"] == "ir"
    }


def test_from_python(irs: Path, tmp_path: Path, demo: Path) -> None:
    result = ssdconvert.verify(irs / "FP16.xml", against=irs / "demo.onnx", recipe="ssd-demo")
    assert result.verdict == "pass"
    assert result.warnings == ()
    assert (
        max(check.value or 0 for check in result.checks if check.level == "heads" and check.hop == "ir")
        < 0.03
    )
    with pytest.raises(RecipeError, match="against what is not said"):
        ssdconvert.verify(irs / "FP16.xml")


def test_a_recipe_from_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = ssdconvert.verify("ssd-demo", output=tmp_path / "mine")
    assert result.verdict == "pass"
    assert (tmp_path / "mine" / "report.html").is_file()
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


@pytest.mark.parametrize(
    "option", [{"tail": "heads"}, {"converter": "openvino"}, {"bake": "image"}, {"stand_in": True}]
)
def test_python_says_nothing_of_a_build_either(irs: Path, option: dict[str, Any]) -> None:
    with pytest.raises(RecipeError, match="--against"):
        ssdconvert.verify(irs / "FP32.xml", irs / "demo.onnx", "ssd-demo", **option)
