"""Reads the pictures that models are checked with."""

from pathlib import Path

import numpy as np

from ssdconvert.catalog import CatalogEntry
from ssdconvert.errors import RecipeError
from ssdconvert.resources import package_file
from ssdconvert.ssd.preprocess import Pixels

EMBEDDED = ("package:images/portrait.jpg", "package:images/shapes-1.jpg")  # for recipes that name none


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


def read_picture(path: Path) -> Pixels:
    """Return the picture as RGB u8 [H, W, 3], turned upright as its EXIF data says.

    As in cv2.imread an alpha channel is dropped, not blended, and greyscale of 16 bits is scaled down.
    Raises RecipeError when the file cannot be read or is no picture.
    """
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as image:
            upright = ImageOps.exif_transpose(image)
            if upright.mode.startswith("I"):  # 16 bits a pixel, which convert() would clip to white
                upright = Image.fromarray((np.asarray(upright) / 257).round().clip(0, 255).astype(np.uint8))
            return np.asarray(upright.convert("RGB"))
    except FileNotFoundError:
        raise RecipeError(
            f"the picture {path} does not exist", hint="check the path", stage="picture"
        ) from None
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise RecipeError(
            f"{path} cannot be read as a picture: {error}",
            hint="give a whole PNG, JPEG or other file that Pillow reads",
            stage="picture",
        ) from error
