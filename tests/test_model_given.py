"""What a MODEL on the command line stands for."""

from pathlib import Path

import pytest

from ssdconvert.catalog import Catalog
from ssdconvert.errors import RecipeError
from ssdconvert.model_given import expanded, model_given


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a build of ssd-demo in two precisions, and a file beside it."""
    monkeypatch.chdir(tmp_path)
    for precision in ("FP32", "FP16"):
        folder = tmp_path / "build" / "ssd-demo" / precision
        folder.mkdir(parents=True)
        (folder / "ssd-demo.xml").touch()
    owner = tmp_path / "build" / "ssd-demo" / ".ssdconvert" / "recipe"
    owner.parent.mkdir()
    owner.write_text("ssd-demo")
    (tmp_path / "m.onnx").touch()
    return tmp_path


def given(model: str, recipe: str | None = None, precision: str | None = None) -> tuple[str, str | None]:
    path, found = model_given(model, Catalog(), recipe, precision)
    return path.as_posix(), found.name if found else None


def test_a_recipes_name() -> None:
    assert given("ssd-demo") == ("build/ssd-demo/FP32/ssd-demo.xml", "ssd-demo")
    assert given("ssd-demo", precision="FP16")[0] == "build/ssd-demo/FP16/ssd-demo.xml"


def test_the_folder_of_a_build(here: Path) -> None:
    assert given("build/ssd-demo") == ("build/ssd-demo/FP32/ssd-demo.xml", "ssd-demo")
    (here / "build" / "ssd-demo").rename(here / "release")
    assert given("release", precision="FP16") == ("release/FP16/ssd-demo.xml", "ssd-demo")


def test_a_file() -> None:
    assert given("m.onnx") == ("m.onnx", None)
    assert given("build/ssd-demo/FP16/ssd-demo.xml") == ("build/ssd-demo/FP16/ssd-demo.xml", None)


def test_another_recipe() -> None:
    assert given("m.onnx", "ultraface-rfb-320")[1] == "ultraface-rfb-320"
    assert given("build/ssd-demo", "ultraface-rfb-320")[1] == "ultraface-rfb-320"
    with pytest.raises(RecipeError, match="unknown recipe 'nothing'"):
        given("m.onnx", "nothing")


def test_a_folder_of_the_recipes_name_is_not_its_build(here: Path) -> None:
    (here / "ssd-demo").mkdir()
    assert given("ssd-demo")[0] == "build/ssd-demo/FP32/ssd-demo.xml"


@pytest.mark.parametrize(
    ("model", "precision", "problem"),
    [
        ("none.xml", None, "there is no none.xml"),
        (
            "ultraface-rfb-320",
            None,
            "ultraface-rfb-320 is not built: there is no build/ultraface-rfb-320/FP32",
        ),
        ("ssd-demo", "INT8", "ssd-demo is not built: there is no build/ssd-demo/INT8/ssd-demo.xml"),
        ("build", None, "the folder build holds no IR"),
        ("build/ssd-demo", "INT8", "the folder build/ssd-demo holds no IR in INT8"),
    ],
)
def test_what_is_not_there(model: str, precision: str | None, problem: str) -> None:
    with pytest.raises(RecipeError) as refused:
        given(model, precision=precision)
    assert problem in refused.value.message
    assert refused.value.hint


def test_patterns(here: Path) -> None:
    for name in ("a/1.jpg", "a/b/2.jpg", "a/[x].jpg"):
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).touch()

    def told(*paths: str) -> list[str]:
        return [path.as_posix() for path in expanded(paths)]

    assert told("a/*.jpg") == ["a/1.jpg", "a/[x].jpg"]
    assert told("a/**/*.jpg") == ["a/1.jpg", "a/[x].jpg", "a/b/2.jpg"]
    assert told("a/[x].jpg", "a/?.jpg") == ["a/[x].jpg", "a/1.jpg"]  # a file of this very name comes first
    assert told("none.jpg") == ["none.jpg"]  # is told of when it is read
    with pytest.raises(RecipeError, match=r"no file matches b/\*\.jpg"):
        told("b/*.jpg")
