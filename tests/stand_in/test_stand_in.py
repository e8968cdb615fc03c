"""Stand-ins of whole recipes: their files, that they repeat, and what is found with them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ssdconvert.catalog import Catalog
from ssdconvert.errors import RecipeError
from ssdconvert.pictures import EMBEDDED, read_picture
from ssdconvert.recipe import Recipe
from ssdconvert.resources import package_file
from ssdconvert.ssd.detections import detections_of
from ssdconvert.ssd.preprocess import original_input
from ssdconvert.stages.load import load
from ssdconvert.stand_in import make_stand_in


def renamed(recipe: Recipe, *names: str) -> Recipe:
    """The recipe with other files, which have no URL."""
    file = recipe.source.files[0]
    files = tuple(file.model_copy(update={"name": name, "urls": ()}) for name in names)
    return recipe.model_copy(update={"source": recipe.source.model_copy(update={"files": files})})


def detections_on_pictures(recipe: Recipe, original: Any) -> list[Any]:
    """What the original finds on the pictures that the gate takes."""
    found = []
    for reference in recipe.pictures or EMBEDDED:
        image = original_input(read_picture(package_file(reference)), recipe.input)
        decoded = original.heads.decoded(original.run(image, recipe.input.name))
        found.append(detections_of(*decoded, recipe.detections))
    return found


def test_pictures_have_a_realistic_number_of_detections(small: tuple[Recipe, Path]) -> None:
    recipe, path = small
    found = detections_on_pictures(recipe, load(recipe, {path.name: path}))
    for one in found:
        assert 0.15 * recipe.detections.keep <= len(one) <= 0.85 * recipe.detections.keep
    scores = np.concatenate([one.scores for one in found])
    assert 0.6 <= scores.max() <= 0.99
    assert np.median(scores) < 0.5 * scores.max()  # spread, not in a heap at the top
    labels = np.concatenate([one.labels for one in found])
    assert len(set(labels.tolist())) >= min(5, recipe.classes - 1)


@pytest.mark.parametrize("name", ["ultraface-slim-320", "ssd-demo"])
def test_the_same_bytes_whatever_the_number_of_threads(
    stand_ins: dict[str, tuple[Recipe, Path]], tmp_path: Path, name: str
) -> None:
    recipe, path = stand_ins[name]
    threads = torch.get_num_threads()
    try:
        for count in (1, 3):
            torch.set_num_threads(count)
            make_stand_in(recipe, tmp_path)
            assert (tmp_path / path.name).read_bytes() == path.read_bytes()
            assert torch.get_num_threads() == count
    finally:
        torch.set_num_threads(threads)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_a_name_with_folders(tmp_path: Path) -> None:
    recipe = renamed(Catalog().find("ultraface-slim-320").recipe, "a/b/slim.pth")
    make_stand_in(recipe, tmp_path / "new")
    assert [p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*.*")] == ["new/a/b/slim.pth"]


def test_several_files_are_refused(tmp_path: Path) -> None:
    recipe = renamed(Catalog().find("ultraface-slim-320").recipe, "a.pth", "b.pth")
    with pytest.raises(RecipeError, match="names 2") as caught:
        make_stand_in(recipe, tmp_path)
    assert (caught.value.stage, caught.value.exit_code) == ("stand-in", 2)
    assert not list(tmp_path.iterdir())


def test_a_recipe_that_does_not_say_what_is_refused(tmp_path: Path) -> None:
    document = Catalog().find("ultraface-slim-320").recipe.model_dump(mode="json", by_alias=True)
    document["source"] = {
        "kind": "caffe",
        "files": [{"name": f"a.{end}", "urls": []} for end in ("prototxt", "caffemodel")],
    }
    with pytest.raises(RecipeError, match="does not say what its stand-in is") as caught:
        make_stand_in(Recipe.model_validate_json(json.dumps(document)), tmp_path)
    assert "mobilenet_ssd" in caught.value.hint
