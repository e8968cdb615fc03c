"""Weights from a seed under which a network behaves like a trained one on pictures.

Random weights alone will not do: maps vanish or explode, and the heads find nothing or everything.
Every layer is therefore scaled, in the order of execution, by what it gives on pictures (as in LSUV,
Mishkin and Matas 2015): batch normalisation gets the statistics that it sees, and a convolution with
a bias is scaled and shifted to them. The class heads are then made steeper, and their background
raised, until the pictures have about half as many detections as the rule keeps, the best of them
likely ones.

Maps have a mean of SHIFT standard deviations before each ReLU, which then cuts little. With a mean of
0 a random network is chaotic, as no trained one is: each layer widens a difference, and rounding the
weights to 16 bits moves these heads by 0.02 to 0.04 of their largest value, with SHIFT by 0.004 at most.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ssdconvert.networks import build_network
from ssdconvert.recipe import Detections, Input
from ssdconvert.ssd.detections import Detections as Found
from ssdconvert.ssd.detections import detections_of
from ssdconvert.ssd.heads import BoxCoding, Heads
from ssdconvert.ssd.preprocess import Pixels, original_input

SEED = 1
SHIFT, SPREAD = 2.0, 0.3  # of maps: mean before the ReLU; their standard deviations are 1 +- SPREAD
FEW_CELLS = 200  # a channel's own statistics count as much as the layer's over this many cells
LEAST_VARIANCE = 1e-6  # of a layer that the pictures leave dark
SHARE = 0.5  # of the rows that a rule keeps
BEST_SCORE = 0.8  # steeper heads turn rounded weights into larger errors of scores
STEEPNESS = (1.0, 1.2, 1.4, 1.7, 2.0, 2.4, 2.8, 3.2, 3.6)  # of class logits, tried in this order
MOST_CANDIDATES = 200  # of a class, while the heads are tuned: some rules let all of thousands in
LEAST_THRESHOLD = 1e-3  # for rules that filter by no score

# (class heads, box heads, channels of class 0 among all at A anchors and C classes), by attribute
LAYOUTS: tuple[tuple[str, str, Callable[[int, int], slice]], ...] = (
    ("conf", "loc", lambda anchors, classes: slice(0, anchors)),  # k * A + a
    ("classification_headers", "regression_headers", lambda anchors, classes: slice(0, None, classes)),
    ("head.classification_head.module_list", "head.regression_head.module_list",
     lambda anchors, classes: slice(0, None, classes)),  # a * C + k
)  # fmt: skip


def seeded_network(
    family: str,
    options: Mapping[str, object],
    spec: Input,
    rule: Detections,
    classes: int,
    pictures: Sequence[Pixels],
) -> nn.Module:
    """Return a network of `ssdconvert.networks` with weights for an input, a rule and RGB pictures.

    The same arguments give the same weights, whatever the number of threads. Raises RecipeError as
    `build_network` does.
    """
    rule = rule.model_copy(update={"per_class": min(rule.per_class, MOST_CANDIDATES)})
    network = build_network(family, *spec.shape[2:], classes, options).eval()
    class_heads, box_heads, background = _heads_of(network)
    images = torch.from_numpy(np.concatenate([original_input(pixels, spec) for pixels in pictures]))
    with _one_thread(), torch.no_grad():
        logits, offsets = _calibrate(network, images, {*class_heads, *box_heads})
        steepness, bias = _steepness_and_background(network, rule, logits.numpy(), offsets.numpy())
        for head in class_heads:
            assert head.bias is not None
            head.weight.mul_(steepness)
            head.bias.mul_(steepness)
            head.bias[background(head.out_channels // classes, classes)] += bias
    return network


@contextmanager
def _one_thread() -> Iterator[None]:
    """Let torch add in one order: sums over several threads differ in their last bits."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _heads_of(network: nn.Module) -> tuple[list[nn.Conv2d], list[nn.Conv2d], Callable[[int, int], slice]]:
    """Return the last convolution of each class head, of each box head, and where class 0 is."""
    modules = dict(network.named_modules())
    for class_heads, box_heads, background in LAYOUTS:
        if class_heads in modules:
            found = [
                [
                    [m for m in head.modules() if isinstance(m, nn.Conv2d)][-1]
                    for head in modules[heads].children()
                ]
                for heads in (class_heads, box_heads)
            ]
            return found[0], found[1], background
    raise NotImplementedError(f"the heads of {type(network).__name__} are not in LAYOUTS")


