"""Lists of names as the old sample, Open Model Zoo and COCO write them, and files that are none."""

import json
from pathlib import Path
from typing import Any

import pytest

from ssdconvert.errors import RecipeError
from ssdconvert.label_files import read_labels
from ssdconvert.labels import COCO_80, COCO_91, VOC_20


@pytest.fixture
def labels(tmp_path: Path) -> Any:
    def read(content: str | bytes, name: str = "labels.txt") -> tuple[tuple[str, ...], int | None]:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        found = read_labels(str(path))
        assert found.origin == str(path)
        return found.names, found.first_number

    return read


@pytest.mark.parametrize(
    ("content", "names", "first_number"),
    [
        ("cat\ndog\n", ("cat", "dog"), None),
        ("cat, felis catus\ndog,canis\n", ("cat", "dog"), None),  # the sample's
        ("cat\r\ndog\r\n\r\n", ("cat", "dog"), None),
        ("\ufeffcat\nteddy bear", ("cat", "teddy bear"), None),
        ("cat\n\ndog\n", ("cat", "", "dog"), None),  # an empty line keeps its number
        ("__background__\ncat\ndog\n", ("cat", "dog"), 1),  # Open Model Zoo's
        ("BACKGROUND\ncat\n", ("cat",), 1),
        ("0: unlabeled\n1: person\n2: bicycle\n", ("person", "bicycle"), 1),  # COCO-Stuff's
        ("1: person\n3: car\n", ("person", "", "car"), 1),
        ("0 vehicle\n1 person\n", ("vehicle", "person"), 0),
        ("1,person\n2,stop sign\n", ("person", "stop sign"), 1),
        ("2 wheels\ncar\n", ("2 wheels", "car"), None),
        ("кошка\nchien\n", ("кошка", "chien"), None),
    ],
)
def test_text(labels: Any, content: str, names: tuple[str, ...], first_number: int | None) -> None:
    assert labels(content) == (names, first_number)


def test_categories_of_cocos_annotations(labels: Any) -> None:
    categories = [{"id": 3, "name": "car", "supercategory": "vehicle"}, {"id": 1, "name": "person"}]
    expected = (("person", "", "car"), 1)
    assert labels(json.dumps({"images": [], "categories": categories}), "a.json") == expected
    assert labels(json.dumps(categories), "b.json") == expected
    assert labels(json.dumps(["background", "cat"]), "c.json") == (("cat",), 1)
    assert labels(json.dumps(["cat", "dog"]), "d.json") == (("cat", "dog"), None)


def test_shipped_lists() -> None:
    assert [read_labels(name).names for name in ("coco-80", "coco-91", "voc-20")] == [
        COCO_80,
        COCO_91,
        VOC_20,
    ]
    assert read_labels("voc-20").first_number == 1


def test_a_file_comes_before_a_shipped_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("voc-20").write_text("cat\n")
    assert read_labels("voc-20").names == ("cat",)


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("latin.txt", "caf\xe9\n".encode("latin-1"), "is not UTF-8: byte 0xe9 at 3"),
        ("wide.txt", "cat\n".encode("utf-16"), "is not UTF-8: byte 0xff at 0"),
        ("empty.txt", b"\n\n", "holds no names"),
        ("background.txt", b"background\n", "holds no names"),
        ("broken.json", b"{", "neither a list of names nor COCO's categories"),
        ("other.json", b'{"categories": [{"id": "x"}]}', "neither a list of names nor COCO's categories"),
    ],
)
def test_what_is_no_list(labels: Any, name: str, content: bytes, problem: str) -> None:
    with pytest.raises(RecipeError) as refused:
        labels(content, name)
    assert problem in refused.value.message
    assert name in refused.value.message
    assert refused.value.hint


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="cannot be read: No such file") as refused:
        read_labels(str(tmp_path / "coco-8"))
    assert "coco-80, coco-91, voc-20" in refused.value.hint
