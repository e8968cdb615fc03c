"""`detect` from the command line: its options, what it writes and says, and every kind of bad input."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ssdconvert.resources import package_file

PICTURE = package_file("package:images/shapes-2.jpg")
BOX = (0.125, 0.25, 0.5, 0.75)
BOXES = {
    "boxes": np.array([[1, 2, 4, 6, 0.75], [0, 0, 8, 8, 0.625], [2, 2, 4, 4, 0.25]], np.float32),
    "labels": np.array([1, 0, 1]),
}


@pytest.fixture
def model(model_giving: Callable[..., Path], detection_rows: Callable[..., Any]) -> Path:
    """A model that finds two things in every picture, a third of a low score, and takes 8x8."""
    rows = detection_rows((0, 2, 0.625, 0, 0, 1, 1), (0, 1, 0.75, *BOX), (0, 1, 0.25, *BOX))
    return model_giving({"detection_out": rows})


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """A picture of 80x40."""
    path = tmp_path / "street.png"
    Image.fromarray(np.full((40, 80, 3), 120, np.uint8)).save(path)
    return path


@pytest.fixture
def street(tmp_path: Path) -> Path:
    """A folder of four pictures of different sizes, one of them broken, and a file that is none."""
    folder = tmp_path / "street"
    (folder / "night").mkdir(parents=True)
    for index, name in enumerate(("a.jpg", "b.png", "night/a.jpg"), start=1):
        Image.fromarray(np.full((40, 40 * index, 3), 120, np.uint8)).save(folder / name)
    (folder / "c.jpg").write_bytes((folder / "a.jpg").read_bytes()[:200])
    (folder / "notes.txt").write_text("no picture")
    return folder


def test_the_document_and_the_picture(run: Callable[..., Any], model: Path, picture: Path) -> None:
    ended = run("detect", model, picture, "--json")
    assert ended.code == 0
    assert ended.document == {
        "model": str(model),
        "device": "CPU",
        "image": str(picture),
        "size": [80, 40],
        "output": "out.png",
        "detections": [
            {"label": 1, "name": "label 1", "score": 0.75, "box": [10, 10, 40, 30]},
            {"label": 2, "name": "label 2", "score": 0.625, "box": [0, 0, 80, 40]},
        ],
    }
    assert Image.open("out.png").size == (80, 40)
    assert "detection_out f32 [1, 1, 6, 7]: image_id, label, score, corners" in ended.err
    assert "nothing says how it is fed" in ended.err


def test_the_options_of_the_old_sample(
    run: Callable[..., Any], model: Path, picture: Path, tmp_path: Path
) -> None:
    (tmp_path / "labels.txt").write_text("vehicle\nperson, of any age\nbike\n")
    (tmp_path / "config.txt").write_text("NUM_STREAMS 1\n")
    ended = run(
        "detect",
        "-m",
        model,
        "-i",
        picture,
        "-d",
        "CPU",
        "-c",
        "config.txt",
        "--labels",
        "labels.txt",
        "--sample-log",
    )
    assert ended.code == 0
    assert ended.out.splitlines() == [
        "[ INFO ] Creating Inference Engine",
        "[ INFO ] Loading the CPU configuration: config.txt",
        f"[ INFO ] Reading the network: {model}",
        "[ INFO ] Configuring input and output blobs",
        "[ INFO ] Loading the model to the plugin",
        f"[ WARNING ] Image {picture} is resized from (40, 80) to (8, 8)",
        "[ INFO ] Starting inference in synchronous mode",
        "[ INFO ] Found: label = bike, confidence = 0.62, coords = (0, 0), (80, 40)",
        "[ INFO ] Found: label = person, confidence = 0.75, coords = (10, 10), (40, 30)",
        "[ INFO ] Image out.bmp created!",
        "[ INFO ] This sample is an API example, for any performance measurements please use the dedicated "
        "benchmark_app tool",
        "",
    ]
    assert Image.open("out.bmp").format == "BMP"
    assert run("detect", "-m", model, "-i", picture, "--sample-log").code == 0  # over its own out.bmp


@pytest.mark.parametrize(
    "arguments", [("-m", "MODEL", "PICTURE"), ("MODEL", "-i", "PICTURE"), ("MODEL", "PICTURE")]
)
def test_model_and_picture_as_options_or_not(
    run: Callable[..., Any], model: Path, picture: Path, arguments: tuple[str, ...]
) -> None:
    given = [{"MODEL": model, "PICTURE": picture}.get(one, one) for one in arguments]
    assert (
        "label 1          0.750  x    10.0 ..    40.0  y    10.0 ..    30.0 px" in run("detect", *given).out
    )


def test_threshold_top_labels_and_crops(run: Callable[..., Any], model: Path, picture: Path) -> None:
    ended = run(
        "detect", model, picture, "--threshold", "0.2", "--top", "2", "--labels", "voc-20",
        "--save-crops", "crops", "--json", "--no-picture",
    )  # fmt: skip
    found = ended.document["detections"]
    assert [(one["name"], one["score"]) for one in found] == [("aeroplane", 0.75), ("bicycle", 0.625)]
    assert ended.document["output"] is None
    assert not Path("out.png").exists()
    crops = ["crops/street-01-aeroplane-0.75.png", "crops/street-02-bicycle-0.62.png"]
    assert ended.document["crops"] == crops
    assert [Image.open(one).size for one in crops] == [(30, 20), (80, 40)]


def test_a_folder_goes_through_whole(run: Callable[..., Any], model: Path, street: Path) -> None:
    ended = run("detect", model, street, "--json", "--output", "found")
    assert ended.code == 2  # one picture is broken; the others are there
    documents = ended.document
    assert [Path(one["image"]).relative_to(street).as_posix() for one in documents] == [
        "a.jpg", "b.png", "c.jpg", "night/a.jpg",
    ]  # fmt: skip
    good = [one for one in documents if "error" not in one]
    assert [one["size"] for one in good] == [[40, 40], [80, 40], [120, 40]]
    assert all(len(one["detections"]) == 2 for one in good)
    assert [Image.open(one["output"]).size for one in good] == [(40, 40), (80, 40), (120, 40)]
    (bad,) = (one for one in documents if "error" in one)
    assert (bad["size"], bad["output"], bad["detections"]) == (None, None, [])
    assert (bad["error"]["stage"], bad["error"]["exit_code"]) == ("picture", 2)
    assert "c.jpg cannot be read as a picture" in ended.err
    assert "4 pictures, 6 detections" in ended.err
    text = run("detect", model, street, "--output", "found")
    assert f"{street / 'b.png'}: 2 found; picture found/street/b.png" in text.out
    assert text.out.count("label 1 ") == 3


def test_a_pattern_and_several_files(run: Callable[..., Any], model: Path, street: Path) -> None:
    ended = run("detect", model, f"{street}/**/a.jpg", "--json", "--no-picture")
    assert (ended.code, [one["size"] for one in ended.document]) == (0, [[40, 40], [120, 40]])
    ended = run("detect", model, street / "a.jpg", street / "b.png", "--json", "--no-picture")
    assert (ended.code, [one["size"] for one in ended.document]) == (0, [[40, 40], [80, 40]])
    # the form of the document follows from what is asked, not from what is there
    assert isinstance(run("detect", model, f"{street}/b.*", "--json", "--no-picture").document, list)
    assert isinstance(run("detect", model, street / "night", "--json", "--no-picture").document, list)


def test_one_broken_picture_is_the_result(run: Callable[..., Any], model: Path, street: Path) -> None:
    ended = run("detect", model, street / "c.jpg", "--json")
    assert ended.code == 2
    assert ended.document["error"]["stage"] == "picture"
    assert not Path("out.png").exists()


def test_channel_order_and_colours_are_both_color(
    run: Callable[..., Any], model_giving: Any, tmp_path: Path
) -> None:
    three = {"bboxes": np.tile(np.float32([0, 0, 1, 1]), (1, 3, 1)), "labels": np.array([[1, 2, 3]])}
    model = model_giving(three, means="scores")
    Image.fromarray(np.tile(np.array([255, 153, 51], np.uint8), (8, 8, 1))).save("red.png")

    def scores(*options: str) -> dict[int, float]:
        document = run("detect", model, "red.png", "--json", "--threshold", "0.01", *options).document
        return {one["label"]: round(one["score"], 2) for one in document["detections"]}

    assert scores() == {1: 0.2, 2: 0.6, 3: 1.0}
    assert scores("--color", "rgb", "--color", "always") == {1: 1.0, 2: 0.6, 3: 0.2}
    assert scores("--color=bgr", "--mean", "0,0,51", "--scale", "2") == {1: 0.1, 2: 0.3, 3: 0.4}
    plain = run("detect", model, "none.png", "--color", "rgb")
    assert "\x1b[" not in plain.err
    assert "\x1b[" in run("detect", model, "none.png", "--color", "rgb", "--color", "always").err


def test_foreign_pictures_are_kept(run: Callable[..., Any], model: Path, picture: Path) -> None:
    Path("out.png").write_bytes(picture.read_bytes())
    ended = run("detect", model, picture)
    assert (ended.code, ended.err.count("error[output]: out.png exists")) == (2, 1)
    assert Path("out.png").read_bytes() == picture.read_bytes()
    assert run("detect", model, picture, "--force").code == 0
    assert run("detect", model, picture).code == 0  # it is ours now
    ended = run("detect", model, picture, "--output", picture, "--force")
    assert (ended.code, "one of the pictures to look at" in ended.err) == (2, True)


def test_compare(
    run: Callable[..., Any], model: Path, model_giving: Any, detection_rows: Any, picture: Path
) -> None:
    rows = detection_rows((0, 2, 0.6, 0, 0, 1, 1), (0, 3, 0.75, 0.5, 0.5, 1, 1))
    original = model_giving({"detection_out": rows}, name="original")
    ended = run("detect", model, picture, "--compare", original, "--json", "--output", "both.png")
    assert ended.code == 0
    counts = {"in_both": 1, "lost": 1, "new": 1, "of_another_class": 0, "displaced": 0}
    assert ended.document["comparison"] == {"told": "1 in both, 1 lost, 1 new", **counts}
    assert len(ended.document["detections"]) == 2
    assert Image.open("both.png").width > 2 * 80
    assert (
        "against the original: 1 in both, 1 lost, 1 new"
        in run("detect", model, picture, "--compare", original).out
    )


def test_labels_that_do_not_fit_are_warned_of(
    run: Callable[..., Any], model_giving: Any, picture: Path
) -> None:
    model = model_giving(BOXES)
    Path("one.txt").write_text("background\nvehicle\n")
    ended = run("detect", model, picture, "--labels", "one.txt")
    assert ended.code == 0
    assert "warning: one.txt has no name for what the model found: label 0" in ended.err


def test_quiet(run: Callable[..., Any], model: Path, picture: Path) -> None:
    ended = run("detect", model, picture, "-q")
    assert (ended.code, ended.out, ended.err) == (0, "", "")
    assert Path("out.png").exists()


def test_no_bar_where_there_is_no_terminal(run: Callable[..., Any], model: Path, street: Path) -> None:
    assert "pictures  [" not in run("detect", model, street).err


BAD = {
    "no picture": (2, "picture", ["MODEL", "none.png"], "none.png cannot be read: No such file"),
    "no folder of pictures": (2, "picture", ["MODEL", "empty"], "the folder empty holds no picture"),
    "no match": (2, "picture", ["MODEL", "none*.png"], "no file matches none*.png"),
    "text for a picture": (2, "picture", ["MODEL", "labels.bin"], "cannot be read as a picture"),
    "no argument": (2, "usage", [], "Missing argument 'MODEL'"),
    "no image": (2, "usage", ["MODEL"], "Missing argument 'IMAGE'"),
    "no model": (2, "detect", ["none.xml", "PICTURE"], "there is no none.xml"),
    "two inputs": (2, "detect", ["TWO", "PICTURE"], "has 2 inputs, expected one"),
    "unknown outputs": (2, "detect", ["UNKNOWN", "PICTURE"], "has the outputs logits f32 [1, 10]"),
    "no extension": (2, "device", ["MODEL", "PICTURE", "-l", "none.so"], "the extension none.so does not exist"),
    "broken extension": (4, "device", ["MODEL", "PICTURE", "-l", "labels.bin"], "cannot be loaded"),
    "refused key": (2, "device", ["MODEL", "PICTURE", "-c", "NOKEY=1"], "CPU refuses NOKEY = 1"),
    "no config": (2, "device", ["MODEL", "PICTURE", "-c", "none.cfg"], "none.cfg cannot be read"),
    "labels in latin-1": (2, "labels", ["MODEL", "PICTURE", "--labels", "labels.bin"], "is not UTF-8: byte 0xe9"),
    "no labels": (2, "labels", ["MODEL", "PICTURE", "--labels", "coco"], "the label file coco cannot be read"),
    "absent device": (5, "device", ["MODEL", "PICTURE", "-d", "MYRIAD"], "no device MYRIAD"),
    "no device": (2, "device", ["MODEL", "PICTURE", "-d", "NOSUCH"], "no device 'NOSUCH'"),
    "no format": (2, "output", ["MODEL", "PICTURE", "--output", "found.doc"], "no format is known"),
    "no recipe": (2, "recipe", ["MODEL", "PICTURE", "--recipe", "ssd-dem"], "did you mean 'ssd-demo'"),
    "several, one file": (2, "output", ["MODEL", "PICTURE", "PICTURE", "--output", "a.png"], "is one picture"),
    "several": (2, "usage", ["MODEL", "PICTURE", "x.png", "--sample-log"], "--sample-log takes one picture"),
    "sample and compare": (2, "usage", ["MODEL", "PICTURE", "--sample-log", "--compare", "x"], "exclude each other"),
    "a picture and none": (2, "usage", ["MODEL", "PICTURE", "--no-picture", "--output", "x"], "exclude each other"),
    "mean": (2, "usage", ["MODEL", "PICTURE", "--mean", "1,2"], "is not one number, or three"),
    "scale": (2, "usage", ["MODEL", "PICTURE", "--scale", "0"], "is not one number, or three"),
    "resize": (2, "usage", ["MODEL", "PICTURE", "--resize", "letterbox"], "expected stretch or crop"),
    "nothing to compare with": (2, "detect", ["MODEL", "PICTURE", "--compare", "none.onnx"], "there is no none.onnx"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_input(
    run: Callable[..., Any], model: Path, model_giving: Any, picture: Path, tmp_path: Path, case: str
) -> None:
    code, stage, arguments, message = BAD[case]
    (tmp_path / "empty").mkdir()
    (tmp_path / "labels.bin").write_bytes("caf\xe9".encode("latin-1"))
    Image.open(picture).save("x.png")
    named = {"MODEL": model, "PICTURE": picture}
    if "TWO" in arguments:
        named["TWO"] = model_giving(
            {"out": np.zeros((1, 1, 4, 7), np.float32)}, (1, 3, 8, 8), (1, 3), name="two"
        )
    if "UNKNOWN" in arguments:
        named["UNKNOWN"] = model_giving({"logits": np.zeros((1, 10), np.float32)}, name="unknown")
    given = [named.get(one, one) for one in arguments]
    ended = run("detect", *given)
    assert ended.code == code, ended.err
    assert ended.err.count("error[") == 1
    assert f"error[{stage}]: " in ended.err
    assert message in ended.err
    assert "hint: " in ended.err
    assert "Traceback" not in ended.err
    assert not Path("out.png").exists()
    if stage != "usage":
        assert json.loads(run("detect", *given, "--json").out)["error"]["exit_code"] == code
