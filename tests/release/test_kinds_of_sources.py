"""Builds of other kinds of originals: their documents agree, too."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from ssdconvert.release.check import check
from ssdconvert.release.package import package

pytestmark = pytest.mark.slow


@pytest.fixture
def agreeing(
    build_here: Callable[..., Any], recipe_file: Callable[..., Path], tmp_path: Path
) -> Callable[..., Path]:
    """Build a recipe, and assert that folder and archive are as they should be; return the folder."""

    def call(document: Mapping[str, Any], **options: Any) -> Path:
        from ssdconvert.recipe import load_recipe

        path = recipe_file(document)
        result = build_here(path, **options)
        assert check(result.output).problems == ()
        recipe = load_recipe(path)
        archive = tmp_path / "archive.tar"
        if result.verdict == "pass":
            package(recipe, result.output, archive, allow_unpinned=True)
            assert check(archive).problems == ()
        assert str(tmp_path) not in (result.output / "recipe.yaml").read_text("utf-8")
        return result.output

    return call


def test_a_ready_ir_is_the_published_file(agreeing: Any, ready: Any) -> None:
    folder = agreeing(ready("normalised"))
    path = folder / "FP16" / "ready.xml"
    content = path.read_text("utf-8")
    path.write_text(content + "\n", "utf-8")
    assert any("is not the file of manifest.json" in problem for _, problem in check(folder).problems)


def test_a_graph_with_its_own_nms(agreeing: Any, own_nms: Any) -> None:
    agreeing(own_nms)


def test_a_caffe_network(agreeing: Any, caffe: Any, caffe_toolchain: Any) -> None:
    agreeing(caffe)
