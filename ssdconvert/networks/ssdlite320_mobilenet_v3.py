"""SSDlite320 with a MobileNetV3-Large backbone, torchvision's (models/detection/ssdlite.py).

The module is state_dict-compatible with `ssdlite320_mobilenet_v3_large_coco-a79551df.pth`, whose
backbone has the reduced tail: 80 and 480 channels where ImageNet's has 160 and 960. It is the heads
only: decoding and NMS are added to the exported graph (see `ssdconvert.tails`). Heads are
anchor-major: channel = anchor * K + k.
"""

from collections import OrderedDict
from itertools import pairwise

from torch import Tensor, nn

from ssdconvert.networks._torchvision import TorchvisionSSD
from ssdconvert.ssd.default_boxes import FloatArray, torchvision_default_boxes

IMAGE_SIZE = 320
GRIDS = (20, 10, 5, 3, 2, 1)
SCALES = (*(0.2 + 0.75 * level / 5 for level in range(6)), 1.0)
ASPECT_RATIOS = ((2, 3),) * 6
DEFAULTS_PER_CELL = 6
CHANNELS = (672, 480, 512, 256, 256, 128)  # of the maps that the heads read
EPSILON = 0.001  # of every batch normalisation

# (kernel, channels expanded, channels out, squeeze and excitation, activation, stride) of each block
BLOCKS: tuple[tuple[int, int, int, bool, type[nn.Module], int], ...] = (
    (3, 16, 16, False, nn.ReLU, 1),
    (3, 64, 24, False, nn.ReLU, 2),
    (3, 72, 24, False, nn.ReLU, 1),
    (5, 72, 40, True, nn.ReLU, 2),
    (5, 120, 40, True, nn.ReLU, 1),
    (5, 120, 40, True, nn.ReLU, 1),
    (3, 240, 80, False, nn.Hardswish, 2),
    (3, 200, 80, False, nn.Hardswish, 1),
    (3, 184, 80, False, nn.Hardswish, 1),
    (3, 184, 80, False, nn.Hardswish, 1),
    (3, 480, 112, True, nn.Hardswish, 1),
    (3, 672, 112, True, nn.Hardswish, 1),
    (5, 672, 80, True, nn.Hardswish, 2),
    (5, 480, 80, True, nn.Hardswish, 1),
    (5, 480, 80, True, nn.Hardswish, 1),
)
STEM = 16  # channels of the first convolution
C4 = 13  # index in the backbone of the block whose expansion is the first map


def conv_bn(
    channels_in: int,
    channels_out: int,
    kernel: int = 1,
    stride: int = 1,
    groups: int = 1,
    activation: type[nn.Module] | None = nn.ReLU6,
) -> nn.Sequential:
    """Convolution that keeps the size at stride 1, batch normalisation, activation."""
    convolution = nn.Conv2d(channels_in, channels_out, kernel, stride, kernel // 2, groups=groups, bias=False)
    layers = [convolution, nn.BatchNorm2d(channels_out, eps=EPSILON)]
    return nn.Sequential(*layers, *([activation()] if activation else []))


class SqueezeExcitation(nn.Module):
    """Scales each channel by what a small network makes of the channels' means."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        squeezed = _multiple_of_8(channels // 4)
        self.fc1 = nn.Conv2d(channels, squeezed, 1)
        self.fc2 = nn.Conv2d(squeezed, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        scale = nn.functional.adaptive_avg_pool2d(x, 1)
        scale = self.fc2(nn.functional.relu(self.fc1(scale)))
        return nn.functional.hardsigmoid(scale) * x


def _multiple_of_8(channels: int) -> int:
    """Return the nearest multiple of 8, the next one where that is less than 0.9 of the channels."""
    nearest = max(8, (channels + 4) // 8 * 8)
    return nearest if nearest >= 0.9 * channels else nearest + 8


class InvertedResidual(nn.Module):
    """Expand, depthwise, squeeze and excite, project; with a shortcut where the shape is kept."""

    def __init__(
        self,
        channels_in: int,
        kernel: int,
        expanded: int,
        out: int,
        excite: bool,
        activation: type[nn.Module],
        stride: int,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        if expanded != channels_in:
            layers.append(conv_bn(channels_in, expanded, activation=activation))
        layers.append(conv_bn(expanded, expanded, kernel, stride, expanded, activation))
        if excite:
            layers.append(SqueezeExcitation(expanded))
        layers.append(conv_bn(expanded, out, activation=None))
        self.block = nn.Sequential(*layers)
        self.shortcut = stride == 1 and channels_in == out

    def forward(self, x: Tensor) -> Tensor:
        return self.block(x) + x if self.shortcut else self.block(x)


def _extra_block(channels_in: int, out: int) -> nn.Sequential:
    """Project to half the channels, depthwise at stride 2, project."""
    half = out // 2
    return nn.Sequential(conv_bn(channels_in, half), conv_bn(half, half, 3, 2, half), conv_bn(half, out))


class Backbone(nn.Module):
    """MobileNetV3-Large cut in two inside its block C4, and the extra blocks: six maps, 20x20 to 1x1."""

    def __init__(self) -> None:
        super().__init__()
        inputs = (STEM, *(out for _, _, out, *_ in BLOCKS))
        layers: list[nn.Module] = [conv_bn(3, STEM, 3, 2, activation=nn.Hardswish)]
        layers += [InvertedResidual(c, *block) for c, block in zip(inputs, BLOCKS, strict=False)]
        layers.append(conv_bn(inputs[-1], CHANNELS[1], activation=nn.Hardswish))
        expand, *rest = layers[C4].block  # type: ignore[misc]
        after_expansion = OrderedDict((str(index), layer) for index, layer in enumerate(rest, start=1))
        self.features = nn.Sequential(
            nn.Sequential(*layers[:C4], expand),
            nn.Sequential(nn.Sequential(after_expansion), *layers[C4 + 1 :]),
        )
        self.extra = nn.ModuleList(_extra_block(*channels) for channels in pairwise(CHANNELS[1:]))

    def forward(self, image: Tensor) -> list[Tensor]:
        maps, x = [], image
        for block in (*self.features, *self.extra):
            x = block(x)
            maps.append(x)
        return maps


def _heads(numbers: int) -> nn.ModuleList:
    return nn.ModuleList(
        nn.Sequential(
            conv_bn(channels, channels, 3, groups=channels),
            nn.Conv2d(channels, DEFAULTS_PER_CELL * numbers, 1),
        )
        for channels in CHANNELS
    )


class SSDlite320MobileNetV3(TorchvisionSSD):
    """The network, of 3234 predictions, on an input of 320x320."""

    def __init__(self, classes: int = 91) -> None:
        super().__init__(Backbone(), _heads, classes)

    def default_boxes(self) -> FloatArray:
        """Return the default boxes that belong to the 3234 predictions, `centres` [3234, 4]."""
        return torchvision_default_boxes(GRIDS, GRIDS, SCALES, ASPECT_RATIOS)


def build(height: int, width: int, classes: int) -> SSDlite320MobileNetV3:
    """Return the network, whose input is 320x320; see `ssdconvert.networks`."""
    if (height, width) != (IMAGE_SIZE, IMAGE_SIZE):
        raise ValueError(f"ssdlite320_mobilenet_v3 takes an input of 320x320, got {width}x{height}")
    return SSDlite320MobileNetV3(classes)
