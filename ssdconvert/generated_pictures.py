"""Pictures that show a model what photographs do not: extremes, strong colours, and every form of file.

They are encoded files, read as a user's are, so that the reading is checked with the model. Equal on every
machine up to the rounding of the encoders.
"""

import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ssdconvert.ssd.preprocess import Pixels

if TYPE_CHECKING:
    from PIL.Image import Image

WIDTH, HEIGHT = 320, 240
ORIENTATION, QUARTER_TURN_RIGHT = 0x0112, 6  # EXIF: so it is turned to be seen upright
FINE = {"quality": 95, "subsampling": 0}  # of JPEG: colours as sharp as brightness
# Red and blue differ by their whole range: swapped channels change each of these to another.
RED, BLUE, YELLOW, CYAN = (255, 0, 0), (0, 0, 255), (255, 255, 0), (0, 255, 255)


def generated_pictures() -> dict[str, Callable[[], bytes]]:
    """Return what makes the bytes of each picture's file, by the names that reports show; coloured ones first."""
    return {
        "coloured noise (CMYK)": _coloured_noise,
        "strong colours (turned by EXIF)": _strong_colours,
        "noise (RGB)": _noise,
        "black (with alpha)": _black,
        "white (16 bits)": _white,
        "one pixel high (grey)": _one_pixel_high,
    }


def _noise() -> bytes:
    from PIL import Image

    pixels = np.random.default_rng(1).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    return _encoded(Image.fromarray(pixels), "PNG")


def _coloured_noise() -> bytes:
    """Return smooth blobs of colour and of darkness, in four inks."""
    from PIL import Image

    random = np.random.default_rng(2)
    blobs = _smooth(np.array([RED, BLUE, YELLOW, CYAN], np.uint8)[random.integers(0, 4, (6, 8))])
    light = _smooth(random.integers(100, 256, (6, 8), dtype=np.uint8))
    inks = [Image.fromarray(255 - plane) for plane in (*np.moveaxis(blobs, -1, 0), light)]
    return _encoded(Image.merge("CMYK", inks), "JPEG", **FINE)


def _strong_colours() -> bytes:
    """Return discs on stripes, 480 wide and 160 high once it is turned upright."""
    from PIL import Image

    y, x = np.mgrid[0:160, 0:480]
    stripes = np.array([RED, CYAN, BLUE, YELLOW], np.uint8)[x // 60 % 4]
    discs = np.hypot(x % 60 - 30, y % 80 - 40) < 22
    upright = Image.fromarray(np.where(discs[..., None], stripes[..., ::-1], stripes))
    exif = Image.Exif()
    exif[ORIENTATION] = QUARTER_TURN_RIGHT
    return _encoded(upright.transpose(Image.Transpose.ROTATE_90), "JPEG", exif=exif, **FINE)


def _black() -> bytes:
    """Return black that blending with anything else would make a gradient."""
    from PIL import Image

    alpha = np.broadcast_to(np.linspace(0, 255, WIDTH).astype(np.uint8), (HEIGHT, WIDTH))
    return _encoded(Image.fromarray(np.dstack([np.zeros((HEIGHT, WIDTH, 3), np.uint8), alpha])), "PNG")


def _white() -> bytes:
    from PIL import Image

    return _encoded(Image.fromarray(np.full((HEIGHT, WIDTH), 65535, np.uint16)), "PNG")


def _one_pixel_high() -> bytes:
    """Return a row that rises from black to white in eight steps, and falls evenly."""
    from PIL import Image

    steps, ramp = np.arange(WIDTH // 2) // 20 * 255 / 7, np.linspace(255, 0, WIDTH // 2)
    return _encoded(Image.fromarray(np.concatenate([steps, ramp])[None].astype(np.uint8)), "PNG")


def _smooth(values: Pixels) -> Pixels:
    from PIL import Image

    return np.asarray(Image.fromarray(values).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC))


def _encoded(image: "Image", form: str, **options: Any) -> bytes:
    written = io.BytesIO()
    image.save(written, form, **options)
    return written.getvalue()
