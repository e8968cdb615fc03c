"""Models find the same to the bit, however many pictures are computed at once, and in the whole picture."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ssdconvert.accuracy.finders import in_whole_picture, names_of, one_thread_each, opened
from ssdconvert.accuracy.subjects import Asked, ModelFile, Subject, subjects_of
from ssdconvert.catalog import Catalog
from ssdconvert.detector import in_threads
from ssdconvert.devices import Machine
from ssdconvert.errors import RecipeError
from ssdconvert.fetching.options import FetchOptions
from ssdconvert.label_files import read_labels
from ssdconvert.recipe import Input, Resize


def found(subject: Subject, jobs: int) -> list[bytes]:
    """What a model finds in twelve pictures, as bytes."""
    random = np.random.default_rng(1)
    pictures = [random.integers(0, 256, (40 + i, 50, 3), np.uint8) for i in range(12)]
    with opened(subject, jobs) as finder:
        results = list(in_threads(finder.find, pictures, finder.threads))
    assert sum(len(one) for one in results)
    return [one.boxes.tobytes() + one.labels.tobytes() + one.scores.tobytes() for one in results]


@pytest.mark.parametrize("name", ["own_nms", "caffe", "ready"])
def test_originals_find_the_same_however_many_pictures_are_computed_at_once(
    name: str,
    request: pytest.FixtureRequest,
    recipe_file: Callable[..., Path],
    tmp_path: Path,
    documents: dict[str, Mapping[str, Any]],
) -> None:
    document = request.getfixturevalue(name)
    document = document("pixels") if name == "ready" else document
    recipe = Catalog().find(str(recipe_file(document))).recipe
    folder = tmp_path / "mirror" / recipe.name
    names = [file.name for file in recipe.source.files if "FP16" not in file.name]
    subject = Subject(
        "original", tuple(ModelFile.at(folder / name, name) for name in names), recipe, original=True
    )
    assert found(subject, 1) == found(subject, 3)


def test_deployed_models_find_the_same_too(grey_model: Path) -> None:
    subject = Subject("model.xml", (ModelFile.at(grey_model),), None)
    assert found(subject, 1) == found(subject, 3)


def test_one_thread_a_stream_on_the_cpu() -> None:
    assert one_thread_each(Machine(), 8).settings == {"NUM_STREAMS": "8", "INFERENCE_NUM_THREADS": "8"}
    given = Machine(settings={"NUM_STREAMS": "2", "CPU_PINNING": "NO"})
    assert one_thread_each(given, 8).settings == {
        "NUM_STREAMS": "2", "INFERENCE_NUM_THREADS": "2", "CPU_PINNING": "NO",
    }  # fmt: skip
    assert one_thread_each(Machine("GPU"), 8) == Machine("GPU")


def test_torch_gets_its_threads_back(tmp_path: Path) -> None:
    import torch

    recipe = Catalog().find("ssd-demo").recipe
    checkpoint = Path(__file__).parents[2] / "ssdconvert" / "demo" / "ssd-demo.pytorch"
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    subject = Subject("original", (ModelFile.at(checkpoint, "ssd-demo.pytorch"),), recipe, original=True)
    with opened(subject, 2) as finder:
        assert (torch.get_num_threads(), finder.threads) == (1, 2)
    assert torch.get_num_threads() == 2
    torch.set_num_threads(before)


def test_boxes_of_a_cropped_input_are_those_of_the_picture_and_go_over_its_edges() -> None:
    spec = Input.model_validate(
        {"name": "image", "shape": (1, 3, 10, 10), "color": {"model": "bgr"},
         "resize": Resize(mode="crop", filter="bilinear", library="opencv")}
    )  # fmt: skip
    boxes = np.array([[0, 0, 1, 1], [-0.5, 0, 0.5, 1.25]], np.float32)
    # of 20x10 pixels the input shows columns 5 to 15
    assert in_whole_picture(boxes, (10, 20), spec).tolist() == [[0.25, 0, 0.75, 1], [0, 0, 0.5, 1.25]]
    stretched = spec.model_copy(update={"resize": spec.resize.model_copy(update={"mode": "stretch"})})
    assert in_whole_picture(boxes, (10, 20), stretched) is boxes


def test_names_of_classes(grey_model: Path, tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("cat\ndog\n")
    file = (ModelFile.at(grey_model),)
    assert names_of(Subject("model.xml", file, None)) == ()
    assert names_of(Subject("model.xml", file, None, labels=read_labels(str(tmp_path / "names.txt")))) == (
        "cat",
        "dog",
    )
    recipe = Catalog().find("ssd-demo").recipe
    own = recipe.model_copy(update={"input": recipe.input.model_copy(update={"shape": (1, 3, 8, 8)})})
    assert names_of(Subject("FP32", file, own))[0] == "red disc"
    told: list[str] = []
    names = names_of(Subject("FP32", file, own, labels=read_labels(str(tmp_path / "names.txt"))), told.append)
    assert names == ("cat", "dog")
    assert "names 2 classes, the model has 5" in told[0]


def test_what_a_model_stands_for(grey_model: Path, tmp_path: Path) -> None:
    fetching = FetchOptions(tmp_path / "cache")
    subjects = subjects_of(str(grey_model), Catalog(), fetching, Asked())
    assert (subjects.name, subjects.recipe) == ("model", None)
    assert [file.name for file in subjects.models[0].files] == ["model.xml", "model.bin"]
    build = tmp_path / "somewhere"
    for precision in ("FP32", "INT8"):
        for suffix in (".xml", ".bin"):
            (build / precision).mkdir(parents=True, exist_ok=True)
            (build / precision / f"ssd-demo{suffix}").write_bytes(grey_model.with_suffix(suffix).read_bytes())
    subjects = subjects_of(str(build), Catalog(), fetching, Asked())
    assert [one.name for one in subjects.models] == ["original", "FP32", "INT8"]
    assert [one.engine for one in subjects.models] == ["torch", "openvino", "openvino"]
    alone = subjects_of(str(build), Catalog(), fetching, Asked(("INT8",), original=False))
    assert [one.name for one in alone.models] == ["INT8"]
    with pytest.raises(RecipeError, match="is not built"):
        subjects_of(str(build), Catalog(), fetching, Asked(("FP16",)))
    for precision in ("FP32", "INT8"):
        for suffix in (".xml", ".bin"):
            (build / precision / f"ssd-demo{suffix}").rename(build / precision / f"nobodys{suffix}")
    with pytest.raises(RecipeError, match="no recipe says what the original"):
        subjects_of(str(build), Catalog(), fetching, Asked())
