"""Preprocessing, against numbers worked out by hand and against bilinear filters written out in numpy."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ssdconvert.generated_pictures import generated_pictures
from ssdconvert.pictures import read_picture
from ssdconvert.ssd.preprocess import converted_input, original_input, resized, visible_part


@dataclass(frozen=True)
class Colour:
    model: str = "rgb"
    converted: str = "bgr"


@dataclass(frozen=True)
class Resize:
    library: str = "opencv"
    mode: str = "stretch"


@dataclass(frozen=True)
class Spec:
    shape: tuple[int, int, int, int] = (1, 3, 2, 3)  # two rows, three columns
    color: Colour = field(default_factory=Colour)
    mean: tuple[float, float, float] = (10.0, 20.0, 30.0)
    scale: tuple[float, float, float] = (2.0, 4.0, 5.0)
    resize: Resize = field(default_factory=Resize)


RED, GREEN, BLUE = ([[1, 2, 3], [4, 5, 6]], [[40, 50, 60], [70, 80, 90]], [[200, 210, 220], [230, 240, 250]])
PIXELS = np.stack([np.array(plane, np.uint8) for plane in (RED, GREEN, BLUE)], axis=-1)


def all_orders() -> list[Colour]:
    return [Colour(model, converted) for model in ("rgb", "bgr") for converted in ("rgb", "bgr")]


def check_form(array: NDArray[Any], shape: tuple[int, ...] = (1, 3, 2, 3)) -> None:
    assert array.shape == shape
    assert array.dtype == np.float32
    assert array.flags.c_contiguous


@pytest.mark.parametrize(("order", "planes"), [("rgb", (RED, GREEN, BLUE)), ("bgr", (BLUE, GREEN, RED))])
def test_converted_input_is_plain_pixels_in_its_order(
    order: str, planes: tuple[list[list[int]], ...]
) -> None:
    for model in ("rgb", "bgr"):
        got = converted_input(PIXELS, Spec(color=Colour(model, order)))
        check_form(got)
        np.testing.assert_array_equal(got[0], np.array(planes, np.float32))


def test_original_input_rgb() -> None:
    got = original_input(PIXELS, Spec(color=Colour("rgb", "bgr")))
    check_form(got)
    assert got[0, 0, 0].tolist() == [-4.5, -4.0, -3.5]  # red: (1 - 10) / 2, ...
    assert got[0, 1, 0].tolist() == [5.0, 7.5, 10.0]  # green: (40 - 20) / 4, ...
    assert got[0, 2, 1].tolist() == [40.0, 42.0, 44.0]  # blue: (230 - 30) / 5, ...


def test_original_input_bgr_has_mean_and_scale_in_the_model_s_order() -> None:
    got = original_input(PIXELS, Spec(color=Colour("bgr", "bgr")))
    check_form(got)
    assert got[0, 0, 0].tolist() == [95.0, 100.0, 105.0]  # blue: (200 - 10) / 2, ...
    np.testing.assert_allclose(got[0, 2, 0], [-5.8, -5.6, -5.4])  # red: (1 - 30) / 5, ...


@pytest.mark.parametrize("library", ["opencv", "pillow"])
@pytest.mark.parametrize("color", all_orders(), ids=str)
def test_the_original_s_input_follows_from_the_converted_model_s(color: Colour, library: str) -> None:
    """What is baked into the IR: reversal where the orders differ, then (x - mean) / scale."""
    pixels = np.random.default_rng(3).integers(0, 256, (9, 14, 3), dtype=np.uint8)
    spec = Spec((1, 3, 6, 5), color, (123.675, 116.28, 103.53), (58.395, 57.12, 57.375), Resize(library))
    converted = converted_input(pixels, spec)
    check_form(converted, (1, 3, 6, 5))
    in_model_order = converted if color.model == color.converted else converted[:, ::-1]
    mean, scale = (np.array(v, np.float32).reshape(1, 3, 1, 1) for v in (spec.mean, spec.scale))
    np.testing.assert_array_equal(original_input(pixels, spec), (in_model_order - mean) / scale)


@pytest.mark.parametrize("library", ["opencv", "pillow"])
def test_resizing_stretches_to_height_and_width(library: str) -> None:
    pixels = np.zeros((10, 40, 3), np.uint8)
    pixels[:, 20:] = (255, 100, 50)  # the right half
    small = resized(pixels, Spec((1, 3, 20, 8), resize=Resize(library)))
    assert small.shape == (20, 8, 3)
    assert small.dtype == np.uint8
    np.testing.assert_array_equal(small[:, :3], 0)
    np.testing.assert_array_equal(small[:, 5:], np.broadcast_to((255, 100, 50), (20, 3, 3)))


def test_the_libraries_differ_when_they_shrink() -> None:
    """Columns of 0 and 240 by turns, to a quarter: Pillow averages, OpenCV takes two of four."""
    columns = np.array([0, 240, 240, 0] * 8, np.uint8)
    pixels = np.repeat(np.broadcast_to(columns, (32, 32))[..., None], 3, axis=-1).copy()
    spec = Spec((1, 3, 32, 8))
    np.testing.assert_array_equal(resized(pixels, spec), 240)
    with_pillow = resized(pixels, replace(spec, resize=Resize("pillow")))
    assert with_pillow.min() > 80
    assert with_pillow.max() < 160


def test_the_libraries_agree_when_they_enlarge() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    spec = Spec((1, 3, 16, 16))
    difference = resized(pixels, spec).astype(int) - resized(pixels, replace(spec, resize=Resize("pillow")))
    assert np.abs(difference).max() <= 1


@pytest.mark.parametrize("library", ["opencv", "pillow"])
def test_pixels_of_the_right_size_stay_as_they_are(library: str) -> None:
    np.testing.assert_array_equal(resized(PIXELS, Spec(resize=Resize(library))), PIXELS)


def cropped(height: int, width: int, library: str = "opencv") -> Spec:
    return Spec((1, 3, height, width), resize=Resize(library, "crop"))


@pytest.mark.parametrize("library", ["opencv", "pillow"])
@pytest.mark.parametrize("turned", [False, True])
def test_cropping_keeps_the_aspect_and_the_middle(library: str, turned: bool) -> None:
    pixels = np.zeros((20, 60, 3), np.uint8)
    pixels[:, 20:40] = (250, 100, 50)  # the square in the middle
    if turned:
        pixels = pixels.transpose(1, 0, 2).copy()
    small = resized(pixels, cropped(10, 10, library))
    assert small.shape == (10, 10, 3)
    np.testing.assert_array_equal(small[1:-1, 1:-1], np.broadcast_to((250, 100, 50), (8, 8, 3)))
    assert visible_part(pixels.shape, cropped(10, 10)) == ((0, 20, 20, 40) if turned else (20, 0, 40, 20))


@pytest.mark.parametrize(
    ("picture", "part"),
    [
        ((300, 300), (0, 0, 300, 300)),
        ((480, 640), (80, 0, 560, 480)),  # scaled to 300x400, 50 columns off on either side
        ((640, 480), (0, 80, 480, 560)),
        ((375, 500), (62.5, 0, 437.5, 375)),
        ((150, 150), (0, 0, 150, 150)),
        ((300, 301), (0, 0, 300, 300)),  # 301 wide: the middle is rounded down
    ],
)
def test_the_visible_part_of_a_cropped_picture(
    picture: tuple[int, int], part: tuple[float, float, float, float]
) -> None:
    assert visible_part(picture, cropped(300, 300)) == pytest.approx(part)


@pytest.mark.parametrize("picture", [(1, 1000), (1000, 1), (7, 5), (299, 301), (1000, 997)])
@pytest.mark.parametrize("size", [(30, 30), (24, 32)])
def test_cropping_fills_the_input_whatever_the_picture(
    picture: tuple[int, int], size: tuple[int, int]
) -> None:
    assert resized(np.zeros((*picture, 3), np.uint8), cropped(*size)).shape == (*size, 3)
    x1, y1, x2, y2 = visible_part(picture, cropped(*size))
    assert 0 <= x1 < x2 <= picture[1] + 1e-9
    assert 0 <= y1 < y2 <= picture[0] + 1e-9


def test_a_stretched_picture_is_wholly_visible() -> None:
    assert visible_part((480, 640), Spec()) == (0, 0, 640, 480)


def weights(positions: NDArray[Any], pixels: int, scaled: int, library: str) -> NDArray[Any]:
    """What each of `pixels` adds to the scaled pixels at `positions`, [positions, pixels], rows of sum 1.

    OpenCV: the two pixels around a centre, the outermost repeated. Pillow: a triangle as wide as two
    scaled pixels or two pixels, whichever is wider.
    """
    scale = pixels / scaled  # pixels of the picture in a scaled one
    centres = (positions + 0.5) * scale - 0.5
    width = max(scale, 1.0) if library == "pillow" else 1.0
    if library == "opencv":
        centres = centres.clip(0, pixels - 1)
    triangle = np.maximum(0, 1 - np.abs(np.arange(pixels) - centres[:, None]) / width)
    return triangle / triangle.sum(axis=1, keepdims=True)


def oracle(pixels: NDArray[Any], spec: Spec) -> NDArray[Any]:
    """What a recipe's resize should give, as real numbers."""
    scaled, size = list(spec.shape[2:]), pixels.shape[:2]
    if spec.resize.mode == "crop":  # cover the input: one side fits, of the other the middle is taken
        wider = size[1] / size[0] >= scaled[1] / scaled[0]
        fitting = 0 if wider else 1
        scaled[1 - fitting] = size[1 - fitting] * scaled[fitting] // size[fitting]
    by_row, by_column = (
        weights(np.arange(target) + whole // 2 - target // 2, old, whole, spec.resize.library)
        for target, whole, old in zip(spec.shape[2:], scaled, size, strict=True)
    )
    return np.einsum("yr,rcd,xc->yxd", by_row, pixels.astype(np.float64), by_column, optimize=True)


def check_against_the_oracle(pixels: NDArray[Any], spec: Spec) -> None:
    difference = np.abs(resized(pixels, spec) - oracle(pixels, spec))
    assert difference.max() <= 1.01  # each of two passes rounds to a half
    assert difference.mean() < 0.4


@pytest.mark.parametrize("mode", ["stretch", "crop"])
@pytest.mark.parametrize("library", ["opencv", "pillow"])
@pytest.mark.parametrize("size", [(300, 300), (240, 320), (90, 70), (512, 200)], ids=str)
@pytest.mark.parametrize("name", generated_pictures())
def test_generated_pictures_are_resized_as_by_the_written_out_filter(
    name: str, size: tuple[int, int], library: str, mode: str
) -> None:
    pixels = read_picture(generated_pictures()[name](), name)
    check_against_the_oracle(pixels, Spec((1, 3, *size), resize=Resize(library, mode)))


@pytest.mark.parametrize("mode", ["stretch", "crop"])
@pytest.mark.parametrize("library", ["opencv", "pillow"])
@pytest.mark.parametrize(
    "picture", [(1, 1), (2, 1), (1, 64), (64, 1), (150, 40), (41, 97), (211, 500), (37, 300)], ids=str
)
@pytest.mark.parametrize("size", [(48, 64), (33, 20)], ids=str)
def test_pictures_of_any_size_are_resized_as_by_the_written_out_filter(
    picture: tuple[int, int], size: tuple[int, int], library: str, mode: str
) -> None:
    pixels = np.random.default_rng(9).integers(0, 256, (*picture, 3), dtype=np.uint8)
    check_against_the_oracle(pixels, Spec((1, 3, *size), resize=Resize(library, mode)))


@pytest.mark.parametrize("library", ["opencv", "pillow"])
@pytest.mark.parametrize("turned", [False, True])
def test_a_long_row_that_is_cropped_takes_no_gigabytes(library: str, turned: bool) -> None:
    """Scaled as a whole it would be 300 x 60000000; what is scaled is some columns around the middle."""
    row = np.zeros((1, 200_000, 3), np.uint8)
    row[:, 99_990:100_010] = (np.arange(20) * 12)[:, None]
    around = row[:, 99_980:100_020]  # the same middle, as near to its pixels as a naive crop could come
    if turned:
        row, around = row.transpose(1, 0, 2).copy(), around.transpose(1, 0, 2)
    spec = cropped(300, 300, library)
    assert np.abs(resized(row, spec) - oracle(around, spec)).max() <= 1.01
    x1, y1, x2, y2 = visible_part(row.shape, spec)
    along, across = ((y1, y2), (x1, x2)) if turned else ((x1, x2), (y1, y2))
    assert (along, across) == ((99_999.5, 100_000.5), (0, 1))


@pytest.mark.parametrize("picture", [(1, 17), (1, 16), (3, 100), (5, 5 * 40 + 1), (2, 999)])
def test_the_visible_part_of_a_long_picture_is_its_middle(picture: tuple[int, int]) -> None:
    x1, y1, x2, y2 = visible_part(picture, cropped(30, 30))
    assert (y1, y2) == (0, picture[0])
    assert x2 - x1 == pytest.approx(picture[0], rel=0.02)
    assert (x1 + x2) / 2 == pytest.approx(picture[1] / 2, abs=1 / 30 * picture[0])
