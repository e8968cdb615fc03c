"""SSD300 with a VGG-16 backbone, torchvision's (models/detection/ssd.py).

The module is state_dict-compatible with `ssd300_vgg16_coco-b556d3b4.pth`. It is the heads only:
decoding and NMS are added to the exported graph (see `ssdconvert.tails`). Heads are anchor-major:
channel = anchor * K + k.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from ssdconvert.networks._torchvision import TorchvisionSSD
from ssdconvert.ssd.default_boxes import FloatArray, torchvision_default_boxes

IMAGE_SIZE = 300
GRIDS = (38, 19, 10, 5, 3, 1)
STEPS = (8, 16, 32, 64, 100, 300)  # pixels
SCALES = (0.07, 0.15, 0.33, 0.51, 0.69, 0.87, 1.05)
ASPECT_RATIOS = ((2,), (2, 3), (2, 3), (2, 3), (2,), (2,))
DEFAULTS_PER_CELL = tuple(2 + 2 * len(ratios) for ratios in ASPECT_RATIOS)  # 4, 6, 6, 6, 4, 4
CHANNELS = (512, 1024, 512, 256, 256, 256)  # of the maps that the heads read


def _convolutions(channels_in: int, channels_out: int, count: int) -> Iterator[nn.Module]:
    """3x3 convolutions with biases, each followed by ReLU."""
    for index in range(count):
        yield nn.Conv2d(channels_out if index else channels_in, channels_out, 3, padding=1)
        yield nn.ReLU(inplace=True)


def _extra_block(channels_in: int, between: int, out: int, stride: int, padding: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels_in, between, 1),
        nn.ReLU(inplace=True),
        nn.Conv2d(between, out, 3, stride, padding),
        nn.ReLU(inplace=True),
    )


class Backbone(nn.Module):
    """VGG-16 without its classifier, and the extra blocks: six maps, 38x38 to 1x1.

    The first map is conv4_3, of length `scale_weight` over its channels at each cell. Pool 3 rounds
    its size up (75 -> 38), and fc6 and fc7 are convolutions behind a pool 5 that keeps the size.
    """

    def __init__(self) -> None:
        super().__init__()
        self.scale_weight = nn.Parameter(torch.full((512,), 20.0))
        self.features = nn.Sequential(
            *_convolutions(3, 64, 2),
            nn.MaxPool2d(2),
            *_convolutions(64, 128, 2),
            nn.MaxPool2d(2),
            *_convolutions(128, 256, 3),
            nn.MaxPool2d(2, ceil_mode=True),
            *_convolutions(256, 512, 3),
        )
        fc = nn.Sequential(
            nn.MaxPool2d(3, stride=1, padding=1),
            nn.Conv2d(512, 1024, 3, padding=6, dilation=6),
            nn.ReLU(inplace=True),
            nn.Conv2d(1024, 1024, 1),
            nn.ReLU(inplace=True),
        )
        self.extra = nn.ModuleList(
            [
                nn.Sequential(nn.MaxPool2d(2), *_convolutions(512, 512, 3), fc),
                _extra_block(1024, 256, 512, stride=2, padding=1),
                _extra_block(512, 128, 256, stride=2, padding=1),
                _extra_block(256, 128, 256, stride=1, padding=0),
                _extra_block(256, 128, 256, stride=1, padding=0),
            ]
        )

    def forward(self, image: Tensor) -> list[Tensor]:
        x = self.features(image)
        maps = [self.scale_weight.view(1, -1, 1, 1) * nn.functional.normalize(x)]
        for block in self.extra:
            x = block(x)
            maps.append(x)
        return maps


def _heads(numbers: int) -> nn.ModuleList:
    return nn.ModuleList(
        nn.Conv2d(channels, defaults * numbers, 3, padding=1)
        for channels, defaults in zip(CHANNELS, DEFAULTS_PER_CELL, strict=True)
    )


class SSD300VGG16(TorchvisionSSD):
    """The network, of 8732 predictions, on an input of 300x300."""

    def __init__(self, classes: int = 91) -> None:
        super().__init__(Backbone(), _heads, classes)

    def default_boxes(self) -> FloatArray:
        """Return the default boxes that belong to the 8732 predictions, `centres` [8732, 4]."""
        divisors = [IMAGE_SIZE / step for step in STEPS]
        return torchvision_default_boxes(GRIDS, divisors, SCALES, ASPECT_RATIOS)


def build(height: int, width: int, classes: int) -> SSD300VGG16:
    """Return the network, whose input is 300x300; see `ssdconvert.networks`."""
    if (height, width) != (IMAGE_SIZE, IMAGE_SIZE):
        raise ValueError(f"ssd300_vgg16 takes an input of 300x300, got {width}x{height}")
    return SSD300VGG16(classes)
