"""Linzaer's Ultra-Light fast face detectors, `rfb` and `slim`, at 320x240 or 640x480.

State_dict-compatible with `version-RFB-*.pth` and `version-slim-*.pth` of
Linzaer/Ultra-Light-Fast-Generic-Face-Detector-1MB (vision/nn/mb_tiny_RFB.py, mb_tiny.py, vision/ssd).
Heads are anchor-major: channel = anchor * K + k.
"""

import torch
from torch import Tensor, nn

from ssdconvert.networks._predictions import anchor_major
from ssdconvert.ssd.default_boxes import FloatArray, ultraface_default_boxes

MIN_BOXES = ((10, 16, 24), (32, 48), (64, 96), (128, 192, 256))  # pixels of the input
STRIDES = (8, 16, 32, 64)
BASE = 16  # channels of the first convolution
SOURCES = (8, 11, 13)  # the heads read the backbone's output after so many of its blocks


def conv_bn(channels_in: int, channels_out: int, stride: int) -> nn.Sequential:
    """3x3 convolution, batch normalisation, ReLU."""
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 3, stride, 1, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(inplace=True),
    )


def conv_dw(channels_in: int, channels_out: int, stride: int) -> nn.Sequential:
    """Depthwise then pointwise convolution, each with batch normalisation and ReLU."""
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_in, 3, stride, 1, groups=channels_in, bias=False),
        nn.BatchNorm2d(channels_in),
        nn.ReLU(inplace=True),
        nn.Conv2d(channels_in, channels_out, 1, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(inplace=True),
    )


def separable_conv(channels_in: int, channels_out: int, stride: int = 1) -> nn.Sequential:
    """Depthwise convolution, ReLU, pointwise convolution, with biases: the heads' and extras' form."""
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_in, 3, stride, 1, groups=channels_in),
        nn.ReLU(),
        nn.Conv2d(channels_in, channels_out, 1),
    )


class BasicConv(nn.Module):
    """Convolution and batch normalisation, with a ReLU where asked."""

    def __init__(
        self, channels_in: int, channels_out: int, kernel: int, dilation: int = 1, relu: bool = True
    ):
        super().__init__()
        padding = dilation * (kernel // 2)
        self.conv = nn.Conv2d(channels_in, channels_out, kernel, 1, padding, dilation, bias=False)
        self.bn = nn.BatchNorm2d(channels_out)
        self.relu = nn.ReLU(inplace=True) if relu else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.bn(self.conv(x)))


class BasicRFB(nn.Module):
    """Receptive field block: three branches of dilation 2, 3 and 5, joined, plus a shortcut."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        between = channels // 8
        self.branch0 = nn.Sequential(
            BasicConv(channels, between, 1, relu=False),
            BasicConv(between, 2 * between, 3),
            BasicConv(2 * between, 2 * between, 3, dilation=2, relu=False),
        )
        self.branch1 = nn.Sequential(
            BasicConv(channels, between, 1, relu=False),
            BasicConv(between, 2 * between, 3),
            BasicConv(2 * between, 2 * between, 3, dilation=3, relu=False),
        )
        self.branch2 = nn.Sequential(
            BasicConv(channels, between, 1, relu=False),
            BasicConv(between, between // 2 * 3, 3),
            BasicConv(between // 2 * 3, 2 * between, 3),
            BasicConv(2 * between, 2 * between, 3, dilation=5, relu=False),
        )
        self.ConvLinear = BasicConv(6 * between, channels, 1, relu=False)
        self.shortcut = BasicConv(channels, channels, 1, relu=False)
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        joined = torch.cat((self.branch0(x), self.branch1(x), self.branch2(x)), 1)
        return self.relu(self.ConvLinear(joined) + self.shortcut(x))


class Ultraface(nn.Module):
    """`forward(image [N, 3, H, W])` gives class logits [N, P, C] and box offsets [N, P, 4]."""

    variances = (0.1, 0.2)
    largest_size_offset = None

    def __init__(self, variant: str, image_width: int, image_height: int, classes: int = 2) -> None:
        super().__init__()
        if variant not in ("rfb", "slim"):
            raise ValueError(f"ultraface has the variants rfb and slim, got {variant!r}")
        self.image_width, self.image_height, self.classes = image_width, image_height, classes
        c1, c2, c4, c8, c16 = (BASE * factor for factor in (1, 2, 4, 8, 16))
        self.base_net = nn.Sequential(
            conv_bn(3, c1, 2),
            conv_dw(c1, c2, 1),
            conv_dw(c2, c2, 2),
            conv_dw(c2, c2, 1),
            conv_dw(c2, c4, 2),
            conv_dw(c4, c4, 1),
            conv_dw(c4, c4, 1),
            BasicRFB(c4) if variant == "rfb" else conv_dw(c4, c4, 1),
            conv_dw(c4, c8, 2),
            conv_dw(c8, c8, 1),
            conv_dw(c8, c8, 1),
            conv_dw(c8, c16, 2),
            conv_dw(c16, c16, 1),
        )
        self.extras = nn.ModuleList(
            [nn.Sequential(nn.Conv2d(c16, c4, 1), nn.ReLU(), separable_conv(c4, c16, 2), nn.ReLU())]
        )
        self.classification_headers = self._heads((c4, c8, c16, c16), classes)
        self.regression_headers = self._heads((c4, c8, c16, c16), 4)

    @staticmethod
    def _heads(channels: tuple[int, ...], numbers: int) -> nn.ModuleList:
        """One head a level: separable, and a plain 3x3 convolution on the last."""
        heads: list[nn.Module] = [
            separable_conv(c, len(sizes) * numbers)
            for c, sizes in zip(channels[:-1], MIN_BOXES[:-1], strict=True)
        ]
        heads.append(nn.Conv2d(channels[-1], len(MIN_BOXES[-1]) * numbers, 3, 1, 1))
        return nn.ModuleList(heads)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        maps, x, start = [], image, 0
        for end in SOURCES:
            x = self.base_net[start:end](x)
            maps.append(x)
            start = end
        maps.append(self.extras[0](x))
        return (
            anchor_major(self.classification_headers, maps, self.classes),
            anchor_major(self.regression_headers, maps, 4),
        )

    def default_boxes(self) -> FloatArray:
        """Return the default boxes that belong to the P predictions, `centres` [P, 4] in 0..1."""
        return ultraface_default_boxes(self.image_width, self.image_height, MIN_BOXES, STRIDES)


def build(height: int, width: int, classes: int, variant: str = "rfb") -> Ultraface:
    """Return the network for any input size; see `ssdconvert.networks`."""
    return Ultraface(variant, width, height, classes)