def _calibrate(network: nn.Module, images: Tensor, heads: set[nn.Conv2d]) -> tuple[Tensor, Tensor]:
    """Fill the network with weights; return class logits and box offsets of the images [N, 3, H, W].

    Each layer is scaled on its way: what follows sees its output as it will be.
    """
    random = np.random.default_rng(SEED)

    def normal(*shape: int) -> Tensor:
        return torch.from_numpy(random.standard_normal(shape, np.float32))

    def around_one(count: int) -> Tensor:
        return 1 + SPREAD * (2 * torch.from_numpy(random.random(count, np.float32)) - 1)

    def scale_convolution(module: nn.Conv2d, _: tuple[Tensor, ...], output: Tensor) -> Tensor:
        mean, variance = _statistics(output)
        gain = around_one(len(mean)) / variance.sqrt()
        shift = 0.0 if module in heads else SHIFT
        assert module.bias is not None
        module.weight.mul_(gain.view(-1, 1, 1, 1))
        module.bias.copy_(shift - mean * gain)
        return output.mul_(gain.view(1, -1, 1, 1)).add_(module.bias.view(1, -1, 1, 1))

    def set_statistics(module: nn.BatchNorm2d, inputs: tuple[Tensor, ...]) -> None:
        mean, variance = _statistics(inputs[0])
        module.running_mean.copy_(mean)  # type: ignore[union-attr]
        module.running_var.copy_(variance)  # type: ignore[union-attr]

    hooks = []
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.weight.copy_(normal(*module.weight.shape) / module.weight[0].numel() ** 0.5)
            if module.bias is not None:
                module.bias.zero_()
                hooks.append(module.register_forward_hook(scale_convolution))
        elif isinstance(module, nn.BatchNorm2d):
            module.weight.copy_(around_one(module.num_features))
            module.bias.copy_(SHIFT + SPREAD * normal(module.num_features))
            hooks.append(module.register_forward_pre_hook(set_statistics))
    logits, offsets = network(images)
    for hook in hooks:
        hook.remove()
    return logits, offsets


def _statistics(maps: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean and the variance [C] of each channel of [N, C, H, W].

    Those of a channel of few cells say little, at 1x1 next to nothing: they are drawn towards the layer's.
    """
    variance, mean = torch.var_mean(maps, (0, 2, 3), unbiased=False)
    layer_mean = mean.mean()
    layer_variance = (variance + mean**2).mean() - layer_mean**2
    cells = maps.numel() // maps.shape[1]
    own = cells / (cells + FEW_CELLS)
    variance = own * variance + (1 - own) * layer_variance + LEAST_VARIANCE
    return own * mean + (1 - own) * layer_mean, variance


def _steepness_and_background(
    network: nn.Module, rule: Detections, logits: NDArray[np.float32], offsets: NDArray[np.float32]
) -> tuple[float, float]:
    """Return the factor of class logits [N, P, C], and what is then added to those of the background."""
    coding = BoxCoding(network.default_boxes(), network.variances, network.largest_size_offset)  # type: ignore
    heads = Heads(coding, rule.clip, logits=True)
    for steepness in STEEPNESS:
        steep = steepness * logits
        bias, found = _background(heads, rule, steep, offsets)
        if max(one.scores.max(initial=0) for one in found) >= BEST_SCORE:
            break
    return steepness, bias


def _background(
    heads: Heads, rule: Detections, logits: NDArray[np.float32], offsets: NDArray[np.float32]
) -> tuple[float, list[Found]]:
    """Return the bias of the background, a multiple of 1/8, and the detections of each picture with it."""
    threshold = max(rule.score_threshold, LEAST_THRESHOLD)
    # p = e^z / (sum of e^z + e^(z0 + bias)) > threshold: the bias from which on a candidate is none
    others = np.exp(logits[..., 1:].astype(np.float64))
    room = others / threshold - others.sum(axis=-1, keepdims=True)
    critical = np.log(room[room > 0]) - np.broadcast_to(logits[..., :1], room.shape)[room > 0]
    critical = np.sort(critical)[::-1] if len(critical) else np.zeros(1)
    wanted = SHARE * rule.keep * len(logits)
    candidates = int(wanted)
    while True:
        bias = float(np.floor(critical[min(candidates, len(critical) - 1)] * 8) / 8)
        found = [_detections(heads, rule, *one, bias) for one in zip(logits, offsets, strict=True)]
        if sum(map(len, found)) >= wanted or candidates >= len(critical) / 10:
            return bias, found
        candidates = candidates * 9 // 8 + 1


def _detections(
    heads: Heads, rule: Detections, logits: NDArray[np.float32], offsets: NDArray[np.float32], bias: float
) -> Found:
    raised = logits.copy()
    raised[:, 0] += bias
    scores, boxes = heads.decoded({heads.scores: raised[None], heads.boxes: offsets[None]})
    likely = scores[:, 1:].max(axis=1) > rule.score_threshold
    return detections_of(scores[likely], boxes[likely], rule)
