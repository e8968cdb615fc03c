"""PASCAL VOC's annotations, an XML file for each picture, in COCO's form.

A box's corners are VOC's pixels, counted from 1, the last one inside: (xmin=1, xmax=W) covers the whole width. In
COCO's form, where coordinates lie between pixels and begin at 0, that is x = xmin - 1, width = xmax - xmin + 1: as
the VOC development kit measures overlaps (`bi(3)-bi(1)+1` in VOCevaldet.m) and detectron2 reads it (pascal_voc.py).
An object that is `difficult` is neither owed nor counted against a model: it becomes a crowd, the only thing that
pycocotools ignores, which a detection matches by the part of its own area that lies inside.

The parser is expat; a document type, which could declare entities, is refused.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.parsers.expat import ExpatError, ParserCreate

from ssdconvert.accuracy.coco_form import checked, inside
from ssdconvert.errors import RecipeError

LARGEST = 16 << 20  # bytes of an annotation
SUFFIXES = (".jpg", ".jpeg", ".png", ".JPG", ".JPEG", ".PNG")
CORNERS = ("xmin", "ymin", "xmax", "ymax")


@dataclass
class _Node:
    """An element of XML: its text and its children by name, in order."""

    text: str = ""
    children: dict[str, list["_Node"]] = field(default_factory=dict)

    def word(self, *path: str) -> str:
        """Return the text of an element below, empty where there is none."""
        node = self
        for name in path:
            if name not in node.children:
                return ""
            node = node.children[name][0]
        return node.text.strip()

    def number(self, *path: str) -> float:
        """Return the number in an element below; ValueError where there is none."""
        word = self.word(*path)
        try:
            return float(word)
        except ValueError:
            raise ValueError(f"{'/'.join(path)} is {word!r}, expected a number") from None


def voc_images(annotations: Path) -> Path:
    """Return the folder of the pictures: JPEGImages of the development kit, or where the XML files are."""
    kit = _kit(annotations)
    for folder in (kit / "JPEGImages", kit.parent / "JPEGImages"):
        if folder.is_dir():
            return folder
    return annotations if annotations.is_dir() else annotations.parent


def read_voc(annotations: Path, folder: Path) -> dict[str, Any]:
    """Return COCO's form of XML files, those of a folder, a development kit, or a list in its ImageSets.

    `folder` is that of the pictures. They are numbered from 1 in the order of the files' names, categories in that
    of their own. Raises RecipeError, which names the file, for annotations that are wrong.
    """
    images: list[dict[str, Any]] = []
    objects: list[tuple[int, str, dict[str, Any]]] = []
    for number, path in enumerate(_files(annotations), start=1):
        try:
            root = _parsed(path)
            images.append({"id": number, **_picture(root, path, folder)})
            objects += [(number, *_object(node)) for node in root.children.get("object", ())]
        except (ArithmeticError, ValueError, ExpatError, LookupError, OSError) as error:
            raise RecipeError(
                f"{path} is no annotation in VOC's form: {error}",
                hint="correct or remove it",
                stage="data-set",
            ) from error
    names = sorted({name for _, name, _ in objects})
    numbers = {name: number for number, name in enumerate(names, start=1)}
    document = {
        "images": images,
        "annotations": [
            {"id": index, "image_id": image, "category_id": numbers[name], **box}
            for index, (image, name, box) in enumerate(objects, start=1)
        ],
        "categories": [{"id": number, "name": name} for name, number in numbers.items()],
    }
    return checked(document, annotations)


def _kit(annotations: Path) -> Path:
    """Return the folder of the development kit that annotations belong to."""
    return (
        annotations.parents[2]
        if annotations.suffix == ".txt" and len(annotations.parents) > 2
        else annotations
    )


def _files(annotations: Path) -> Sequence[Path]:
    """Return the XML files, sorted; RecipeError where there is none, or one that a list names is not there."""
    folder = _kit(annotations) / "Annotations"
    if annotations.suffix == ".txt":
        try:
            words = [line.split()[0] for line in annotations.read_text("utf-8").splitlines() if line.split()]
        except (OSError, ValueError) as error:
            raise RecipeError(
                f"{annotations} cannot be read: {error}",
                hint="give a list of ImageSets/Main",
                stage="data-set",
            ) from error
        paths = sorted(folder / f"{word}.xml" for word in set(words))
    else:
        paths = sorted((folder if folder.is_dir() else annotations).glob("*.xml"))
    if not paths:
        raise RecipeError(
            f"{annotations} holds no XML file",
            hint="give a folder of VOC's annotations, a development kit, or a list in its ImageSets/Main",
            stage="data-set",
        )
    return paths


def _picture(root: _Node, path: Path, folder: Path) -> dict[str, Any]:
    """Return name and size of a picture: a file that is renamed after it was annotated has the name of the XML."""
    name = root.word("filename")
    if name:
        inside(name)
    if not name or not (folder / name).is_file():
        beside = [path.stem + suffix for suffix in SUFFIXES if (folder / (path.stem + suffix)).is_file()]
        name = beside[0] if beside else name or path.stem + SUFFIXES[0]
    return {"file_name": name, **{side: int(root.number("size", side)) for side in ("width", "height")}}


def _object(node: _Node) -> tuple[str, dict[str, Any]]:
    """Return the name of an object's class, its box, and whether it is to be ignored."""
    left, top, right, bottom = (node.number("bndbox", corner) for corner in CORNERS)
    if right < left or bottom < top:
        raise ValueError(f"a bndbox ends before it begins: {left:g}, {top:g}, {right:g}, {bottom:g}")
    box = [left - 1, top - 1, right - left + 1, bottom - top + 1]
    return node.word("name"), {
        "bbox": box, "area": box[2] * box[3], "iscrowd": int(node.word("difficult") not in ("", "0"))
    }  # fmt: skip


def _parsed(path: Path) -> _Node:
    """Return the root of an annotation; ValueError or ExpatError where it is none."""
    if path.stat().st_size > LARGEST:
        raise ValueError(f"it has more than {LARGEST >> 20} MB")
    top = _Node()
    stack = [top]

    def start(name: str, _: dict[str, str]) -> None:
        node = _Node()
        stack[-1].children.setdefault(name, []).append(node)
        stack.append(node)

    def text(words: str) -> None:
        stack[-1].text += words

    def refuse(*_: Any) -> None:
        raise ValueError("it has a document type, which could declare entities")

    parser = ParserCreate()
    parser.StartElementHandler = start
    parser.EndElementHandler = lambda _: stack.pop() and None
    parser.CharacterDataHandler = text
    parser.StartDoctypeDeclHandler = refuse
    parser.Parse(path.read_bytes(), True)
    if "annotation" not in top.children:
        raise ValueError("its first element is not 'annotation'")
    return top.children["annotation"][0]
