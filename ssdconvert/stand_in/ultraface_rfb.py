"""The architecture of Linzaer's RFB-320 as a prototxt, to be had without its download.

From Linzaer/Ultra-Light-Fast-Generic-Face-Detector-1MB, caffe/model/RFB-320/RFB-320.prototxt: the text
is that file's, byte for byte. Its layers are named by numbers that PyTorch's tracer gave to the network
of `ssdconvert.networks.ultraface`, batch normalisation merged; `boxes` are raw offsets.
"""

from ssdconvert.stand_in.prototxt import CHANNELS_JOINED, CHANNELS_LAST, indented, layer

FIRST = 245  # the tracer's number of the first convolution
BASE = 16  # channels of the first convolution
MERGED = 1  # the number that a merged batch normalisation left unused
RESHAPED = 9  # those of the shape arithmetic in front of a head's Reshape
# channels in, channels out, stride of the backbone's separable blocks; the heads' inputs end a row
STAGES = (
    ((1, 2, 1), (2, 2, 2), (2, 2, 1), (2, 4, 2), (4, 4, 1), (4, 4, 1)),
    ((4, 8, 2), (8, 8, 1), (8, 8, 1)),
    ((8, 16, 2), (16, 16, 1)),
)
BRANCHES = ((8, 16, 2), (8, 16, 3), (8, 12, 16, 5))  # channels, last the dilation
SIZES = (3, 2, 2, 3)  # default boxes a place, by level


def ultraface_rfb_prototxt(height: int = 240, width: int = 320) -> str:
    """Return the text of RFB-320.prototxt: input `input`, outputs `scores` and `boxes`."""
    return indented(" ".join(_Network(height, width).layers)) + "\n"


class _Network:
    """The layers, in the order in which they were traced."""

    def __init__(self, height: int, width: int) -> None:
        shape = f"input_param {{ shape {{ dim: 1 dim: 3 dim: {height} dim: {width} }} }}"
        self.layers = [layer("input", "Input", [], shape)]
        self.number = FIRST
        x = self._activated("input", BASE, 3, 2)
        outputs: dict[int, list[str]] = {2: [], 4: []}  # by numbers a box: of classes, of coordinates
        for level, boxes in enumerate(SIZES):
            if level < len(STAGES):
                for before, after, stride in STAGES[level]:
                    x = self._separable(x, before * BASE, after * BASE, stride, MERGED)
                x = self._receptive_field(x) if level == 0 else x
            else:
                x = self._separable(self._activated(x, 4 * BASE, 1, 1, 0), 4 * BASE, 16 * BASE, 2, 0)
            for numbers, flat in outputs.items():
                flat.append(self._head(x, level, boxes, numbers))
        joined = self._add("Concat", outputs[2], CHANNELS_JOINED)
        self._add("Concat", outputs[4], CHANNELS_JOINED, name="boxes")
        self._add("Softmax", [joined], "softmax_param { axis: 2 }", name="scores")

    def _add(
        self, kind: str, bottoms: list[str], parameters: str = "", skipped: int = 0, name: str = ""
    ) -> str:
        """Add a layer named by its number, after which `skipped` numbers stay unused."""
        name = name or str(self.number)
        self.layers.append(layer(name, kind, bottoms, parameters))
        self.number += 1 + skipped
        return name

    def _convolution(
        self, x: str, channels: int, kernel: int, stride: int = 1, group: int = 1, dilation: int = 1,
        skipped: int = MERGED,
    ) -> str:  # fmt: skip
        sides = {"pad": dilation * (kernel // 2), "kernel": kernel, "stride": stride}
        both = " ".join(f"{key}_{side}: {value}" for key, value in sides.items() for side in "hw")
        parameters = f"num_output: {channels} bias_term: true group: {group} {both} dilation: {dilation}"
        return self._add("Convolution", [x], f"convolution_param {{ {parameters} }}", skipped)

    def _activated(
        self, x: str, channels: int, kernel: int, stride: int = 1, skipped: int = MERGED, group: int = 1
    ) -> str:
        convolved = self._convolution(x, channels, kernel, stride, group, skipped=skipped)
        return self._add("ReLU", [convolved])

    def _separable(self, x: str, before: int, after: int, stride: int, skipped: int) -> str:
        x = self._activated(x, before, 3, stride, skipped, before)
        return self._activated(x, after, 1, 1, skipped)

    def _receptive_field(self, x: str) -> str:
        ends = []
        for *channels, dilation in BRANCHES:
            end = self._convolution(x, channels[0], 1)
            for between in channels[1:]:
                end = self._activated(end, between, 3)
            ends.append(self._convolution(end, channels[-1], 3, dilation=dilation))
        joined = self._add("Concat", ends, CHANNELS_JOINED)
        parts = [self._convolution(joined, 4 * BASE, 1), self._convolution(x, 4 * BASE, 1)]
        return self._add("ReLU", [self._add("Eltwise", parts, "eltwise_param { operation: SUM }")])

    def _head(self, x: str, level: int, boxes: int, numbers: int) -> str:
        channels = BASE * (4, 8, 16, 16)[level]
        if level < len(STAGES):
            x = self._activated(x, channels, 3, 1, 0, channels)
        x = self._convolution(x, boxes * numbers, 1 if level < len(STAGES) else 3, skipped=0)
        x = self._add("Permute", [x], CHANNELS_LAST, RESHAPED)
        shape = f"reshape_param {{ shape {{ dim: 1 dim: -1 dim: {numbers} }} }}"
        return self._add("Reshape", [x], shape)
