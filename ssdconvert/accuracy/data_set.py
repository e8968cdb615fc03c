"""Annotated pictures in COCO's form, whichever form they come in.

COCO's own annotations (instances) are a JSON file, see `accuracy.coco_form`, VOC's an XML file for each picture, see
`accuracy.voc`.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ssdconvert.accuracy.coco_form import SHOWN, read_coco, wrong
from ssdconvert.plain_text import plain
from ssdconvert.workspace import digest_of, digest_of_bytes


@dataclass(frozen=True)
class AnnotatedPicture:
    """A picture: its id in the annotations, its name there, and its size in pixels as they say it."""

    id: int
    name: str
    path: Path
    width: int
    height: int


@dataclass(frozen=True)
class DataSet:
    """Pictures by their ids, and `document`, their annotations in COCO's form with what pycocotools needs.

    `missing` names the pictures that the annotations name and that are not there; they are not among `pictures`.
    `digest` covers the annotations, and the names and contents of the files.
    """

    pictures: tuple[AnnotatedPicture, ...]
    document: Mapping[str, Any]
    digest: str
    missing: tuple[str, ...] = ()

    @property
    def categories(self) -> dict[int, str]:
        """Names of the categories by their ids."""
        return {category["id"]: category["name"] for category in self.document["categories"]}

    @property
    def annotated(self) -> frozenset[int]:
        """Ids of the pictures that have an annotation."""
        return frozenset(annotation["image_id"] for annotation in self.document["annotations"])


def read_data_set(annotations: Path, images: Path | None = None, allow_missing: bool = False) -> DataSet:
    """Return the data set of COCO's instances (.json), a folder of VOC's XML files, or VOC's list of a split (.txt).

    `images` is the folder of the pictures; without it, it is looked for where COCO and VOC have it. Raises
    RecipeError for annotations that are wrong and, unless `allow_missing`, for pictures that are not there.
    """
    if annotations.is_dir() or annotations.suffix == ".txt":
        from ssdconvert.accuracy.voc import read_voc, voc_images

        folder = images or voc_images(annotations)
        document = read_voc(annotations, folder)
    else:
        document = read_coco(annotations)
        folder = images or _coco_images(annotations, document)
    if not folder.is_dir():
        raise wrong(f"there is no folder {folder}", "give --images DIR, the folder of the pictures")
    pictures = [
        AnnotatedPicture(
            entry["id"], entry["file_name"], folder / entry["file_name"], entry["width"], entry["height"]
        )
        for entry in document["images"]
    ]
    there = tuple(picture for picture in pictures if _is_file(picture.path))
    found = {picture.id for picture in there}
    missing = tuple(picture.name for picture in pictures if picture.id not in found)
    if missing and (not allow_missing or not there):
        raise wrong(
            f"{len(missing)} of {len(pictures)} pictures that {annotations} names are not in {folder}: "
            f"{listed(missing)}",
            "give --images the folder of these pictures; --allow-missing leaves them out",
        )
    return DataSet(there, document, _digest(document, there), missing)


def listed(names: Sequence[object], most: int = SHOWN) -> str:
    """Return the first of many names, and how many there are more."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return plain(", ".join(str(name) for name in names[:most]) + more)


def _digest(document: Mapping[str, Any], pictures: Iterable[AnnotatedPicture]) -> str:
    files = [[picture.name, _content(picture.path)] for picture in pictures]
    return digest_of_bytes(json.dumps([document, files], sort_keys=True, separators=(",", ":")).encode())


def _content(path: Path) -> str:
    """Return the digest of a file, empty where it cannot be read: such a picture is told as broken later."""
    try:
        return digest_of(path)
    except OSError:
        return ""


def _is_file(path: Path) -> bool:
    """Whether a file is there; one that the system refuses to look for, by the length of its name, is not."""
    try:
        return path.is_file()
    except OSError:
        return False


def _coco_images(annotations: Path, document: Mapping[str, Any]) -> Path:
    """Return the folder of the pictures: `images` beside the file, the file's own, or COCO's for instances_NAME."""
    names = [entry["file_name"] for entry in document["images"]]
    split = annotations.parent.parent / annotations.stem.removeprefix("instances_")
    for folder in (annotations.parent / "images", annotations.parent, split):
        if any(_is_file(folder / name) for name in names):
            return folder
    raise wrong(
        f"of {len(names)} pictures that {annotations} names none is in {annotations.parent / 'images'}, in "
        f"{annotations.parent} or in {split}: {listed(names)}",
        "give --images DIR, the folder of the pictures",
    )
