"""Writes pictures, and never over one that somebody else made.

A picture of ours says so in itself: as its EXIF software, as a comment in GIF, in the four bytes that a BMP
leaves to the program that makes it. Formats that hold no such thing are never known to be ours.
"""

import contextlib
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssdconvert.errors import RecipeError
from ssdconvert.workspace import written_atomically

if TYPE_CHECKING:
    from PIL import Image

MAKER = "ssdconvert"
MANY = "out"  # folder for the drawings of several pictures
SOFTWARE = 0x0131  # EXIF's tag of the program that made a picture
EXIF_FORMATS = ("JPEG", "PNG", "TIFF", "WEBP", "AVIF")
BMP_MARK, BMP_RESERVED = b"ssdc", slice(6, 10)  # bfReserved1 and 2 of the file's header


def format_of(target: Path) -> str:
    """Return Pillow's name of the format that a file's name says; RecipeError where Pillow writes none such."""
    from PIL import Image

    name = Image.registered_extensions().get(target.suffix.lower())
    if name is None or name not in Image.SAVE:
        raise RecipeError(
            f"no format is known for the picture {target}",
            hint="give a name that ends in .png, .jpg, .bmp, .webp or .tif, or a folder with a / at its end",
            stage="output",
        )
    return name


def save(image: "Image.Image", target: Path) -> None:
    """Write a picture that says who made it; RecipeError where that cannot be done."""
    name = format_of(target)
    options: dict[str, Any] = {}
    if name in EXIF_FORMATS:
        from PIL import Image

        exif = Image.Exif()
        exif[SOFTWARE] = MAKER
        options["exif"] = exif
    elif name == "GIF":
        options["comment"] = MAKER.encode()
    if name == "PNG":
        options["compress_level"] = 1  # a quarter of the time, a tenth more bytes
    elif name == "JPEG":
        options |= {"quality": 92, "subsampling": 0}  # coloured lines would go grey
    try:
        with written_atomically(target) as temporary:
            image.save(temporary, name, **options)
            if name == "BMP":
                with temporary.open("r+b") as file:
                    file.seek(BMP_RESERVED.start)
                    file.write(BMP_MARK)
    except (OSError, ValueError) as error:
        raise RecipeError(
            f"the picture {target} cannot be written: {error}",
            hint="give --output a name in a folder that can be written, ending in .png, .jpg or .bmp",
            stage="output",
        ) from error


def refuse_foreign(target: Path, force: bool, inputs: Sequence[Path] = ()) -> None:
    """Raise RecipeError for a file that is there and not known to be ours, unless with `force`, or is an input."""
    if not target.exists():
        return
    if any(_same(target, path) for path in inputs):
        raise RecipeError(
            f"{target} is one of the pictures to look at: it would be drawn over",
            hint="give another --output",
            stage="output",
        )
    if not force and not is_ours(target):
        raise RecipeError(
            f"{target} exists, and nothing in it says that ssdconvert made it",
            hint="give another --output, or --force to write over it",
            stage="output",
        )


def is_ours(path: Path) -> bool:
    """Say whether a file is a picture that `save` wrote."""
    from PIL import Image

    with contextlib.suppress(Exception), path.open("rb") as file:  # of files that are no pictures
        start = file.read(16)
        if start[:2] == b"BM":
            return start[BMP_RESERVED] == BMP_MARK
        with Image.open(path) as image:
            told = image.getexif().get(SOFTWARE) or image.info.get("comment") or ""
        return (told.decode("latin-1") if isinstance(told, bytes) else str(told)).strip("\0 ") == MAKER
    return False


def drawn_names(names: Sequence[str], suffix: str = ".png") -> list[str]:
    """Return a file name for what is drawn on each picture, whose names are distinct: street/1.jpg, street/1.png.

    Of two that would be the same, as of 1.jpg and 1.bmp, both keep their own suffix before the new one; those
    that are the same all the same are numbered.
    """
    inside = [Path(*(part for part in Path(name).parts if part not in ("..", "/"))) for name in names]
    plain = [str(path.with_suffix(suffix)) for path in inside]
    counts = Counter(plain)
    longer = [one if counts[one] == 1 else f"{path}{suffix}" for one, path in zip(plain, inside, strict=True)]
    taken: set[str] = set()
    for index, name in enumerate(longer):
        stem, number = name.removesuffix(suffix), 2
        while longer[index] in taken:
            longer[index], number = f"{stem}-{number}{suffix}", number + 1
        taken.add(longer[index])
    return longer


def outputs_of(
    given: str | None, default: str, names: Sequence[str], many: bool, inputs: Sequence[Path], force: bool
) -> list[Path]:
    """Return where the drawing of each picture goes; `given` is a file or a folder.

    RecipeError where that is not possible, or a file is there already that `refuse_foreign` refuses.
    """
    folder = given is not None and (given.endswith(("/", os.sep)) or Path(given).is_dir())
    if many and given and not folder and Path(given).suffix.lower() in _suffixes():
        raise RecipeError(
            f"--output {given} is one picture, and several are drawn",
            hint="give a folder",
            stage="output",
        )
    if many or folder:
        place = Path(given or MANY)
        files = drawn_names(names if many else [Path(name).name for name in names])
        targets = [place / file for file in files]
    else:
        targets = [Path(given or default)]
        format_of(targets[0])
    for target in targets:
        refuse_foreign(target, force, inputs)
    return targets


def _suffixes() -> list[str]:
    from PIL import Image

    return list(Image.registered_extensions())


def _same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False
