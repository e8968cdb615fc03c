"""The kinds of values that a recipe holds: numbers in a range, paths, names, lists of labels."""

import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag
from pydantic import StringConstraints as Text

from ssdconvert.labels import LABEL_LISTS
from ssdconvert.recipe_problems import MEANING_OF_PATTERN
from ssdconvert.url_secrets import without_secrets

GENERATED = "generated:"  # so many pictures of the shapes that ssd-demo detects
NAME, SHA256, SHA384, WEB_URL, FILE_URL = MEANING_OF_PATTERN


def relative_path(path: str) -> str:
    """Accept a path that stays in its folder on every system."""
    parts = path.split("/")
    if "\\" in path or ":" in parts[0] or not path.isprintable() or {"", ".", ".."} & set(parts):
        raise ValueError("a relative path with '/', without '..', '\\' or a drive")
    return path


def file_name(path: str) -> str:
    """Accept a relative path that means nothing else in the cache: see `ssdconvert.fetching.cache`."""
    parts = relative_path(path).lower().split("/")
    if parts[0] in ("lock.json", "lock.json.new") or any(
        part.startswith(".tmp-") or part.endswith(".rejected") for part in parts
    ):
        raise ValueError("a name that the cache does not use itself (lock.json, *.rejected, .tmp-*)")
    return path


def package_path(reference: str) -> str:
    """Accept a URL, or package: and a path that stays in the package."""
    if reference.startswith("package:"):
        relative_path(reference.removeprefix("package:"))
    return reference


def picture_path(reference: str) -> str:
    """Accept a path relative to the recipe, or package: and a path that stays in the package."""
    if not reference.startswith("package:") and (reference.startswith("/") or re.search(r"[\\:]", reference)):
        raise ValueError("a path relative to the recipe file, or package:RELATIVE/PATH")
    return package_path(reference)


def calibration_reference(reference: str) -> str:
    """Accept generated:COUNT, or what `picture_path` accepts."""
    if not reference.startswith(GENERATED):
        return picture_path(reference)
    if not re.fullmatch(r"[1-9][0-9]{0,4}", reference.removeprefix(GENERATED)):
        raise ValueError("generated:COUNT, of 1 to 99999 pictures")
    return reference


def _non_zero(number: float) -> float:
    if number == 0:
        raise ValueError("a number other than 0")
    return number


def distinct(items: tuple[Any, ...]) -> tuple[Any, ...]:
    """Accept items of which no two are equal, or have the same name."""
    keys = [getattr(item, "name", item) for item in items]
    twice = [key for position, key in enumerate(keys) if key in keys[:position]]
    if twice:
        raise ValueError(f"no two alike ({twice[0]!r} is there twice)")
    return items


def side_by_side(files: tuple[Any, ...]) -> tuple[Any, ...]:
    """Accept files of which none has the name of a folder that another one is in."""
    folders = {str(folder) for file in files for folder in PurePosixPath(file.name).parents}
    taken = [file.name for file in files if file.name in folders]
    if taken:
        raise ValueError(f"no file with the name of another one's folder ({taken[0]!r} is both)")
    return files


def _label_list(reference: str) -> str:
    if reference not in LABEL_LISTS:
        raise ValueError(f"a list of class names, or one of {', '.join(LABEL_LISTS)}")
    return reference


def no_classes(options: Mapping[str, Any]) -> Mapping[str, Any]:
    """Accept options of a network without the number of classes."""
    if "classes" in options:
        raise ValueError("no option 'classes': the number of classes follows from detections.labels")
    return options


Line = Annotated[str, Text(min_length=1)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Tolerance = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Divisor = Annotated[Number, AfterValidator(_non_zero)]
Count = Annotated[int, Field(ge=1)]
Url = Annotated[str, Text(pattern=FILE_URL), AfterValidator(package_path), AfterValidator(without_secrets)]
Precision = Literal["FP32", "FP16", "INT8"]
LabelList = Annotated[str, AfterValidator(_label_list), Field(json_schema_extra={"enum": list(LABEL_LISTS)})]
NetworkOptions = Annotated[Mapping[str, int | float | str], AfterValidator(no_classes)]
InlineLabels = Annotated[tuple[Line, ...], Field(min_length=1), AfterValidator(distinct)]
Labels = Annotated[
    Annotated[LabelList, Tag("shipped")] | Annotated[InlineLabels, Tag("inline")],
    Discriminator(lambda labels: "inline" if isinstance(labels, list | tuple) else "shipped"),
]


class Part(BaseModel):
    """A part of a recipe: frozen, and without keys that nobody knows."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)
