"""Pictures of every sort that people have, and files that are none."""

import io
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from ssdconvert.errors import RecipeError
from ssdconvert.pictures import pictures_given, read_picture
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


def encoded(image: Image.Image, form: str, **options: Any) -> bytes:
    written = io.BytesIO()
    image.save(written, form, **options)
    return written.getvalue()


def test_bytes_and_open_files_are_read_as_files_are(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(COLOURS).save(path)
    np.testing.assert_array_equal(read_picture(path.read_bytes()), COLOURS)
    with path.open("rb") as opened:
        np.testing.assert_array_equal(read_picture(opened), COLOURS)


@pytest.mark.parametrize("source", [b"none", io.BytesIO(b"none")])
def test_bytes_that_are_no_picture_are_told_by_name(source: Any) -> None:
    with pytest.raises(RecipeError) as caught:
        read_picture(source, "black (with alpha)")
    message = "black (with alpha) cannot be read as a picture: it is in no format that Pillow reads"
    assert caught.value.message == message


@pytest.mark.parametrize("form", ["GIF", "PNG", "WEBP", "TIFF"])
def test_of_several_frames_the_first_is_taken(form: str) -> None:
    options = {"lossless": True} if form == "WEBP" else {}
    frames = [Image.new("RGB", (4, 3), colour) for colour in ("red", "blue")]
    content = encoded(frames[0], form, save_all=True, append_images=frames[1:], **options)
    with Image.open(io.BytesIO(content)) as image:
        assert image.n_frames == 2
    assert (read_picture(content) == (255, 0, 0)).all()


@pytest.mark.parametrize("transparency", [3, bytes(range(12))])
def test_a_palette_with_transparent_colours(transparency: Any) -> None:
    image = Image.fromarray(GRADIENT).quantize(12)
    content = encoded(image, "PNG", transparency=transparency)
    np.testing.assert_array_equal(read_picture(content), np.asarray(image.convert("RGB")))


@pytest.mark.parametrize(("values", "key"), [(COLOURS, (0, 255, 0)), (GRADIENT, 20)])
def test_a_transparent_colour_is_seen(values: Array, key: Any) -> None:
    content = encoded(Image.fromarray(values), "PNG", transparency=key)
    np.testing.assert_array_equal(read_picture(content), values if values.ndim == 3 else grey(values))


def test_one_pixel() -> None:
    assert read_picture(encoded(Image.new("RGB", (1, 1), "red"), "JPEG")).shape == (1, 1, 3)


@pytest.mark.parametrize("orientation", [6, 8])
def test_sixteen_bits_are_turned_too(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encoded(Image.fromarray(GRADIENT.astype(np.uint16) * 257), "PNG", exif=exif)
    np.testing.assert_array_equal(
        read_picture(content), grey(np.rot90(GRADIENT, -1 if orientation == 6 else 1))
    )


@pytest.mark.parametrize(("kind", "words"), [(np.float32, "floating-point"), (np.int32, "32-bit")])
def test_numbers_of_an_unknown_range_are_refused(kind: Any, words: str) -> None:
    """As black and white of 0..1, or of 0..2147483647, they would all be black, or all white."""
    values = np.array([[0, 0.5, 1]]) if kind is np.float32 else np.array([[0, 70_000, 2**31 - 1]])
    with pytest.raises(RecipeError, match=f"{words} .* does not say which is white"):
        read_picture(encoded(Image.fromarray(values.astype(kind)), "TIFF"))


def test_a_bomb_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    picture = encoded(Image.new("RGB", (15, 10)), "PNG")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # Pillow's warning above half of what it refuses is nobody's business
        assert read_picture(picture).shape == (10, 15, 3)
    with pytest.raises(RecipeError, match=r"201 pixels.* exceeds limit of 200 pixels"):
        read_picture(encoded(Image.new("RGB", (201, 1)), "PNG"))


def test_postscript_is_not_run() -> None:
    with pytest.raises(RecipeError, match="no format that Pillow reads"):
        read_picture(encoded(Image.fromarray(COLOURS), "EPS"))


def fuzzed(form: str, count: int) -> list[bytes]:
    """Files of a form, cut off or with wrong bytes, most of them near the start, where the headers are."""
    random = np.random.default_rng(sum(form.encode()))
    exif = Image.Exif()
    exif[0x0112] = 6
    noise = Image.fromarray(random.integers(0, 256, (24, 20, 3), dtype=np.uint8))
    options = {"exif": exif} if form in ("PNG", "JPEG", "TIFF", "WEBP") else {}
    whole = encoded(noise, form, **options)
    files = []
    for _ in range(count):
        content = bytearray(whole[: random.integers(0, len(whole))] if random.random() < 0.3 else whole)
        for _ in range(random.integers(1, 6)):
            place = int(random.integers(0, len(whole) if random.random() < 0.5 else 80))
            if place < len(content):
                content[place] = random.choice([0, 127, 128, 255, *range(256)])
        files.append(bytes(content))
    return files


@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"])
def test_damaged_files_are_read_or_refused(form: str) -> None:
    refused = []
    for content in fuzzed(form, 150):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                pixels = read_picture(content, "a.picture")
            except RecipeError as error:
                refused.append(error.message)
                continue
        assert pixels.dtype == np.uint8
        assert pixels.ndim == 3
        assert pixels.shape[2] == 3
        assert pixels.size
    assert 20 < len(refused) < 150
    assert all(message.startswith("a.picture cannot be read as a picture: ") for message in refused)
    assert not [message for message in refused if " object at 0x" in message]


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


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")


def names_of(*paths: Path) -> list[str]:
    found = pictures_given(paths)
    assert all(os.path.lexists(path) for _, path in found)
    return [name for name, _ in found]


def test_a_folder_stands_for_the_pictures_in_it(tmp_path: Path) -> None:
    touch(tmp_path, "b/d/6.webp", "b/2.jpeg", "B/1.png", "a.JPG", "c/3.tif", "c/4.bmp", "c/5.gif")
    touch(tmp_path, ".hidden.jpg", ".git/7.jpg", "b/.thumbs/2.jpeg", "b/._2.jpeg")
    touch(tmp_path, "README.md", "labels.txt", "film.mpg", "page.eps", "page.pdf", "data.h5", "jpg", "c/png")
    assert names_of(tmp_path) == ["1.png", "a.JPG", "2.jpeg", "6.webp", "3.tif", "4.bmp", "5.gif"]


def test_files_come_in_the_given_order_whatever_their_suffix(tmp_path: Path) -> None:
    touch(tmp_path, "z.jpg", "a.jpg", "upload-17", "folder/q.png", ".hidden.jpg")
    given = [tmp_path / name for name in ("z.jpg", "upload-17", "folder", "a.jpg", ".hidden.jpg")]
    assert names_of(*given) == ["z.jpg", "upload-17", "q.png", "a.jpg", ".hidden.jpg"]


def test_none_are_given() -> None:
    assert pictures_given([]) == []


def test_a_picture_that_is_given_twice_is_taken_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "a.jpg", "b.jpg")
    (tmp_path / "c.jpg").symlink_to("a.jpg")
    monkeypatch.chdir(tmp_path)
    assert names_of(Path("b.jpg"), Path("./b.jpg"), tmp_path, Path("a.jpg")) == ["b.jpg", "a.jpg"]


def test_pictures_of_the_same_name_are_told_apart_by_as_many_folders_as_need_be(tmp_path: Path) -> None:
    touch(tmp_path, "day/1/x.jpg", "day/2/x.jpg", "day/2/y.jpg", "night/1/x.jpg")
    assert names_of(tmp_path / "day" / "2") == ["x.jpg", "y.jpg"]
    assert names_of(tmp_path / "day") == ["1/x.jpg", "2/x.jpg", "2/y.jpg"]
    assert names_of(tmp_path) == ["day/1/x.jpg", "day/2/x.jpg", "day/2/y.jpg", "night/1/x.jpg"]


def test_names_can_be_written_in_any_report(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9.jpg")
    try:
        path.write_bytes(b"")
    except OSError:
        pytest.skip("this file system takes no such names")
    assert names_of(tmp_path) == ["caf\\xe9.jpg"]


def test_links_to_folders_are_followed_once(tmp_path: Path) -> None:
    touch(tmp_path, "store/x.jpg", "given/y.jpg")
    (tmp_path / "given" / "again").symlink_to(tmp_path / "given")
    (tmp_path / "given" / "store").symlink_to(tmp_path / "store")
    (tmp_path / "given" / "up").symlink_to("..")
    assert sorted(names_of(tmp_path / "given")) == ["x.jpg", "y.jpg"]


def test_a_link_to_nothing_is_told_of_when_it_is_read(tmp_path: Path) -> None:
    touch(tmp_path, "x.jpg")
    (tmp_path / "gone.jpg").symlink_to("nowhere.jpg")
    (tmp_path / "itself.jpg").symlink_to("itself.jpg")
    assert names_of(tmp_path) == ["gone.jpg", "itself.jpg", "x.jpg"]
    assert "does not exist" in refusal(tmp_path / "gone.jpg").message
    refusal(tmp_path / "itself.jpg")


def given_refusal(path: Path) -> str:
    with pytest.raises(RecipeError) as caught:
        pictures_given([path])
    assert str(path) in caught.value.message
    assert caught.value.stage == "picture"
    assert caught.value.hint
    return caught.value.message


def test_paths_that_are_no_pictures_are_refused(tmp_path: Path) -> None:
    touch(tmp_path, "texts/README.md", "texts/.a.jpg", "file.jpg")
    (tmp_path / "itself.jpg").symlink_to("itself.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")
    assert "No such file or directory" in given_refusal(tmp_path / "none.jpg")
    assert "holds no picture" in given_refusal(tmp_path / "texts")
    assert "neither a file nor a folder" in given_refusal(tmp_path / "pipe.jpg")
    assert "symbolic links" in given_refusal(tmp_path / "itself.jpg")
    assert "Not a directory" in given_refusal(tmp_path / "file.jpg" / "x.jpg")
    assert "File name too long" in given_refusal(tmp_path / ("x" * 300))


def test_a_pipe_in_a_folder_is_passed_over(tmp_path: Path) -> None:
    touch(tmp_path, "x.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")
    assert names_of(tmp_path) == ["x.jpg"]


def test_a_folder_that_cannot_be_listed_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "x.jpg", "secret/y.jpg")
    listed = Path.iterdir

    def guarded(folder: Path) -> Any:
        if folder.name == "secret":  # as chmod 0 does, but for root too
            raise PermissionError(13, "Permission denied", str(folder))
        return listed(folder)

    monkeypatch.setattr(Path, "iterdir", guarded)
    assert f"{tmp_path / 'secret'} cannot be read: Permission denied" in given_refusal(tmp_path)
