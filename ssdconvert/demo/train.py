"""Train ssd-demo on generated pictures; the script behind the embedded checkpoint.

    python -m ssdconvert.demo.train OUTPUT.pytorch [--steps 9000]

Plain SSD training: default boxes matched at IoU 0.5, hard negatives 3 to 1, smooth L1 on the
offsets, one-cycle AdamW, an exponential moving average of the weights. It writes the averaged
weights in the container of MLPerf's checkpoint (see `ssdconvert.stand_in`), which is what
`ssdconvert build ssd-demo` starts from. Seeds are fixed; on two busy cores it took 68 minutes.
"""

import argparse
import copy
import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ssdconvert.demo.pictures import CLASSES, Picture, generate
from ssdconvert.networks.ssd_resnet34 import SSDResNet34
from ssdconvert.ssd.boxes import encode, iou_matrix, to_corners
from ssdconvert.stand_in.mlperf_checkpoint import write_mlperf_checkpoint

IMAGE_SIZE, WIDTH = 400, 1 / 8
MEAN = np.array([123.675, 116.28, 103.53], np.float32)  # RGB, for 0..255, as the flagship
SCALE = np.array([58.395, 57.12, 57.375], np.float32)
BATCH, POOL, FRESH_PER_STEP = 16, 4000, 2
PEAK_LEARNING_RATE, AVERAGING = 3e-3, 0.998
SEED = 20_000


def demo_network() -> SSDResNet34:
    """Return ssd-demo's network: the flagship's family at an eighth of its width."""
    return SSDResNet34(IMAGE_SIZE, len(CLASSES) + 1, WIDTH)


def match(
    corners: NDArray[np.float32], labels: NDArray[np.int64], default_boxes: NDArray[np.float32]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return the class [P] and the offsets [P, 4] that training asks of each default box."""
    target = np.zeros(len(default_boxes), np.int64)
    if not len(corners):
        return target, np.zeros_like(default_boxes)
    iou = iou_matrix(corners, to_corners(default_boxes))
    owner, overlap = iou.argmax(axis=0), iou.max(axis=0)
    best = iou.argmax(axis=1)  # every shape keeps its best default box, however small the IoU
    owner[best], overlap[best] = np.arange(len(corners)), 1.0
    positive = overlap >= 0.5
    target[positive] = labels[owner[positive]]
    return target, encode(corners[owner], default_boxes, SSDResNet34.variances).astype(np.float32)


def augmented(picture: Picture, random: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Return the pixels and the normalised corners of a picture, mirrored or transposed at random."""
    pixels, boxes = picture.pixels, picture.boxes / IMAGE_SIZE
    if random.random() < 0.5:
        pixels, boxes = (
            pixels[:, ::-1],
            np.stack([1 - boxes[:, 2], boxes[:, 1], 1 - boxes[:, 0], boxes[:, 3]], 1),
        )
    if random.random() < 0.5:
        pixels, boxes = (
            pixels[::-1],
            np.stack([boxes[:, 0], 1 - boxes[:, 3], boxes[:, 2], 1 - boxes[:, 1]], 1),
        )
    if random.random() < 0.5:
        pixels, boxes = pixels.transpose(1, 0, 2), boxes[:, [1, 0, 3, 2]]
    return pixels, boxes


def loss_of(logits: Tensor, offsets: Tensor, target: Tensor, target_offsets: Tensor) -> Tensor:
    """Return the SSD loss per positive default box, with three hard negatives for each."""
    positive = target > 0
    count = positive.sum(dim=1, keepdim=True)
    classification = functional.cross_entropy(logits.transpose(1, 2), target, reduction="none")
    negative_loss = classification.detach().masked_fill(positive, -1.0)
    rank = negative_loss.argsort(dim=1, descending=True).argsort(dim=1)
    chosen = positive | (rank < 3 * count)
    localisation = functional.smooth_l1_loss(
        offsets[positive], target_offsets[positive], beta=0.1, reduction="sum"
    )
    return (classification[chosen].sum() + 2 * localisation) / count.sum().clamp(min=1)


def train(steps: int, report: Path, snapshot: Path | None = None) -> SSDResNet34:
    """Return the averaged network after `steps` of `BATCH` pictures; progress goes to `report`."""
    torch.manual_seed(SEED)
    random = np.random.default_rng(SEED)
    network = demo_network().train()
    averaged = copy.deepcopy(network).eval()
    default_boxes = network.default_boxes()
    pool = [generate([SEED, number]) for number in range(POOL)]
    optimiser = torch.optim.AdamW(network.parameters(), PEAK_LEARNING_RATE, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, PEAK_LEARNING_RATE, total_steps=steps, pct_start=0.1
    )
    started, running = time.monotonic(), 0.0
    for step in range(steps):
        for fresh in range(FRESH_PER_STEP):
            pool[random.integers(POOL)] = generate([SEED, POOL + step * FRESH_PER_STEP + fresh])
        pixels, targets, target_offsets = [], [], []
        for index in random.integers(0, POOL, BATCH):
            image, corners = augmented(pool[index], random)
            target, offset = match(corners, pool[index].labels, default_boxes)
            pixels.append(((image - MEAN) / SCALE).transpose(2, 0, 1))
            targets.append(target)
            target_offsets.append(offset)
        logits, offsets = network(torch.from_numpy(np.ascontiguousarray(np.stack(pixels))))
        loss = loss_of(
            logits, offsets, torch.from_numpy(np.stack(targets)), torch.from_numpy(np.stack(target_offsets))
        )
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), 10.0)
        optimiser.step()
        schedule.step()
        _average(averaged, network, min(AVERAGING, step / (step + 10)))
        running = 0.98 * running + 0.02 * loss.item() if step else loss.item()
        if step % 100 == 99:
            with report.open("a") as log:
                log.write(f"step {step + 1} loss {running:.3f} seconds {time.monotonic() - started:.0f}\n")
        if snapshot is not None and step % 500 == 499:
            torch.save(averaged.state_dict(), snapshot)
    return averaged


def _average(averaged: SSDResNet34, network: SSDResNet34, keep: float) -> None:
    with torch.no_grad():
        for old, new in zip(averaged.state_dict().values(), network.state_dict().values(), strict=True):
            if old.is_floating_point():
                old.lerp_(new, 1 - keep)
            else:
                old.copy_(new)


def main() -> None:
    """Train ssd-demo and write its checkpoint."""
    parser = argparse.ArgumentParser(prog="python -m ssdconvert.demo.train", description=main.__doc__)
    parser.add_argument("output", type=Path)
    parser.add_argument("--steps", type=int, default=9000)
    parser.add_argument("--snapshot", type=Path, help="state_dict written every 500 steps")
    arguments = parser.parse_args()
    network = train(arguments.steps, arguments.output.with_suffix(".log"), arguments.snapshot)
    write_mlperf_checkpoint(network, arguments.output)


if __name__ == "__main__":
    main()
