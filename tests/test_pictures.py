"""Pictures of every sort that people have, and files that are none."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from ssdconvert.errors import RecipeError
from ssdconvert.pictures import read_picture
from ssdconvert.ssd.preprocess import Pixels

Array = NDArray[Any]

GRADIENT = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20  # 3 rows, 4 columns
COLOURS = np.stack([GRADIENT, 255 - GRADIENT, GRADIENT // 2], axis=-1)


def read(path: Path) -> Pixels:
    pixels = read_picture(path)
    assert pixels.dtype == np.uint8
    assert pixels.ndim == 3
    assert pixels.shape[2] == 3
    return pixels


def grey(values: Array) -> Array:
    return np.repeat(values[..., None], 3, axis=-1)


def test_png_is_rgb(tmp_path: Path) -> None:
    Image.fromarray(COLOURS).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read(tmp_path / "a.png"), COLOURS)


def test_greyscale(tmp_path: Path) -> None:
    Image.fromarray(GRADIENT).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read(tmp_path / "a.png"), grey(GRADIENT))


def test_black_and_white(tmp_path: Path) -> None:
    Image.fromarray(GRADIENT > 100).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read(tmp_path / "a.png"), grey(np.where(GRADIENT > 100, 255, 0)))


def test_palette(tmp_path: Path) -> None:
    Image.fromarray(COLOURS).quantize(12).save(tmp_path / "a.png")
    assert Image.open(tmp_path / "a.png").mode == "P"
    assert np.abs(read(tmp_path / "a.png").astype(int) - COLOURS).max() <= 2


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bits_are_scaled_and_not_clipped(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(GRADIENT.astype(np.uint16) * 257).save(path)
    assert Image.open(path).mode.startswith("I")
    np.testing.assert_array_equal(read(path), grey(GRADIENT))


def test_sixteen_bits_reach_black_and_white(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 128, 65407, 65535]], np.uint16)).save(tmp_path / "a.png")
    assert read(tmp_path / "a.png")[0, :, 0].tolist() == [0, 0, 255, 255]


def test_alpha_is_dropped(tmp_path: Path) -> None:
    alpha = np.full((3, 4, 1), 255, np.uint8)
    alpha[0] = 0
    Image.fromarray(np.concatenate([COLOURS, alpha], axis=-1)).save(tmp_path / "a.png")
    assert Image.open(tmp_path / "a.png").mode == "RGBA"
    np.testing.assert_array_equal(read(tmp_path / "a.png"), COLOURS)


def test_grey_with_alpha(tmp_path: Path) -> None:
    image = Image.fromarray(GRADIENT)
    image.putalpha(7)
    image.save(tmp_path / "a.png")
    assert Image.open(tmp_path / "a.png").mode == "LA"
    np.testing.assert_array_equal(read(tmp_path / "a.png"), grey(GRADIENT))


@pytest.mark.parametrize("colour", [(255, 0, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0)])
def test_cmyk(tmp_path: Path, colour: tuple[int, int, int]) -> None:
    Image.new("RGB", (16, 16), colour).convert("CMYK").save(tmp_path / "a.jpg", quality=100)
    assert Image.open(tmp_path / "a.jpg").mode == "CMYK"
    assert np.abs(read(tmp_path / "a.jpg").astype(int) - colour).max() <= 4


@pytest.mark.parametrize(
    ("orientation", "turned"),
    [
        (1, COLOURS),
        (2, COLOURS[:, ::-1]),
        (3, COLOURS[::-1, ::-1]),
        (6, np.rot90(COLOURS, -1)),
        (8, np.rot90(COLOURS)),
    ],
)
def test_exif_turns_the_picture(tmp_path: Path, orientation: int, turned: Array) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(COLOURS).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(read(tmp_path / "a.png"), turned)


def refusal(path: Path) -> RecipeError:
    with pytest.raises(RecipeError) as caught:
        read_picture(path)
    assert str(path) in caught.value.message
    assert caught.value.stage == "picture"
    assert caught.value.hint
    return caught.value


def test_a_missing_file(tmp_path: Path) -> None:
    assert "does not exist" in refusal(tmp_path / "none.png").message


@pytest.mark.parametrize("suffix", ["png", "jpg"])
@pytest.mark.parametrize("part", [0.02, 0.5, 0.9])
def test_a_truncated_file(tmp_path: Path, suffix: str, part: float) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (50, 50, 3), dtype=np.uint8)
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(noise).save(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(part * len(content))])
    assert "cannot be read as a picture" in refusal(path).message


@pytest.mark.parametrize(
    "content", [b"", b"\0", b"schema: 1\n", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"\0" * 999]
)
def test_no_picture(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(content)
    assert "cannot be read as a picture" in refusal(path).message


def test_a_damaged_png(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(COLOURS).save(path)
    content = bytearray(path.read_bytes())
    content[content.index(b"IDAT") + 8] ^= 0xFF
    path.write_bytes(content)
    refusal(path)


def test_a_folder(tmp_path: Path) -> None:
    refusal(tmp_path)
