"""Annotated pictures in COCO's form, whichever form they come in.

COCO's own annotations (instances) are a JSON file, VOC's an XML file for each picture: see `accuracy.voc`. What is
read is checked, since pycocotools checks nothing: it takes NaN for a box that overlaps none, and counts a box whose
annotation has the id 0 as never found.
"""

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from ssdconvert.errors import RecipeError
from ssdconvert.plain_text import plain
from ssdconvert.workspace import digest_of_bytes

SHOWN = 5  # of what is wrong, or missing
HINT = "COCO's instances are {images: [...], annotations: [...], categories: [...]}; correct the file"


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
    `digest` covers the annotations and the names and sizes of the files, not what is in the pictures.
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

        document, folder = read_voc(annotations), images or voc_images(annotations)
    else:
        document = _read_coco(annotations)
        folder = images or _coco_images(annotations, document)
    if not folder.is_dir():
        raise _wrong(f"there is no folder {folder}", "give --images DIR, the folder of the pictures")
    pictures = [
        AnnotatedPicture(
            entry["id"], entry["file_name"], folder / entry["file_name"], entry["width"], entry["height"]
        )
        for entry in document["images"]
    ]
    there = tuple(picture for picture in pictures if picture.path.is_file())
    missing = tuple(picture.name for picture in pictures if not picture.path.is_file())
    if missing and (not allow_missing or not there):
        raise _wrong(
            f"{len(missing)} of {len(pictures)} pictures that {annotations} names are not in {folder}: "
            f"{listed(missing)}",
            "give --images the folder of these pictures; --allow-missing leaves them out",
        )
    return DataSet(there, document, _digest(document, there), missing)


def listed(names: Sequence[object], most: int = SHOWN) -> str:
    """Return the first of many names, and how many there are more."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return plain(", ".join(str(name) for name in names[:most]) + more)


def selected(data: DataSet, keep: Callable[[AnnotatedPicture], bool]) -> DataSet:
    """Return a data set with fewer pictures; annotations and digest stay those of the whole."""
    return replace(data, pictures=tuple(picture for picture in data.pictures if keep(picture)))


def _digest(document: Mapping[str, Any], pictures: Iterable[AnnotatedPicture]) -> str:
    sizes = [[picture.name, picture.path.stat().st_size] for picture in pictures]
    return digest_of_bytes(json.dumps([document, sizes], sort_keys=True, separators=(",", ":")).encode())


def _coco_images(annotations: Path, document: Mapping[str, Any]) -> Path:
    """Return the folder of the pictures: `images` beside the file, the file's own, or COCO's for instances_NAME."""
    names = [entry["file_name"] for entry in document["images"]]
    split = annotations.parent.parent / annotations.stem.removeprefix("instances_")
    for folder in (annotations.parent / "images", annotations.parent, split):
        if any((folder / name).is_file() for name in names):
            return folder
    raise _wrong(
        f"of {len(names)} pictures that {annotations} names none is in {annotations.parent / 'images'}, in "
        f"{annotations.parent} or in {split}: {listed(names)}",
        "give --images DIR, the folder of the pictures",
    )


def _read_coco(path: Path) -> dict[str, Any]:
    """Return what pycocotools needs of a file of instances; RecipeError, which lists what is wrong in it."""
    try:
        document = json.loads(path.read_bytes())
    except OSError as error:
        raise _wrong(f"{path} cannot be read: {error.strerror}", "check the path") from error
    except (ValueError, RecursionError) as error:
        raise _wrong(f"{path} is no JSON: {error}", HINT) from error
    if isinstance(document, list):
        raise _wrong(
            f"{path} holds a list: COCO's form of results, not of annotations", "give the annotations"
        )
    keys = ("images", "annotations", "categories")
    if not isinstance(document, dict) or not all(isinstance(document.get(key), list) for key in keys):
        raise _wrong(f"{path} has not the lists {', '.join(keys)}", HINT)
    return checked(document, path)


def checked(document: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Return a document of COCO's form with nothing but what is used; RecipeError, which lists what is wrong."""
    problems: list[str] = []
    images = _parts(document["images"], "images", _image, problems)
    categories = _parts(document["categories"], "categories", _category, problems)
    known = ({entry["id"] for entry in images}, {entry["id"] for entry in categories})
    annotations = _parts(
        document["annotations"], "annotations", lambda entry: _annotation(entry, *known), problems
    )
    names = [entry["name"] for entry in categories]
    problems += [
        f"categories: {name!r} is there twice" for name in sorted({n for n in names if names.count(n) > 1})
    ]
    problems += [f"{key}: there are none" for key in ("images", "categories") if not document[key]]
    if problems:
        raise _wrong(f"{path}: {'; '.join(problems[:SHOWN])}{_more(problems)}", HINT)
    if any(entry["id"] < 1 for entry in annotations):  # pycocotools takes a match with 0 for none
        annotations = [{**entry, "id": number} for number, entry in enumerate(annotations, start=1)]
    return {"images": images, "annotations": annotations, "categories": categories}


