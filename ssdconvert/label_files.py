"""Reads lists of class names as people write them.

One name a line, what follows a comma left out (the old OpenVINO sample), with or without a line for the
background (Open Model Zoo); numbered lines, `1: person`, and the categories of COCO's annotations. Or the name
of a shipped list.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ssdconvert.errors import RecipeError
from ssdconvert.labels import LABEL_LISTS

BACKGROUNDS = {"background", "__background__", "bg", "__bg__", "_background_", "unlabeled", "unlabelled"}
NUMBERED = re.compile(r"(\d{1,5})\s*[:,\s]\s*(\S.*)")
LARGEST_FILE = 64 << 20  # bytes: the annotations of COCO val2017 have 20 MB


@dataclass(frozen=True)
class LabelList:
    """`names` of classes without the background, "" for numbers that have none.

    `first_number` is the label of the first of them, None where the list does not say: there is neither a
    background nor a number in it.
    """

    origin: str
    names: tuple[str, ...]
    first_number: int | None


def read_labels(reference: str) -> LabelList:
    """Return a shipped list by its name, or that of a file.

    Raises RecipeError where there is no such file, it is not UTF-8, or holds no names.
    """
    path = Path(reference)
    if reference in LABEL_LISTS and not path.exists():
        return LabelList(reference, LABEL_LISTS[reference], 1)
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
        if len(content) > LARGEST_FILE:
            raise _refused(f"{path} has more than {LARGEST_FILE >> 20} MB: that is no list of names")
        text = content.decode("utf-8-sig")
    except OSError as error:
        raise _refused(f"the label file {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise RecipeError(
            f"the label file {path} is not UTF-8: byte 0x{content[error.start]:02x} at {error.start}",
            hint="save it as UTF-8, one name a line",
            stage="labels",
        ) from error
    names, first_number = _parsed(text, path)
    if not any(names):
        raise _refused(f"the label file {path} holds no names")
    return LabelList(str(path), tuple(names), first_number)


def _parsed(text: str, path: Path) -> tuple[list[str], int | None]:
    if path.suffix.lower() == ".json":
        return _from_json(text, path)
    lines = [line.strip() for line in text.rstrip().splitlines()]
    numbered = [NUMBERED.fullmatch(line) for line in lines if line]
    numbers = [int(match[1]) for match in numbered if match]
    if numbers and len(numbers) == len(numbered) and sorted(set(numbers)) == numbers:
        return _by_number((int(match[1]), match[2].strip()) for match in numbered if match)
    names = [line.split(",")[0].strip() for line in lines]
    if names and _is_background(names[0]):
        return names[1:], 1
    return names, None


def _from_json(text: str, path: Path) -> tuple[list[str], int | None]:
    """Return the names of COCO's annotations, of its `categories` alone, or of a list of names."""
    try:
        document: Any = json.loads(text)
        entries = document["categories"] if isinstance(document, dict) else document
        if entries and all(isinstance(entry, str) for entry in entries):
            return (entries[1:], 1) if _is_background(entries[0]) else (entries, None)
        return _by_number(sorted((int(entry["id"]), str(entry["name"])) for entry in entries))
    except (ValueError, KeyError, TypeError) as error:
        raise _refused(
            f"the label file {path} holds neither a list of names nor COCO's categories"
        ) from error


def _by_number(entries: Iterable[tuple[int, str]]) -> tuple[list[str], int]:
    named = {number: name for number, name in entries if 0 <= number < 100_000}
    first = 0 if 0 in named and not _is_background(named[0]) else 1
    return [named.get(number, "") for number in range(first, max(named, default=0) + 1)], first


def _is_background(name: str) -> bool:
    return name.lower() in BACKGROUNDS


def _refused(message: str) -> RecipeError:
    known = ", ".join(LABEL_LISTS)
    return RecipeError(
        message, hint=f"give a text file with one name a line, or one of {known}", stage="labels"
    )
