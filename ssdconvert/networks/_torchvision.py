"""What torchvision's SSDs have in common: heads and coding (models/detection/ssd.py, _utils.py)."""

import math
from collections.abc import Callable

from torch import Tensor, nn

from ssdconvert.networks._predictions import anchor_major


class Head(nn.Module):
    """The heads of one kind, one a map, each giving `numbers` for a default box; anchor-major."""

    def __init__(self, heads: nn.ModuleList, numbers: int) -> None:
        super().__init__()
        self.numbers = numbers
        self.module_list = heads

    def forward(self, maps: list[Tensor]) -> Tensor:
        return anchor_major(self.module_list, maps, self.numbers)


class TorchvisionSSD(nn.Module):
    """`forward(image [N, 3, S, S])` gives class logits [N, P, C] and box offsets [N, P, 4].

    `backbone` gives the maps, `heads(numbers)` a head for each. `classes` counts the background,
    which is class 0.
    """

    variances = (0.1, 0.2)
    largest_size_offset = math.log(1000 / 16)  # BoxCoder, bbox_xform_clip

    def __init__(self, backbone: nn.Module, heads: Callable[[int], nn.ModuleList], classes: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = nn.ModuleDict(
            {
                "classification_head": Head(heads(classes), classes),
                "regression_head": Head(heads(4), 4),
            }
        )

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        maps = self.backbone(image)
        return self.head["classification_head"](maps), self.head["regression_head"](maps)