def _parts(
    entries: Sequence[Any],
    key: str,
    check: Callable[[Mapping[str, Any]], dict[str, Any]],
    problems: list[str],
) -> list[dict[str, Any]]:
    """Return the entries that are right, by their ids, and add to `problems` why others are not."""
    found: dict[int, dict[str, Any]] = {}
    for index, entry in enumerate(entries):
        try:
            part = check(entry) if isinstance(entry, dict) else _refuse("an object", entry)
            if part["id"] in found:
                raise ValueError(f"the id {part['id']} is there twice")
            found[part["id"]] = part
        except ValueError as error:
            problems.append(f"{key}[{index}]: {error}")
    return [found[number] for number in sorted(found)]


def _image(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": _whole(entry, "id"),
        "file_name": inside(entry.get("file_name")),
        "width": _whole(entry, "width", 1),
        "height": _whole(entry, "height", 1),
    }


def _category(entry: Mapping[str, Any]) -> dict[str, Any]:
    name = entry.get("name")
    return {
        "id": _whole(entry, "id"),
        "name": name if isinstance(name, str) and name else _refuse("a name", name),
    }


def _annotation(entry: Mapping[str, Any], images: set[int], categories: set[int]) -> dict[str, Any]:
    number, image, category = (_whole(entry, key) for key in ("id", "image_id", "category_id"))
    if image not in images:
        raise ValueError(f"no image has the id {image}")
    if category not in categories:
        raise ValueError(f"no category has the id {category}")
    box = entry.get("bbox")
    if not isinstance(box, list) or len(box) != 4 or not all(map(_finite, box)) or min(box[2:]) < 0:
        raise ValueError(f"bbox is {box!r}, expected x, y, width and height, finite and not negative")
    area = entry.get("area", box[2] * box[3])
    if not _finite(area) or area < 0:
        raise ValueError(f"area is {area!r}, expected a number that is not negative")
    crowd = int(bool(entry.get("iscrowd", 0)))
    return {
        "id": number, "image_id": image, "category_id": category, "bbox": box, "area": area, "iscrowd": crowd
    }  # fmt: skip


def inside(name: object) -> str:
    """Accept the name of a file in a folder or below it; ValueError for one that leaves it."""
    if not isinstance(name, str) or not name or "\0" in name:
        raise ValueError(f"file_name is {name!r}, expected the name of a file")
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or ":" in path.parts[0]:
        raise ValueError(f"file_name is {name!r}, which leaves the folder of the pictures")
    return name


def _whole(entry: Mapping[str, Any], key: str, least: int | None = None) -> int:
    value = entry.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or (least is not None and value < least):
        raise ValueError(
            f"{key} is {value!r}, expected a whole number{'' if least is None else f' from {least}'}"
        )
    return value


def _finite(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _refuse(expected: str, found: object) -> Any:
    raise ValueError(f"{found!r}, expected {expected}")


def _more(problems: Sequence[str]) -> str:
    return f"; and {len(problems) - SHOWN} problems more" if len(problems) > SHOWN else ""


def _wrong(message: str, hint: str) -> RecipeError:
    return RecipeError(message, hint=hint, stage="data-set")
