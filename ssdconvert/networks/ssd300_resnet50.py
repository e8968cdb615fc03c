"""SSD300 with a ResNet-50 backbone, NVIDIA's (DeepLearningExamples, PyTorch/Detection/SSD; torch hub).

The module is state_dict-compatible with the `model` entry of `nvidia_ssdpyt_amp_200703.pt`. It is the
heads only: decoding and NMS are added to the exported graph (see `ssdconvert.tails`).

Unlike MLPerf's SSD-ResNet34 the extra blocks have batch normalisation and no biases, and the heads
have stride 1. A head's channels are coordinate-major too (channel = coordinate * A + anchor).
"""

from itertools import pairwise

from torch import Tensor, nn

from ssdconvert.networks._predictions import coordinate_major
from ssdconvert.ssd.default_boxes import FloatArray, nvidia_default_boxes

IMAGE_SIZE = 300
GRIDS = (38, 19, 10, 5, 3, 1)
STEPS = (8, 16, 32, 64, 100, 300)  # pixels
SCALES = (21, 45, 99, 153, 207, 261, 315)  # pixels
ASPECT_RATIOS = ((2,), (2, 3), (2, 3), (2, 3), (2,), (2,))
DEFAULTS_PER_CELL = tuple(2 + 2 * len(ratios) for ratios in ASPECT_RATIOS)  # 4, 6, 6, 6, 4, 4
CHANNELS = (1024, 512, 512, 256, 256, 256)  # of the maps that the heads read
# (channels between, stride, padding) of the extra blocks
EXTRA_BLOCKS = ((256, 2, 1), (256, 2, 1), (128, 2, 1), (128, 1, 0), (128, 1, 0))


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolution and a shortcut; keys as in torchvision's class of that name."""

    def __init__(self, channels_in: int, between: int, stride: int = 1) -> None:
        super().__init__()
        channels_out = 4 * between
        self.conv1 = nn.Conv2d(channels_in, between, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(between)
        self.conv2 = nn.Conv2d(between, between, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(between)
        self.conv3 = nn.Conv2d(between, channels_out, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(channels_out)
        self.relu = nn.ReLU(inplace=True)
        self.downsample: nn.Sequential | None = None
        if channels_in != channels_out:
            self.downsample = nn.Sequential(
                nn.Conv2d(channels_in, channels_out, 1, stride, bias=False), nn.BatchNorm2d(channels_out)
            )

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)))
        return self.relu(self.bn3(self.conv3(x)) + shortcut)


def _stage(channels_in: int, between: int, blocks: int, stride: int) -> nn.Sequential:
    """Bottlenecks in a row, the first with the stride."""
    first = Bottleneck(channels_in, between, stride)
    return nn.Sequential(first, *(Bottleneck(4 * between, between) for _ in range(blocks - 1)))


class ResNet50(nn.Module):
    """ResNet-50 up to conv4_x, whose stride is 1 instead of 2: 1024 channels at 1/8 of the input."""

    def __init__(self) -> None:
        super().__init__()
        self.feature_extractor = nn.Sequential(
            nn.Conv2d(3, 64, 7, 2, 3, bias=False),
            nn.BatchNorm2d(64),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, 2, 1),
            _stage(64, 64, blocks=3, stride=1),
            _stage(256, 128, blocks=4, stride=2),
            _stage(512, 256, blocks=6, stride=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.feature_extractor(x)


class SSD300ResNet50(nn.Module):
    """`forward(image [N, 3, 300, 300])` gives class logits [N, 8732, C] and box offsets [N, 8732, 4].

    `classes` counts the background, which is class 0.
    """

    variances = (0.1, 0.2)
    largest_size_offset = None

    def __init__(self, classes: int = 81) -> None:
        super().__init__()
        self.classes = classes
        self.feature_extractor = ResNet50()
        self.additional_blocks = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(channels_in, between, 1, bias=False),
                nn.BatchNorm2d(between),
                nn.ReLU(inplace=True),
                nn.Conv2d(between, channels_out, 3, stride, padding, bias=False),
                nn.BatchNorm2d(channels_out),
                nn.ReLU(inplace=True),
            )
            for (channels_in, channels_out), (between, stride, padding) in zip(
                pairwise(CHANNELS), EXTRA_BLOCKS, strict=True
            )
        )
        self.loc = self._heads(4)
        self.conf = self._heads(classes)

    @staticmethod
    def _heads(numbers: int) -> nn.ModuleList:
        return nn.ModuleList(
            nn.Conv2d(channels, defaults * numbers, 3, padding=1)
            for channels, defaults in zip(CHANNELS, DEFAULTS_PER_CELL, strict=True)
        )

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        maps = [self.feature_extractor(image)]
        for block in self.additional_blocks:
            maps.append(block(maps[-1]))
        return coordinate_major(self.conf, maps, self.classes), coordinate_major(self.loc, maps, 4)

    def default_boxes(self) -> FloatArray:
        """Return the default boxes that belong to the 8732 predictions, `centres` [8732, 4] in 0..1."""
        return nvidia_default_boxes(IMAGE_SIZE, GRIDS, STEPS, SCALES, ASPECT_RATIOS)


def build(height: int, width: int, classes: int) -> SSD300ResNet50:
    """Return the network, whose input is 300x300; see `ssdconvert.networks`."""
    if (height, width) != (IMAGE_SIZE, IMAGE_SIZE):
        raise ValueError(f"ssd300_resnet50 takes an input of 300x300, got {width}x{height}")
    return SSD300ResNet50(classes)
