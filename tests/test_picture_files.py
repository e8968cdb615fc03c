"""Pictures are written in any format, and never over somebody else's."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ssdconvert.errors import RecipeError
from ssdconvert.picture_files import drawn_names, is_ours, outputs_of, refuse_foreign, save

PIXELS = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "webp", "tif", "gif"])
def test_a_picture_of_ours_is_known(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"o.{suffix}"
    save(Image.fromarray(PIXELS), path)
    assert is_ours(path)
    refuse_foreign(path, force=False)
    with Image.open(path) as image:
        assert image.size == (30, 20)
        if suffix in ("png", "bmp", "tif"):
            np.testing.assert_array_equal(np.asarray(image), PIXELS)


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "webp", "tif", "gif", "ppm"])
def test_a_picture_of_somebody_else_is_kept(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"o.{suffix}"
    Image.fromarray(PIXELS).save(path)
    assert not is_ours(path)
    with pytest.raises(
        RecipeError, match="exists, and nothing in it says that ssdconvert made it"
    ) as refused:
        refuse_foreign(path, force=False)
    assert "--force" in refused.value.hint
    refuse_foreign(path, force=True)


def test_what_opencv_wrote_is_not_ours(tmp_path: Path) -> None:
    """The old sample's out.bmp."""
    import cv2

    cv2.imwrite(str(tmp_path / "out.bmp"), PIXELS)
    assert not is_ours(tmp_path / "out.bmp")


@pytest.mark.parametrize("content", [b"", b"BM", b"notes of mine"])
def test_what_is_no_picture_is_not_ours(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "o.png").write_bytes(content)
    assert not is_ours(tmp_path / "o.png")


def test_formats_without_a_place_for_the_maker_are_never_ours(tmp_path: Path) -> None:
    save(Image.fromarray(PIXELS), tmp_path / "o.ppm")
    assert not is_ours(tmp_path / "o.ppm")


def test_a_picture_to_look_at_is_never_drawn_over(tmp_path: Path) -> None:
    path = tmp_path / "o.png"
    save(Image.fromarray(PIXELS), path)
    (tmp_path / "link.png").symlink_to(path)
    with pytest.raises(RecipeError, match="one of the pictures to look at"):
        outputs_of(str(tmp_path / "link.png"), "out.png", ["o.png"], False, [path], force=True)


def test_a_failure_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "o.xbm"  # black and white alone
    path.write_bytes(b"before")
    with pytest.raises(RecipeError, match="cannot be written"):
        save(Image.fromarray(PIXELS), path)
    assert path.read_bytes() == b"before"
    assert [one.name for one in tmp_path.iterdir()] == ["o.xbm"]


@pytest.mark.parametrize(
    "names",
    [
        ("../x/1.jpg", "x/1.jpg"),
        ("/x/1.jpg", "x/1.jpg", "x/1.png"),
        ("1.jpg", "1.bmp", "1.jpg.png"),
    ],
)
def test_no_two_drawings_have_one_name(names: tuple[str, ...]) -> None:
    for suffix in (".png", ""):
        drawn = drawn_names(names, suffix)
        assert len(set(drawn)) == len(names)
        assert all(name.endswith(suffix) for name in drawn)


def test_names_of_drawings() -> None:
    assert drawn_names(["a/1.jpg", "a/2.jpg"]) == ["a/1.png", "a/2.png"]
    assert drawn_names(["1.jpg", "1.bmp", "2.bmp"]) == ["1.jpg.png", "1.bmp.png", "2.png"]
    assert drawn_names(["../b/1.jpg", "/c/1.jpg"]) == ["b/1.png", "c/1.png"]  # never outside of the folder


class TestOutputs:
    def test_one_picture(self, tmp_path: Path) -> None:
        assert outputs_of(None, "out.bmp", ["1.jpg"], False, [], False) == [Path("out.bmp")]
        assert outputs_of("x/a.webp", "out.png", ["1.jpg"], False, [], False) == [Path("x/a.webp")]
        assert outputs_of(str(tmp_path), "out.png", ["1.jpg"], False, [], False) == [tmp_path / "1.png"]
        assert outputs_of("new/", "out.png", ["1.jpg"], False, [], False) == [Path("new/1.png")]

    def test_several(self) -> None:
        names = ["1.jpg", "2.jpg"]
        assert outputs_of(None, "out.png", names, True, [], False) == [Path("out/1.png"), Path("out/2.png")]
        assert outputs_of("v1.2", "out.png", names, True, [], False) == [
            Path("v1.2/1.png"),
            Path("v1.2/2.png"),
        ]
        with pytest.raises(RecipeError, match="is one picture, and several are drawn"):
            outputs_of("all.png", "out.png", names, True, [], False)

    @pytest.mark.parametrize("given", ["out", "out.xyz", "out.eps.doc"])
    def test_no_format(self, given: str) -> None:
        with pytest.raises(RecipeError, match="no format is known") as refused:
            outputs_of(given, "out.png", ["1.jpg"], False, [], False)
        assert ".png" in refused.value.hint

    def test_every_target_is_looked_at_first(self, tmp_path: Path) -> None:
        (tmp_path / "2.png").write_bytes(b"mine")
        with pytest.raises(RecipeError, match=r"2\.png exists"):
            outputs_of(str(tmp_path), "out.png", ["1.jpg", "2.jpg"], True, [], False)
