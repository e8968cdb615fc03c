"""A tiny model for the stages: slim ultraface at 64x48, three classes, weights from a seed."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ssdconvert.networks import build_network
from ssdconvert.originals import Original
from ssdconvert.recipe import Recipe
from ssdconvert.samples import Picture
from ssdconvert.stages.convert import convert
from ssdconvert.stages.export import export
from ssdconvert.stages.load import load
from ssdconvert.stages.simplify import simplify
from ssdconvert.workspace import digest_of

DOCUMENT: dict[str, Any] = {
    "schema": 1,
    "name": "tiny",
    "title": "slim ultraface at 64x48 with seeded weights",
    "licence": "Apache-2.0",
    "source": {
        "kind": "pytorch",
        "network": "ultraface",
        "options": {"variant": "slim"},
        "files": [{"name": "tiny.pth", "urls": []}],
    },
    "input": {
        "name": "picture",
        "shape": [1, 3, 48, 64],
        "color": {"model": "rgb"},
        "mean": [120, 110, 100],
        "scale": [60, 50, 40],
        "resize": {"mode": "stretch", "filter": "bilinear", "library": "opencv"},
    },
    "detections": {
        "boxes": "xyxy",
        "units": "normalised",
        "labels": ["cat", "dog"],
        "score_threshold": 0.3,
        "iou_threshold": 0.4,
        "per_class": 100,
        "keep": 50,
    },
}


def recipe_of(**changes: Any) -> Recipe:
    """The tiny recipe with changed top-level keys, or dotted ones such as `input.mean`."""
    document = json.loads(json.dumps(DOCUMENT))
    for key, value in changes.items():
        place = document
        *folders, last = key.split("__")
        for folder in folders:
            place = place[folder]
        place[last] = value
    return Recipe.model_validate_json(json.dumps(document))


@dataclass
class Tiny:
    recipe: Recipe
    checkpoint: Path
    original: Original
    exported: Path
    simplified: Path
    irs: dict[str, Path]
    pictures: list[Picture]


@pytest.fixture
def tiny_recipe() -> Any:
    return recipe_of


@pytest.fixture(scope="session")
def pictures() -> list[Picture]:
    """Two coloured pictures: smooth gradients with a strong cast, and noise."""
    random = np.random.default_rng(5)
    noise = random.integers(0, 256, (60, 90, 3), dtype=np.uint8)
    small = Image.fromarray(random.integers(0, 256, (4, 5, 3), dtype=np.uint8))
    smooth = np.array(small.resize((120, 70), Image.Resampling.BICUBIC))
    return [Picture("smooth.png", smooth), Picture("noise.png", noise)]


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory, pictures: list[Picture]) -> Tiny:
    """The tiny model, taken through every stage up to its IRs."""
    folder = tmp_path_factory.mktemp("tiny")
    recipe = recipe_of()
    checkpoint = write_checkpoint(folder / "tiny.pth", 3)
    original = load(recipe, {"tiny.pth": checkpoint})
    exported, simplified = folder / "exported.onnx", folder / "tiny.onnx"
    export(recipe, original, exported)
    images = [picture.for_original(recipe.input) for picture in pictures]
    simplify(exported, simplified, original.heads, recipe.input.name, images)
    irs = {precision: folder / precision / "tiny.xml" for precision in ("FP32", "FP16")}
    convert(recipe, simplified, irs, {"tiny.pth": digest_of(checkpoint)})
    return Tiny(recipe, checkpoint, original, exported, simplified, irs, pictures)


def write_checkpoint(path: Path, seed: int) -> Path:
    """Write weights of the tiny network from a seed."""
    import torch

    torch.manual_seed(seed)
    network = build_network("ultraface", 48, 64, 3, {"variant": "slim"})
    for name, tensor in network.state_dict().items():
        if name.endswith("running_var"):
            tensor.uniform_(0.5, 1.5)
        elif name.endswith("weight") and tensor.dim() == 4:
            gain = 0.02 if "regression" in name else 2.5
            tensor.normal_(0, (gain / tensor[0].numel()) ** 0.5)
    torch.save(network.state_dict(), path)
    return path


@pytest.fixture(scope="session")
def checkpoint_of_seed(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Path]:
    """Return the path of the tiny network's weights from a seed."""
    folder = tmp_path_factory.mktemp("seeds")
    return lambda seed: write_checkpoint(folder / f"{seed}.pth", seed)
