"""Reads the pictures that models are checked with, and finds those that a recipe or a user names."""

import io
import os
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from ssdconvert.catalog import CatalogEntry
from ssdconvert.errors import RecipeError
from ssdconvert.generated_pictures import generated_pictures
from ssdconvert.plain_text import plain
from ssdconvert.resources import package_file
from ssdconvert.ssd.preprocess import Pixels

EMBEDDED = ("package:images/portrait.jpg", "package:images/shapes-1.jpg")  # for recipes that name none
# Pillow tells these and cannot read them on its own; it would run Ghostscript on an EPS file.
NOT_READ = {"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "PALM", "PDF", "WMF"}


def named_pictures(entry: CatalogEntry) -> list[tuple[str, Path]]:
    """Return name and path of a recipe's pictures, or of those that ssdconvert embeds.

    The name is the file's, and the whole reference where two files have the same name.
    """
    references = entry.recipe.pictures or EMBEDDED
    paths = entry.pictures() or [package_file(reference) for reference in references]
    names = [path.name for path in paths]
    if len(set(names)) < len(names):
        names = list(references)
    return list(zip(names, paths, strict=True))


def pictures_given(paths: Sequence[Path]) -> list[tuple[str, Path]]:
    """Return name and path of the pictures that a user names as files and folders, each once.

    A folder stands for the files in it and in its folders, in the order of their paths, that have a
    picture's suffix; hidden ones are passed over. The name is the file's, with as many of its folders as
    tell all of them apart. No file is opened: `read_picture` tells of one that is no picture.
    Raises RecipeError for a path that is not there, a folder without pictures, or what is no file.
    """
    found: dict[str, Path] = {}
    for given in paths:
        try:
            for path in _pictures_in(given) if given.is_dir() else [_file(given)]:
                found.setdefault(os.path.realpath(path), path)
        except OSError as error:
            raise RecipeError(
                f"{error.filename or given} cannot be read: {error.strerror or error}",
                hint="give pictures that can be read, or folders that hold some",
                stage="picture",
            ) from error
    files = list(found.values())
    for depth in range(1, max((len(path.parts) for path in files), default=0) + 1):
        names = [shown(Path(*path.parts[-depth:])) for path in files]
        if len(set(names)) == len(names):
            break
    return list(zip(names, files, strict=True)) if files else []


def embedded_pictures() -> list[tuple[str, Path]]:
    """Return name and path of the pictures for models of which nobody says more."""
    paths = [package_file(reference) for reference in EMBEDDED]
    return [(path.name, path) for path in paths]


def pictures_beside(own: Sequence[tuple[str, Path]], paths: Sequence[Path]) -> tuple[tuple[str, Path], ...]:
    """Return the pictures that a user names, by names that those of the recipe, its `own`, do not have."""
    taken = {name for name, _ in own} | {*generated_pictures()}
    return tuple((f"given {name}" if name in taken else name, path) for name, path in pictures_given(paths))


def read_picture(source: Path | bytes | BinaryIO, name: str = "", upright: bool = True) -> Pixels:
    """Return the picture, a file's or of its bytes, as RGB u8 [H, W, 3], turned `upright` as its EXIF says.

    As in cv2.imread an alpha channel is dropped, not blended, and greyscale of 16 bits is scaled down; of
    several frames the first is taken. Raises RecipeError, which tells of `name` or the path, when it cannot
    be read, is no picture, or holds numbers whose black and white nobody knows.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    name = name or (str(source) if isinstance(source, Path) else "the picture")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what Pillow passes over: broken metadata, many pixels
            file = io.BytesIO(source) if isinstance(source, bytes) else source
            with Image.open(file, formats=_formats()) as image:
                if upright:
                    ImageOps.exif_transpose(image, in_place=True)
                if image.mode == "F":
                    raise ValueError("it holds floating-point numbers, and does not say which is white")
                rgb: Image.Image = image
                if image.mode.startswith("I"):  # 16 bits a pixel, which convert() would clip to white
                    rgb = Image.fromarray(_eight_bits(np.asarray(image)))
                pixels = np.asarray(rgb if rgb.mode == "RGB" else rgb.convert("RGB"))
        if not pixels.size:
            raise ValueError("it has no pixels")
        return pixels
    except FileNotFoundError:
        raise RecipeError(
            f"the picture {name} does not exist", hint="check the path", stage="picture"
        ) from None
    except Exception as error:  # of damaged files Pillow's readers raise whatever goes wrong in them
        reason = str(error) or type(error).__name__
        if isinstance(error, UnidentifiedImageError):
            reason = "it is in no format that Pillow reads"
        raise RecipeError(
            f"{name} cannot be read as a picture: {reason}",
            hint="give a whole PNG, JPEG or other file that Pillow reads, of 8 or 16 bits a channel",
            stage="picture",
        ) from error


def _formats() -> list[str]:
    from PIL import Image

    Image.init()
    return [name for name in Image.ID if name not in NOT_READ]


def _eight_bits(values: NDArray[Any]) -> Pixels:
    """Scale 0..65535 to 0..255; ValueError where values are beyond, as 32 bits a pixel can be."""
    if values.size and (values.min() < 0 or values.max() > 65535):
        raise ValueError("it holds 32-bit numbers, and does not say which is white")
    return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _file(path: Path) -> Path:
    path.stat()  # raises where it is not there
    if not path.is_file():
        raise RecipeError(
            f"{path} is neither a file nor a folder",
            hint="write the picture to a file, and give that",
            stage="picture",
        )
    return path


def _pictures_in(folder: Path) -> list[Path]:
    from PIL import Image

    suffixes = {suffix for suffix, name in Image.registered_extensions().items() if name not in NOT_READ}
    found = sorted(path for path in _files_under(folder) if path.suffix.lower() in suffixes)
    if not found:
        raise RecipeError(
            f"the folder {folder} holds no picture",
            hint="give a folder with PNG, JPEG or other files that Pillow reads",
            stage="picture",
        )
    return found


def _files_under(folder: Path) -> Iterator[Path]:
    """Yield what is not hidden in a folder and in its folders, links followed, each folder once.

    A link to nothing is yielded too: reading it tells. Raises OSError for a folder that cannot be listed.
    """
    seen, open_folders = set(), [folder]
    while open_folders:
        folder = open_folders.pop()
        if os.path.realpath(folder) in seen:
            continue
        seen.add(os.path.realpath(folder))
        for path in folder.iterdir():
            if path.name.startswith("."):
                continue
            if path.is_dir():
                open_folders.append(path)
            elif path.is_file() or not path.exists():
                yield path


def shown(path: Path) -> str:
    """Return a path as text that every report can hold, whatever bytes its name is made of."""
    return plain(path.as_posix())
