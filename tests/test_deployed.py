"""Who says how a model is fed and what its labels mean: the file, a recipe, the user, and nobody."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ssdconvert.deployed import Deployed, Feeding, deployed
from ssdconvert.errors import RecipeError
from ssdconvert.label_files import LabelList
from ssdconvert.model_facts import ModelFacts, Port
from ssdconvert.recipe import Recipe

DETECTION_OUT = (Port("detection_out", (1, 1, 6, 7), "f32"),)
BOXES = (Port("boxes", (None, 5), "f32"), Port("labels", (None,), "i64"))
SAID = {
    "recipe": "theirs", "labels": "cat\ndog", "input_color": "rgb", "resize": "crop bilinear pillow",
}  # fmt: skip


def facts(outputs: Any = DETECTION_OUT, shape: Any = (1, 3, 48, 96), **others: Any) -> ModelFacts:
    path = Path(others.pop("path", "m.xml"))
    return ModelFacts(path, (Port("data", shape, "f32"),), outputs, others.pop("said", {}), **others)


def use(of: ModelFacts, recipe: Recipe | None = None, labels: Any = None, **feeding: Any) -> Deployed:
    return deployed(of, recipe, Feeding(**feeding), labels)


@pytest.fixture
def recipe(documents: dict[str, Mapping[str, Any]]) -> Any:
    def of(kind: str, **changes: Any) -> Recipe:
        document = json.loads(json.dumps(documents[kind]))
        document["input"]["shape"] = [1, 3, 48, 96]
        document["detections"] |= changes
        return Recipe.model_validate_json(json.dumps(document))

    return of


def fed(model: Deployed) -> tuple[Any, ...]:
    spec = model.input
    return spec.color.model, spec.mean, spec.scale, spec.resize.mode, spec.resize.library


def test_nobody_says() -> None:
    model = use(facts())
    assert fed(model) == ("bgr", (0, 0, 0), (1, 1, 1), "stretch", "opencv")
    assert not model.normalised
    assert "as the old sample did" in model.fed
    assert (model.input.name, model.input.shape, model.batch) == ("data", (1, 3, 48, 96), 1)
    assert (model.names, model.first_label, model.sides) == ((), 1, (1, 1))
    assert model.name(3) == "label 3"
    assert use(facts(BOXES)).sides == (96, 48)


def test_the_file_says() -> None:
    model = use(facts(said=SAID))
    assert fed(model) == ("rgb", (0, 0, 0), (1, 1, 1), "crop", "pillow")
    assert (model.names, model.fed) == (("cat", "dog"), "fed as it says itself")


def test_a_recipe_says(recipe: Any) -> None:
    """Mean and scale are inside an .xml and outside an .onnx, which takes the model's own channel order."""
    one = recipe("caffe")
    assert fed(use(facts(), one))[:3] == ("bgr", (0, 0, 0), (1, 1, 1))
    graph = use(facts(path="m.onnx"), one)
    assert fed(graph)[:3] == ("rgb", (120, 110, 100), (60, 50, 40))
    assert graph.normalised
    assert "as the recipe tiny-caffe says" in graph.fed
    ready = recipe("ir", units="pixels")
    model = use(facts(BOXES), ready)
    assert (model.sides, model.first_label, model.names) == ((96, 48), 0, ("vehicle", "person", "bike"))
    assert use(facts(BOXES), recipe("ir", units="normalised")).sides == (1, 1)


def test_the_user_says(recipe: Any) -> None:
    one = recipe("caffe")
    model = use(facts(), color="rgb", mean=(1, 2, 3), scale=(4, 5, 6), mode="crop", library="pillow")
    assert fed(model) == ("rgb", (1, 2, 3), (4, 5, 6), "crop", "pillow")
    assert model.fed.endswith("but for what the options say")
    swapped = use(facts(path="m.onnx"), one, color="bgr")
    assert fed(swapped)[:3] == ("bgr", (100, 110, 120), (40, 50, 60))  # with their channels


def test_batch_and_layout() -> None:
    model = use(facts(shape=(4, 3, 48, 96)))
    assert (model.batch, model.channels_last, model.input.shape) == (4, False, (1, 3, 48, 96))
    model = use(facts(shape=(1, 48, 96, 3)))
    assert (model.channels_last, model.input.shape) == (True, (1, 3, 48, 96))


