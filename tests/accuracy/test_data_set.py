"""Annotations of both forms become one; what is wrong with them is told, before anything runs."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ssdconvert.accuracy.data_set import read_data_set
from ssdconvert.errors import RecipeError

Document = dict[str, Any]


@pytest.fixture
def document() -> Document:
    return {
        "images": [
            {"id": 7, "file_name": "b.jpg", "width": 40, "height": 30},
            {"id": 2, "file_name": "sub/a.jpg", "width": 20, "height": 10, "coco_url": "unused"},
        ],
        "annotations": [
            {"id": 5, "image_id": 7, "category_id": 3, "bbox": [1, 2, 10.5, 4], "segmentation": []},
        ],
        "categories": [{"id": 3, "name": "cat", "supercategory": "animal"}],
    }


@pytest.fixture
def write(tmp_path: Path) -> Callable[[Any], Path]:
    """Write annotations beside a folder of their pictures."""
    for name in ("images/sub/a.jpg", "images/b.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"picture")

    def call(content: Any) -> Path:
        path = tmp_path / "annotations.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
        return path

    return call


def test_coco_with_what_is_used_by_ids(write: Any, document: Document, tmp_path: Path) -> None:
    data = read_data_set(write(document))
    assert [(one.id, one.name, one.width, one.height) for one in data.pictures] == [
        (2, "sub/a.jpg", 20, 10),
        (7, "b.jpg", 40, 30),
    ]
    assert data.pictures[0].path == tmp_path / "images" / "sub" / "a.jpg"
    assert data.document["annotations"] == [
        {"id": 5, "image_id": 7, "category_id": 3, "bbox": [1, 2, 10.5, 4], "area": 42.0, "iscrowd": 0}
    ]
    assert data.categories == {3: "cat"}
    assert data.annotated == {7}


def test_the_digest_follows_annotations_and_files(write: Any, document: Document, tmp_path: Path) -> None:
    before = read_data_set(write(document)).digest
    document["info"] = {"year": 2017}
    assert read_data_set(write(document)).digest == before
    (tmp_path / "images" / "b.jpg").write_bytes(b"another")  # of the same size
    other = read_data_set(write(document)).digest
    document["annotations"][0]["bbox"][0] = 2
    assert len({before, other, read_data_set(write(document)).digest}) == 3


def test_a_picture_that_cannot_be_read_is_left_to_the_evaluation(
    monkeypatch: pytest.MonkeyPatch, write: Any, document: Document
) -> None:
    def refuse(path: Path) -> str:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("ssdconvert.accuracy.data_set.digest_of", refuse)
    assert len(read_data_set(write(document)).pictures) == 2


@pytest.mark.parametrize("folder", [".", "images", "../val2017"])
def test_pictures_are_looked_for(document: Document, tmp_path: Path, folder: str) -> None:
    path = tmp_path / "annotations" / "instances_val2017.json"
    for entry in document["images"]:
        picture = path.parent / folder / entry["file_name"]
        picture.parent.mkdir(parents=True, exist_ok=True)
        picture.write_bytes(b"")
    path.write_text(json.dumps(document))
    assert all(picture.path.is_file() for picture in read_data_set(path).pictures)


def test_pictures_that_are_nowhere(document: Document, tmp_path: Path) -> None:
    path = tmp_path / "annotations.json"
    path.write_text(json.dumps(document))
    with pytest.raises(RecipeError, match="names none is in") as told:
        read_data_set(path)
    assert "--images" in told.value.hint
    with pytest.raises(RecipeError, match="there is no folder"):
        read_data_set(path, tmp_path / "absent")


def test_a_name_that_no_file_can_have_is_missing(write: Any, document: Document) -> None:
    document["images"][0]["file_name"] = "b" * 300 + ".jpg"
    with pytest.raises(RecipeError, match="1 of 2 pictures"):
        read_data_set(write(document))
    assert len(read_data_set(write(document), allow_missing=True).missing) == 1


def test_missing_pictures_are_listed_or_left_out(write: Any, document: Document, tmp_path: Path) -> None:
    document["images"] += [
        {"id": 100 + i, "file_name": f"gone-{i}.jpg", "width": 1, "height": 1} for i in range(7)
    ]
    path = write(document)
    with pytest.raises(RecipeError, match=r"7 of 9 pictures .*gone-0\.jpg.*gone-4\.jpg and 2 more") as told:
        read_data_set(path)
    assert told.value.exit_code == 2
    data = read_data_set(path, allow_missing=True)
    assert (len(data.pictures), len(data.missing), data.missing[6]) == (2, 7, "gone-6.jpg")
    (tmp_path / "empty").mkdir()
    with pytest.raises(RecipeError, match="9 of 9"):  # nothing is left to evaluate
        read_data_set(path, tmp_path / "empty", allow_missing=True)


@pytest.mark.parametrize(
    ("key", "change", "told"),
    [
        ("images", {"id": 2}, "the id 2 is there twice"),
        ("images", {"id": True}, "id is True"),
        ("images", {"file_name": "../b.jpg"}, "leaves the folder"),
        ("images", {"file_name": "/b.jpg"}, "leaves the folder"),
        ("images", {"file_name": "..\\b.jpg"}, "leaves the folder"),
        ("images", {"file_name": ""}, "expected the name of a file"),
        ("images", {"file_name": "."}, "the folder of the pictures itself"),
        ("images", {"width": 0}, "width is 0"),
        ("images", {"width": 10**400}, "expected a whole number of 64 bits"),
        ("annotations", {"image_id": 8}, "no image has the id 8"),
        ("annotations", {"category_id": 1}, "no category has the id 1"),
        ("annotations", {"bbox": [0, 0, -1, 2]}, "not negative"),
        ("annotations", {"bbox": [0, float("nan"), 1, 2]}, "finite"),
        ("annotations", {"bbox": [0, 0, 1]}, "expected x, y, width and height"),
        ("annotations", {"bbox": [0, 10**400, 1, 2]}, "finite"),
        ("annotations", {"area": -3}, "area is -3"),
        ("annotations", {"iscrowd": "0"}, "iscrowd is '0', expected 0 or 1"),
        ("categories", {"name": ""}, "expected a name"),
    ],
)
def test_what_is_wrong_is_told_by_its_place(
    write: Any, document: Document, key: str, change: Document, told: str
) -> None:
    document[key][0] |= change
    with pytest.raises(RecipeError) as error:
        read_data_set(write(document))
    assert f"{key}[" in error.value.message
    assert told in error.value.message


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{", "is no JSON"),
        ("[" * 100000, "is no JSON"),
        ([], "COCO's form of results"),
        ({"images": []}, "has not the lists"),
        ({"images": {}, "annotations": [], "categories": []}, "has not the lists"),
        ({"images": [], "annotations": [], "categories": []}, "images: there are none"),
        ({"images": [3], "annotations": [], "categories": [{"id": 1, "name": "a"}]}, r"images\[0\]: 3"),
    ],
)
def test_what_is_no_coco(write: Any, content: Any, told: str) -> None:
    with pytest.raises(RecipeError, match=told):
        read_data_set(write(content))


def test_many_problems_are_counted(write: Any, document: Document) -> None:
    document["annotations"] *= 9
    with pytest.raises(RecipeError, match="and 3 problems more"):
        read_data_set(write(document))
    document["categories"].append({"id": 4, "name": "cat"})
    with pytest.raises(RecipeError, match="'cat' is there twice"):
        read_data_set(write({**document, "annotations": []}))


def test_an_annotation_0_gets_a_number_that_pycocotools_counts(write: Any, document: Document) -> None:
    document["annotations"][0]["id"] = 0
    assert [entry["id"] for entry in read_data_set(write(document)).document["annotations"]] == [1]


def test_annotations_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="cannot be read"):
        read_data_set(tmp_path / "none.json")
