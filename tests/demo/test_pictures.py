"""Generated pictures: repeatable, and what their annotations say is what is in them."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from ssdconvert.demo.pictures import CLASSES, MOST_SHAPES, generate, write_coco
from ssdconvert.ssd.boxes import iou_matrix

Array = NDArray[Any]

SEEDS = range(40)


def test_the_same_seed_gives_the_same_picture() -> None:
    for seed in (3, [3, 4]):
        first, second = generate(seed), generate(seed)
        np.testing.assert_array_equal(first.pixels, second.pixels)
        np.testing.assert_array_equal(first.boxes, second.boxes)
        np.testing.assert_array_equal(first.labels, second.labels)
    assert not np.array_equal(generate(3).pixels, generate(4).pixels)
    assert not np.array_equal(generate([3, 4]).pixels, generate([3, 5]).pixels)


@pytest.mark.parametrize(("width", "height"), [(400, 400), (640, 360), (200, 300)])
def test_form(width: int, height: int) -> None:
    for seed in range(8):
        picture = generate(seed, width, height)
        assert picture.pixels.shape == (height, width, 3)
        assert picture.pixels.dtype == np.uint8
        assert picture.boxes.dtype == np.float32
        assert picture.labels.dtype == np.int64
        assert picture.boxes.shape == (len(picture.labels), 4)
        assert 1 <= len(picture.labels) <= MOST_SHAPES
        assert picture.labels.min() >= 1
        assert picture.labels.max() <= len(CLASSES)
        assert picture.boxes.min() >= 0
        assert (picture.boxes[:, :2] < picture.boxes[:, 2:]).all()
        assert (picture.boxes[:, 2:] <= [width, height]).all()


def test_every_class_occurs() -> None:
    labels = np.concatenate([generate(seed).labels for seed in SEEDS])
    assert set(labels.tolist()) == set(range(1, len(CLASSES) + 1))


def test_shapes_do_not_hide_each_other() -> None:
    for seed in SEEDS:
        boxes = generate(seed).boxes
        assert np.triu(iou_matrix(boxes, boxes), 1).max() < 0.3


def coloured(picture_pixels: Array, label: int) -> Any:
    """Say which pixels have the colour of a red or a blue disc."""
    red, green, blue = picture_pixels.astype(int).transpose(2, 0, 1)
    strong, weak = (red, blue) if CLASSES[label - 1] == "red disc" else (blue, red)
    return (strong - weak > 60) & (
        strong - green > 60 if CLASSES[label - 1] == "red disc" else strong > green
    )


def test_boxes_are_tight_and_colours_are_the_classes() -> None:
    """Of a disc alone in its picture: its colour touches every side of the box and is nowhere outside."""
    checked = {1: 0, 2: 0}
    for seed in range(400):
        picture = generate(seed)
        if len(picture.labels) > 1 or picture.labels[0] > 2:
            continue
        label = int(picture.labels[0])
        low_x, low_y, high_x, high_y = picture.boxes[0]
        margin = 12
        x0, y0 = max(int(low_x) - margin, 0), max(int(low_y) - margin, 0)
        around = coloured(picture.pixels[y0 : int(high_y) + margin, x0 : int(high_x) + margin], label)
        ys, xs = np.nonzero(around)
        # a speck or a line may be of that colour too: the 0.5th percentile leaves it out
        found = np.array(
            [
                np.percentile(xs, 0.5) + x0,
                np.percentile(ys, 0.5) + y0,
                np.percentile(xs, 99.5) + x0,
                np.percentile(ys, 99.5) + y0,
            ]
        )
        side = high_x - low_x
        assert np.abs(found - picture.boxes[0]).max() < 2 + 0.04 * side, (seed, found, picture.boxes[0])
        checked[label] += 1
    assert min(checked.values()) >= 3


def test_the_coco_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    coco = pytest.importorskip("pycocotools.coco")
    write_coco(tmp_path, count=4, seed=9)
    loaded = coco.COCO(str(tmp_path / "annotations.json"))
    capsys.readouterr()
    assert [category["name"] for category in loaded.loadCats(loaded.getCatIds())] == list(CLASSES)
    assert loaded.getCatIds() == [1, 2, 3, 4, 5]
    assert len(loaded.getImgIds()) == 4
    for number, image in enumerate(loaded.loadImgs(loaded.getImgIds())):
        picture = generate([9, number])
        with Image.open(tmp_path / "images" / image["file_name"]) as stored:
            np.testing.assert_array_equal(np.asarray(stored), picture.pixels)
        assert (image["height"], image["width"]) == picture.pixels.shape[:2]
        annotations = loaded.loadAnns(loaded.getAnnIds(imgIds=[image["id"]]))
        assert [entry["category_id"] for entry in annotations] == picture.labels.tolist()
        boxes = np.array([entry["bbox"] for entry in annotations])
        np.testing.assert_allclose(boxes[:, :2], picture.boxes[:, :2], atol=1e-4)
        np.testing.assert_allclose(boxes[:, :2] + boxes[:, 2:], picture.boxes[:, 2:], atol=1e-4)
        np.testing.assert_allclose([entry["area"] for entry in annotations], boxes[:, 2] * boxes[:, 3])
        assert {entry["iscrowd"] for entry in annotations} == {0}
    identities = [entry["id"] for entry in loaded.loadAnns(loaded.getAnnIds())]
    assert len(set(identities)) == len(identities)
    assert min(identities) > 0  # pycocotools takes 0 for no match


def test_the_command(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "ssdconvert.demo.pictures", str(tmp_path / "set"), "--count", "2"]
    root = Path(__file__).resolve().parents[2]
    subprocess.run(command, check=True, cwd=root)
    document = json.loads((tmp_path / "set/annotations.json").read_text())
    assert len(document["images"]) == 2
    assert sorted(path.name for path in (tmp_path / "set/images").iterdir()) == ["000000.png", "000001.png"]