@pytest.mark.parametrize(
    ("shape", "problem"),
    [
        ((1, 3, None, None), "pictures of any size"),
        ((1, 1, 48, 96), "expected a picture"),
        ((1, 48), "expected a picture"),
        (None, "expected a picture"),
    ],
)
def test_what_takes_no_picture(shape: Any, problem: str) -> None:
    with pytest.raises(RecipeError, match=problem):
        use(facts(shape=shape))


def test_two_inputs() -> None:
    one = facts()
    with pytest.raises(RecipeError, match=r"has 2 inputs, expected one: data f32 .*; info f32 \[1, 3\]"):
        use(replace(one, inputs=(*one.inputs, Port("info", (1, 3), "f32"))))


def test_a_recipe_of_another_size(recipe: Any) -> None:
    with pytest.raises(RecipeError, match=r"takes data f32 \[1, 3, 64, 96\], the recipe tiny-caffe"):
        use(facts(shape=(1, 3, 64, 96)), recipe("caffe"))


def names(*given: str, first: int | None = None) -> LabelList:
    return LabelList("l.txt", given, first)


@pytest.mark.parametrize(
    ("model", "labels", "first_label", "warning"),
    [
        ({}, names("cat", "dog"), 0, ""),  # as the old sample: the label is the line, from 0
        ({"classes": 2, "first_label": 1}, names("cat", "dog"), 1, ""),
        ({"classes": 2, "first_label": 0}, names("cat", "dog"), 0, ""),
        ({"classes": 2, "first_label": 0}, names("cat", "dog", first=1), 0, ""),
        ({"classes": 3, "first_label": 1}, names("cat", "dog"), 1, "too short: it names 2 classes, the model has 3"),
        ({"classes": 1, "first_label": 1}, names("a", "b", "c"), 1, "too long: it names 3 classes, the model has 1"),
    ],
)  # fmt: skip
def test_labels_of_a_file(model: Any, labels: LabelList, first_label: int, warning: str) -> None:
    told = use(facts(**model), labels=labels)
    assert told.first_label == first_label
    assert told.names == labels.names
    assert told.warnings == ((f"l.txt is {warning}",) if warning else ())


def test_a_list_that_alone_says_the_first_number_is_told() -> None:
    told = use(facts(), labels=names("cat", "dog", first=1))
    assert (told.first_label, told.names) == (1, ("cat", "dog"))
    (warning,) = told.warnings
    assert "l.txt makes it 1, 'cat'" in warning


def test_numbers_that_the_model_does_not_use_are_passed_over() -> None:
    told = use(facts(classes=1, first_label=1), labels=names("none", "face", first=0))
    assert (told.first_label, told.names, told.warnings) == (1, ("face",), ())


def test_a_stand_in_takes_the_recipe_that_it_stands_for(recipe: Any) -> None:
    said = SAID | {"recipe": "own-nms-stand-in"}
    assert use(facts(said=said), recipe("onnx")).warnings == ()
    assert use(facts(said=SAID), recipe("onnx")).warnings != ()


def test_a_background_of_another_name() -> None:
    told = use(facts(classes=2, first_label=1), labels=names("nothing", "cat", "dog"))
    assert told.names == ("cat", "dog")
    assert "'nothing' is taken for the background" in told.warnings[0]


def test_labels_come_before_what_the_file_says() -> None:
    told = use(facts(said=SAID), labels=names("bird", "fish"))
    assert (told.names, told.name(2), told.warnings) == (("bird", "fish"), "fish", ())
    assert "too short" in use(facts(said=SAID), labels=names("bird")).warnings[0]


def test_a_file_that_resizes_gets_pictures_as_they_are() -> None:
    said = SAID | {"baked_resize": "stretch bilinear pillow 96x48"}
    del said["resize"]
    model = use(facts(shape=(1, None, None, 3), said=said))
    assert model.resizes
    assert (model.input.shape, model.channels_last, model.batch) == ((1, 3, 48, 96), True, 1)
    assert fed(model) == ("rgb", (0, 0, 0), (1, 1, 1), "stretch", "pillow")
    assert use(facts(BOXES, shape=(1, None, None, 3), said=said)).sides == (96, 48)
    # who asks for a filter gets it: the one inside then has nothing to do
    assert not use(facts(shape=(1, None, None, 3), said=said), library="opencv").resizes
    assert not use(facts(said=SAID)).resizes
