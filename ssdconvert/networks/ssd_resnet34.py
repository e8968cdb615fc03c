"""SSD with a ResNet-34 backbone, as in MLPerf inference (mlcommons/inference, models/ssd_r34.py).

The module is state_dict-compatible with `resnet34-ssd1200.pytorch`. It is the heads only: decoding
and NMS are added to the exported graph (see `ssdconvert.tails`).

Differences from the usual SSD: the heads have stride 3, the extra blocks have biases and no batch
normalisation, and a head's channels are coordinate-major (channel = coordinate * A + anchor).
"""

from torch import Tensor, nn

from ssdconvert.networks._predictions import coordinate_major
from ssdconvert.ssd.default_boxes import FloatArray, mlperf_default_boxes

ASPECT_RATIOS = ((2,), (2, 3), (2, 3), (2, 3), (2,), (2,))
BASE_SCALES = (21, 45, 99, 153, 207, 261, 315)  # pixels at an input of 300
DEFAULTS_PER_CELL = tuple(2 + 2 * len(ratios) for ratios in ASPECT_RATIOS)  # 4, 6, 6, 6, 4, 4
HEAD_STRIDE = 3
# (channels between, channels out, stride, padding) of the extra blocks, channels at width 1
EXTRA_BLOCKS = ((256, 512, 2, 1), (256, 512, 2, 1), (128, 256, 2, 1), (128, 256, 2, 0), (128, 256, 1, 0))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut; keys as in torchvision's class of that name."""

    def __init__(self, channels_in: int, channels_out: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels_out)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels_out)
        self.downsample: nn.Sequential | None = None
        if channels_in != channels_out:
            self.downsample = nn.Sequential(
                nn.Conv2d(channels_in, channels_out, 1, stride, bias=False), nn.BatchNorm2d(channels_out)
            )

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(x)) + shortcut)


class ResNet34(nn.Module):
    """ResNet-34 up to conv4_x, whose stride is 1 instead of 2: one map at 1/8 of the input."""

    def __init__(self, width: float) -> None:
        super().__init__()
        c1, c2, c3 = (round(channels * width) for channels in (64, 128, 256))
        self.layer1 = nn.Sequential(
            nn.Conv2d(3, c1, 7, 2, 3, bias=False),
            nn.BatchNorm2d(c1),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, 2, 1),
            nn.Sequential(*(BasicBlock(c1, c1) for _ in range(3))),
            nn.Sequential(BasicBlock(c1, c2, stride=2), *(BasicBlock(c2, c2) for _ in range(3))),
        )
        self.layer2 = nn.Sequential(
            nn.Sequential(BasicBlock(c2, c3), *(BasicBlock(c3, c3) for _ in range(5)))
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layer2(self.layer1(x))


def grids_of(image_size: int) -> list[int]:
    """Return the side of each head's grid; 50, 25, 13, 7, 3, 3 at 1200. An empty one is 0 or less."""

    def convolved(side: int, stride: int, padding: int) -> int:
        return (side + 2 * padding - 3) // stride + 1

    sides = [-(-image_size // 8)]
    for _, _, stride, padding in EXTRA_BLOCKS:
        sides.append(convolved(sides[-1], stride, padding))
    return [convolved(side, HEAD_STRIDE, 1) if side > 0 else 0 for side in sides]


class SSDResNet34(nn.Module):
    """`forward(image [N, 3, S, S])` gives class logits [N, P, C] and box offsets [N, P, 4].

    `classes` counts the background, which is class 0. `width` multiplies every channel count of
    the backbone and of the extra blocks.
    """

    variances = (0.1, 0.2)
    largest_size_offset = None

    def __init__(self, image_size: int = 1200, classes: int = 81, width: float = 1.0) -> None:
        super().__init__()
        if round(64 * width) < 1:
            raise ValueError(f"a channel multiplier of {width:g} leaves no channels, 1/64 is the least")
        self.image_size, self.classes = image_size, classes
        self.grids = grids_of(image_size)
        if min(self.grids) < 1:
            raise ValueError(
                f"ssd_resnet34 needs an input of at least {smallest_input()} pixels, got {image_size}"
            )
        self.model = ResNet34(width)
        channels = [round(256 * width)]
        self.additional_blocks = nn.ModuleList()
        for between, out, stride, padding in EXTRA_BLOCKS:
            middle, last = round(between * width), round(out * width)
            self.additional_blocks.append(
                nn.Sequential(
                    nn.Conv2d(channels[-1], middle, 1),
                    nn.ReLU(inplace=True),
                    nn.Conv2d(middle, last, 3, stride, padding),
                    nn.ReLU(inplace=True),
                )
            )
            channels.append(last)
        self.loc, self.conf = nn.ModuleList(), nn.ModuleList()
        for channels_in, defaults in zip(channels, DEFAULTS_PER_CELL, strict=True):
            self.loc.append(nn.Conv2d(channels_in, defaults * 4, 3, HEAD_STRIDE, 1))
            self.conf.append(nn.Conv2d(channels_in, defaults * classes, 3, HEAD_STRIDE, 1))

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        maps = [self.model(image)]
        for block in self.additional_blocks:
            maps.append(block(maps[-1]))
        return coordinate_major(self.conf, maps, self.classes), coordinate_major(self.loc, maps, 4)

    def default_boxes(self) -> FloatArray:
        """Return the default boxes that belong to the P predictions, `centres` [P, 4] in 0..1."""
        scales = [int(scale * self.image_size / 300) for scale in BASE_SCALES]
        return mlperf_default_boxes(self.image_size, self.grids, scales, ASPECT_RATIOS)


def smallest_input() -> int:
    """Return the smallest input, in pixels, for which every level keeps a cell."""
    return next(size for size in range(8, 4096) if all(grid >= 1 for grid in grids_of(size)))


def build(height: int, width: int, classes: int, channel_multiplier: float = 1.0) -> SSDResNet34:
    """Return the network for a square input; see `ssdconvert.networks`."""
    if height != width:
        raise ValueError(f"ssd_resnet34 takes a square input, got {width}x{height}")
    return SSDResNet34(height, classes, channel_multiplier)
