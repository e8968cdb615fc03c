"""The generated pictures: what they show, in which form of file, and that models are moved by their colours."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ssdconvert.controls import wrong_inputs
from ssdconvert.gate_limits import DEFAULT_LIMITS, head_errors
from ssdconvert.generated_pictures import generated_pictures
from ssdconvert.pictures import named_pictures, read_picture
from ssdconvert.samples import Picture
from ssdconvert.ssd.preprocess import Pixels

COLOURED_NOISE, STRONG, NOISE, BLACK, WHITE, ROW = NAMES = tuple(generated_pictures())


def file_of(name: str) -> Image.Image:
    return Image.open(io.BytesIO(generated_pictures()[name]()))


def pixels_of(name: str) -> Pixels:
    return read_picture(generated_pictures()[name](), name)


@pytest.mark.parametrize("name", NAMES)
def test_a_picture_is_a_small_file_and_the_same_each_time(name: str) -> None:
    content = generated_pictures()[name]()
    assert content == generated_pictures()[name]()
    assert len(content) < 300_000
    assert max(pixels_of(name).shape) <= 480


def test_no_name_is_that_of_a_picture_file() -> None:
    suffixes = {Path(name).suffix for name in NAMES}
    assert not suffixes & set(Image.registered_extensions())
    assert len(set(NAMES)) == 6


def test_the_forms_of_the_files() -> None:
    forms = {name: (file_of(name).format, file_of(name).mode, file_of(name).size) for name in NAMES}
    assert forms == {
        "noise (RGB)": ("PNG", "RGB", (320, 240)),
        "coloured noise (CMYK)": ("JPEG", "CMYK", (320, 240)),
        "strong colours (turned by EXIF)": ("JPEG", "RGB", (160, 480)),
        "black (with alpha)": ("PNG", "RGBA", (320, 240)),
        "white (16 bits)": ("PNG", file_of(WHITE).mode, (320, 240)),
        "one pixel high (grey)": ("PNG", "L", (320, 1)),
    }
    assert file_of(WHITE).mode.startswith("I")  # I;16 or, from older versions of Pillow, I
    assert np.asarray(file_of(WHITE)).min() == 65535
    assert file_of(STRONG).getexif()[0x0112] == 6


def test_noise_is_uniform_in_every_channel() -> None:
    pixels = pixels_of(NOISE).reshape(-1, 3)
    assert np.abs(pixels.mean(axis=0) - 127.5).max() < 2
    assert np.abs(np.corrcoef(pixels.T) - np.eye(3)).max() < 0.02


def test_coloured_noise_is_strong_and_smooth_and_uses_every_ink() -> None:
    pixels = pixels_of(COLOURED_NOISE).astype(int)
    assert np.mean(np.abs(pixels[..., 0] - pixels[..., 2]) > 60) > 0.7
    assert np.mean(np.abs(np.diff(pixels, axis=1))) < 6
    inks = np.asarray(file_of(COLOURED_NOISE)).reshape(-1, 4)
    assert (inks.std(axis=0) > 30).all()


def test_strong_colours_are_upright_and_red_is_never_like_blue() -> None:
    pixels = pixels_of(STRONG).astype(int)
    assert pixels.shape == (160, 480, 3)
    corners = [(0, 0, (255, 0, 0)), (0, -1, (255, 255, 0)), (-1, 0, (255, 0, 0)), (-1, -1, (255, 255, 0))]
    for row, column, colour in corners:
        np.testing.assert_allclose(pixels[row, column], colour, atol=8)
    np.testing.assert_allclose(pixels[40, 30], (0, 0, 255), atol=8)  # a disc on the red stripe
    assert np.abs(pixels[..., 0] - pixels[..., 2]).min() > 60


def test_black_is_black_whatever_its_alpha() -> None:
    assert not pixels_of(BLACK).any()
    alpha = np.asarray(file_of(BLACK))[..., 3]
    assert (alpha.min(), alpha.max()) == (0, 255)


def test_white_is_white() -> None:
    assert (pixels_of(WHITE) == 255).all()


def test_the_row_has_steps_and_a_ramp() -> None:
    row = pixels_of(ROW)[0, :, 0].astype(int)
    assert pixels_of(ROW).shape == (1, 320, 3)
    assert np.unique(row[:160]).size == 8
    assert np.diff(row[160:]).min() >= -2
    assert (row.min(), row.max()) == (0, 255)


@pytest.mark.parametrize("name", [NOISE, COLOURED_NOISE, STRONG])
def test_swapped_channels_move_the_heads_of_the_embedded_model(name: str, embedded: Any) -> None:
    """By far more than rounded weights, which cost 4e-3 of a head on these pictures."""
    recipe, original = embedded
    picture = Picture(name, pixels_of(name))
    right, wrong = (
        original.run(picture.for_original(spec), recipe.input.name)
        for spec in (recipe.input, wrong_inputs(recipe.input)["channels swapped"])
    )
    limits = DEFAULT_LIMITS["FP32"]
    assert max(error.value for error in head_errors(limits, original.heads, right, wrong)) > 0.1


@pytest.fixture(scope="module")
def embedded() -> Any:
    from ssdconvert.catalog import Catalog
    from ssdconvert.resources import package_file
    from ssdconvert.stages.load import load

    entry = Catalog().find("ssd-demo")
    assert not {name for name, _ in named_pictures(entry)} & set(NAMES)
    (file,) = entry.recipe.source.files
    return entry.recipe, load(entry.recipe, {file.name: package_file(file.urls[0])})
