"""A network of a few layers, with what quantisers treat each in its own way: residual, pool, joined heads."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

CLASSES = 4


class TinySSD(nn.Module):
    """Two maps, 8x8 and 4x4, one default box a cell: P = 80."""

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
