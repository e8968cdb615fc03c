"""What models find, a line of JSON for each picture, in a file that a run that was killed goes on with.

The first line says all that the others depend on: the annotations and the files of the pictures, the models, the
recipe, the program and its tools. Where one of these changed the file is begun anew; of several models only those
that changed. A line is whole or it is not there: what a kill left of the last one is dropped.

Detections are numbers in base64: to write a hundred in decimals takes a tenth of the time of a small network.
"""

import json
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ssdconvert.accuracy.coco_map import labelled_array, labelled_rows
from ssdconvert.accuracy.data_set import AnnotatedPicture
from ssdconvert.accuracy.finders import Finder
from ssdconvert.errors import RecipeError
from ssdconvert.locks import held
from ssdconvert.pictures import read_picture
from ssdconvert.plain_text import json_text
from ssdconvert.ssd.preprocess import Pixels
from ssdconvert.workspace import written_atomically

FORMAT = "ssdconvert evaluate 2"
MODELS = "models"
Key = tuple[str, int]  # of a line: the model's name, the picture's id


@dataclass(frozen=True)
class Line:
    """What a model found in a picture: `text` is a line of the file; `broken`: the picture cannot be read."""

    key: Key
    text: str
    broken: bool

    @property
    def document(self) -> dict[str, Any]:
        """Return the line's parts: `rows`, and `size` where the annotations say another one; or `problem`."""
        document: dict[str, Any] = json.loads(self.text)
        if "rows" in document:
            array = np.frombuffer(b64decode(document["rows"], validate=True), "<f8").reshape(-1, 6)
            document["rows"] = labelled_rows(array)
        return document


def line_of(name: str, finder: Finder, picture: AnnotatedPicture) -> Line:
    """Return what the model of this name finds in a picture, or why that cannot be read."""
    document: dict[str, Any] = {"model": name, "picture": picture.id}
    try:
        pixels = as_annotated(picture)
    except RecipeError as error:
        told = error.message.replace(str(picture.path), picture.name)
        return Line((name, picture.id), json.dumps({**document, "problem": told}), True)
    height, width = pixels.shape[:2]
    if (width, height) != (picture.width, picture.height):
        document["size"] = [width, height]
    array = labelled_array(picture, finder.find(pixels)).astype("<f8")
    document["rows"] = b64encode(array.tobytes()).decode()
    return Line((name, picture.id), json.dumps(document), False)


def as_annotated(picture: AnnotatedPicture) -> Pixels:
    """Return a picture as those saw it who annotated it: upright as its EXIF says, unless its size tells otherwise.

    OpenCV and browsers turn pictures, Pillow does not: annotations are of the one or the other. Where the size fits
    neither, the picture is taken upright, and its boxes are scaled to the size in the annotations.
    """
    pixels = read_picture(picture.path, picture.name)
    size = (picture.height, picture.width)
    if pixels.shape[:2] != size and pixels.shape[1::-1] == size:
        stored = read_picture(picture.path, picture.name, upright=False)
        return stored if stored.shape[:2] == size else pixels
    return pixels


class Predictions:
    """The lines of one file, by model and picture; `told` says what of an earlier run was not used, and why."""

    def __init__(self, header: Mapping[str, Any], lines: dict[Key, Line], told: str = "") -> None:
        self.header, self.lines, self.told = header, lines, told
        self._file: BinaryIO | None = None

    def missing(self, model: str, pictures: Sequence[AnnotatedPicture]) -> list[AnnotatedPicture]:
        """Return the pictures of which nobody knows yet what a model finds in them."""
        return [picture for picture in pictures if (model, picture.id) not in self.lines]

    def add(self, line: Line) -> None:
        """Append a line, so that it stays there whatever becomes of this process."""
        assert self._file
        self._file.write(line.text.encode() + b"\n")
        self._file.flush()
        self.lines[line.key] = line

    @contextmanager
    def appended_to(self, path: Path) -> Iterator[None]:
        """Hold the file open for `add`."""
        with path.open("ab") as self._file:
            yield


@contextmanager
def predictions_in(
    path: Path, header: Mapping[str, Any], on_wait: Callable[[], None] = lambda: None
) -> Iterator[Predictions]:
    """Give the predictions of an earlier run that still hold, and take new ones; one process at a time has the file."""
    with held(path.with_name(f".{path.stem}.lock"), on_wait):
        found = _kept(path, header)
        with written_atomically(path) as temporary, temporary.open("wb") as file:
            file.write(json_text(found.header).encode() + b"\n")
            file.writelines(line.text.encode() + b"\n" for line in found.lines.values())
        with found.appended_to(path):
            yield found


def read_predictions(path: Path) -> Predictions:
    """Return what is in a file; RecipeError where it is none of predictions."""
    try:
        first, *rest = path.read_bytes().split(b"\n")
        header = json.loads(first)
        if header["format"] != FORMAT or not isinstance(header[MODELS], dict):
            raise ValueError(f"it begins with {header['format']!r}")
    except OSError as error:
        raise RecipeError(
            f"{path} cannot be read: {error.strerror}", hint="check the path", stage="evaluate"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise RecipeError(
            f"{path} holds no predictions of this version: {error}",
            hint="give a file that `ssdconvert evaluate` wrote",
            stage="evaluate",
        ) from error
    lines = [
        line for text in rest[:-1] if (line := _read(text))
    ]  # what follows the last newline is not whole
    return Predictions(header, {line.key: line for line in lines})


def _read(text: bytes) -> Line | None:
    """Return a line, None for one that is damaged."""
    try:
        document = json.loads(text)
        key = str(document["model"]), int(document["picture"])
        return (
            Line(key, text.decode(), "problem" in document) if {"rows", "problem"} & set(document) else None
        )
    except (ValueError, KeyError, TypeError):
        return None


def _kept(path: Path, header: Mapping[str, Any]) -> Predictions:
    """Return what of a file holds under this header, without pictures that could not be read: they may be mended."""
    try:
        before = read_predictions(path)
    except RecipeError as error:
        return Predictions(header, {}, f"begins anew: {error.message}" if path.exists() else "")
    changed = sorted(
        key for key in {*before.header, *header} - {MODELS} if before.header.get(key) != header.get(key)
    )
    if changed:
        return Predictions(header, {}, f"begins anew: {', '.join(changed)} changed since {path} was written")
    models, asked = before.header[MODELS], header[MODELS]
    stale = sorted(name for name in asked if name in models and models[name] != asked[name])
    lines = {key: line for key, line in before.lines.items() if key[0] not in stale and not line.broken}
    told = f"begins {', '.join(stale)} anew: changed since {path} was written" if stale else ""
    return Predictions({**header, MODELS: {**models, **asked}}, lines, told)
