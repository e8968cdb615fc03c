"""VOC's annotations in COCO's form."""

from pathlib import Path

import pytest

from ssdconvert.accuracy.data_set import read_data_set
from ssdconvert.errors import RecipeError

OBJECT = "<object><name>{}</name><difficult>{}</difficult><bndbox>{}</bndbox></object>"
BOX = "<xmin>1</xmin><ymin>3</ymin><xmax>40</xmax><ymax>12</ymax>"
SIZE = "<size><width>40</width><height>30</height><depth>3</depth></size>"


def annotation(*objects: str, size: str = SIZE, filename: str = "") -> str:
    name = f"<filename>{filename}</filename>" if filename else ""
    return f"<?xml version='1.0'?><annotation>{name}{size}{''.join(objects)}</annotation>"


@pytest.fixture
def kit(tmp_path: Path) -> Path:
    """A development kit of two pictures; the second is of the split `test` alone."""
    for folder in ("Annotations", "JPEGImages", "ImageSets/Main"):
        (tmp_path / folder).mkdir(parents=True)
    first = annotation(
        OBJECT.format("dog", 0, BOX), OBJECT.format("cat", 1, BOX.replace("40", "7")), filename="1.jpg"
    )
    (tmp_path / "Annotations" / "1.xml").write_text(first)
    (tmp_path / "Annotations" / "2.xml").write_text(
        annotation(OBJECT.format("dog", 0, BOX), filename="old.jpg")
    )
    for name in ("1.jpg", "2.png"):
        (tmp_path / "JPEGImages" / name).write_bytes(b"")
    (tmp_path / "ImageSets" / "Main" / "test.txt").write_text("2\n")
    return tmp_path


def test_a_development_kit(kit: Path) -> None:
    data = read_data_set(kit)
    assert [(one.id, one.name, one.width, one.height) for one in data.pictures] == [
        (1, "1.jpg", 40, 30),
        (2, "2.png", 40, 30),  # renamed since
    ]
    assert data.categories == {1: "cat", 2: "dog"}
    first, second, third = data.document["annotations"]
    # pixels 1..40 are the whole width
    assert (first["bbox"], first["category_id"], first["iscrowd"]) == ([0, 2, 40, 10], 2, 0)
    assert (second["bbox"], second["category_id"], second["iscrowd"]) == ([0, 2, 7, 10], 1, 1)
    assert (third["image_id"], third["area"]) == (2, 400)


def test_a_split_and_a_plain_folder(kit: Path) -> None:
    assert [one.name for one in read_data_set(kit / "ImageSets" / "Main" / "test.txt").pictures] == ["2.png"]
    names = [one.name for one in read_data_set(kit / "Annotations").pictures]
    assert names == [one.name for one in read_data_set(kit / "Annotations", kit / "JPEGImages").pictures]
    assert names == ["1.jpg", "2.png"]


def test_pictures_elsewhere_are_found_by_the_names_of_the_files(kit: Path, tmp_path: Path) -> None:
    (kit / "JPEGImages").rename(tmp_path / "elsewhere")
    data = read_data_set(kit, tmp_path / "elsewhere")
    assert [one.name for one in data.pictures] == ["1.jpg", "2.png"]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ('<!DOCTYPE a [<!ENTITY b "c">]><annotation>&b;</annotation>', "document type"),
        ("<annotation>", "no element found"),
        ("<net/>", "first element is not 'annotation'"),
        (annotation(size=""), "size/width is ''"),
        (annotation(size=SIZE.replace("40", "inf")), "infinity"),
        (annotation(OBJECT.format("dog", 0, "")), "bndbox/xmin is ''"),
        (annotation(OBJECT.format("dog", 0, BOX.replace("40", "0"))), "ends before it begins"),
        (annotation(OBJECT.format("", 0, BOX)), "expected a name"),
        (annotation(OBJECT.format("dog", 0, BOX.replace("40", "inf"))), "finite"),
        (annotation(filename="../1.jpg"), "leaves the folder"),
        ("<?xml version='1.0' encoding='none'?><annotation/>", "unknown encoding"),
    ],
)
def test_what_is_no_annotation(kit: Path, content: str, told: str) -> None:
    (kit / "Annotations" / "1.xml").write_text(content)
    with pytest.raises(RecipeError) as error:
        read_data_set(kit)
    assert told in error.value.message


def test_nothing_to_read(kit: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(RecipeError, match="holds no XML file"):
        read_data_set(tmp_path / "empty")
    (kit / "ImageSets" / "Main" / "test.txt").write_text("3\n")
    with pytest.raises(RecipeError, match=r"3\.xml is no annotation"):
        read_data_set(kit / "ImageSets" / "Main" / "test.txt")
