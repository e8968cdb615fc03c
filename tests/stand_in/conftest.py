"""A tiny network for ONNX stand-ins, and shipped recipes whose stand-ins are made in a second or two."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ssdconvert.catalog import Catalog
from ssdconvert.recipe import Recipe
from ssdconvert.stand_in import make_stand_in

CLASSES = 4
SMALL = ("ssd-demo", "ssdlite320-mobilenet-v3", "ultraface-rfb-320", "ultraface-slim-320")


class TinySSD(nn.Module):
    """With what quantisers treat each in its own way: residual, pool, joined heads.

    Two maps, 8x8 and 4x4, one default box a cell: P = 80.
    """

    shape = (1, 3, 16, 16)
    variances = (0.1, 0.2)
    largest_size_offset = None

    def __init__(self, background: float = 1.0) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
        self.third = nn.Conv2d(8, 8, 3, stride=2, padding=1)
        self.conf = nn.ModuleList([nn.Conv2d(8, CLASSES, 3, padding=1) for _ in range(2)])
        self.loc = nn.ModuleList([nn.Conv2d(8, 4, 3, padding=1) for _ in range(2)])
        torch.manual_seed(7)
        for tensor in self.state_dict().values():
            # biases differ: the exporter would share equal ones
            tensor.normal_(0, (4 / tensor[0].numel()) ** 0.5 if tensor.dim() > 1 else 0.01)
        with torch.no_grad():
            for head in self.conf:
                head.bias[0] += background

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        x = nn.functional.max_pool2d(torch.relu(self.first(image)), 2)
        x = torch.relu(self.second(x) + x)
        maps = [x, torch.relu(self.third(x))]
        logits = [head(m).flatten(2) for head, m in zip(self.conf, maps, strict=True)]
        offsets = [head(m).flatten(2) for head, m in zip(self.loc, maps, strict=True)]
        return torch.cat(logits, 2).transpose(1, 2), torch.cat(offsets, 2).transpose(1, 2)

    def default_boxes(self) -> NDArray[Any]:
        boxes = []
        for side, size in ((8, 0.3), (4, 0.6)):
            for row in range(side):
                boxes += [((column + 0.5) / side, (row + 0.5) / side, size, size) for column in range(side)]
        return np.array(boxes, np.float32)


@pytest.fixture(scope="session")
def tiny_ssd() -> type[TinySSD]:
    return TinySSD


@pytest.fixture(scope="session")
def images() -> Callable[[int], list[NDArray[Any]]]:
    """Makes so many normalised inputs, the same ones every time."""

    def made(count: int) -> list[NDArray[Any]]:
        random = np.random.default_rng(3)
        return [random.normal(0, 1, TinySSD.shape).astype(np.float32) for _ in range(count)]

    return made


@pytest.fixture(scope="session")
def stand_ins(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Recipe, Path]]:
    """Small recipes by name, each with its stand-in."""
    made = {}
    for name in SMALL:
        recipe = Catalog().find(name).recipe
        folder = tmp_path_factory.mktemp(name)
        make_stand_in(recipe, folder)
        made[name] = (recipe, folder / recipe.source.files[0].name)
    return made


@pytest.fixture(params=SMALL)
def small(request: pytest.FixtureRequest, stand_ins: dict[str, tuple[Recipe, Path]]) -> tuple[Recipe, Path]:
    """A small recipe and its stand-in."""
    return stand_ins[request.param]
