"""COCO's form of annotations, read and checked.

What is read is checked since pycocotools checks nothing: it takes NaN for a box that overlaps none, and counts a box
whose annotation has the id 0 as never found.
"""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from ssdconvert.errors import RecipeError

SHOWN = 5  # of what is wrong, or missing
LARGEST = 2**63 - 1  # of whole numbers: NumPy, which pycocotools sorts ids with, rounds those beyond
HINT = "COCO's instances are {images: [...], annotations: [...], categories: [...]}; correct the file"


def read_coco(path: Path) -> dict[str, Any]:
    """Return what pycocotools needs of a file of instances; RecipeError, which lists what is wrong in it."""
    try:
        document = json.loads(path.read_bytes())
    except OSError as error:
        raise wrong(f"{path} cannot be read: {error.strerror}", "check the path") from error
    except (ValueError, RecursionError) as error:
        raise wrong(f"{path} is no JSON: {error}", HINT) from error
    if isinstance(document, list):
        raise wrong(
            f"{path} holds a list: COCO's form of results, not of annotations", "give the annotations"
        )
    keys = ("images", "annotations", "categories")
    if not isinstance(document, dict) or not all(isinstance(document.get(key), list) for key in keys):
        raise wrong(f"{path} has not the lists {', '.join(keys)}", HINT)
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
        raise wrong(f"{path}: {'; '.join(problems[:SHOWN])}{_more(problems)}", HINT)
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
    crowd = entry.get("iscrowd", 0)
    if crowd not in (0, 1):
        raise ValueError(f"iscrowd is {crowd!r}, expected 0 or 1")
    return {
        "id": number, "image_id": image, "category_id": category, "bbox": box, "area": area, "iscrowd": int(crowd)
    }  # fmt: skip


def inside(name: object) -> str:
    """Accept the name of a file in a folder or below it; ValueError for one that leaves it."""
    if not isinstance(name, str) or not name or "\0" in name:
        raise ValueError(f"file_name is {name!r}, expected the name of a file")
    path = PurePosixPath(name.replace("\\", "/"))
    if not path.parts:
        raise ValueError(f"file_name is {name!r}, the folder of the pictures itself")
    if path.is_absolute() or ".." in path.parts or ":" in path.parts[0]:
        raise ValueError(f"file_name is {name!r}, which leaves the folder of the pictures")
    return name


def _whole(entry: Mapping[str, Any], key: str, least: int | None = None) -> int:
    value = entry.get(key)
    smallest = -LARGEST if least is None else least
    if isinstance(value, bool) or not isinstance(value, int) or not smallest <= value <= LARGEST:
        raise ValueError(
            f"{key} is {value!r}, expected a whole number of 64 bits{'' if least is None else f' from {least}'}"
        )
    return value


def _finite(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) <= sys.float_info.max


def _refuse(expected: str, found: object) -> Any:
    raise ValueError(f"{found!r}, expected {expected}")


def _more(problems: Sequence[str]) -> str:
    return f"; and {len(problems) - SHOWN} problems more" if len(problems) > SHOWN else ""


def wrong(message: str, hint: str) -> RecipeError:
    """Return the error of a data set that cannot be used."""
    return RecipeError(message, hint=hint, stage="data-set")
