"""From the heads' maps to predictions [N, P, K]: the two ways in which families lay out channels."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn


def coordinate_major(heads: Iterable[nn.Module], maps: Sequence[Tensor], numbers: int) -> Tensor:
    """Return [N, P, K], K = `numbers`, of heads whose channel is k * A + anchor (MLPerf, NVIDIA)."""
    # each head (N, K*A, H, W) -> (N, K, A*H*W); joined on the boxes: (N, K, P) -> (N, P, K)
    flat = [head(m).reshape(m.shape[0], numbers, -1) for head, m in zip(heads, maps, strict=True)]
    return torch.cat(flat, 2).transpose(1, 2)


def anchor_major(heads: Iterable[nn.Module], maps: Sequence[Tensor], numbers: int) -> Tensor:
    """Return [N, P, K], K = `numbers`, of heads whose channel is anchor * K + k (Caffe, torchvision)."""
    # each head (N, A*K, H, W) -> (N, H, W, A*K) -> (N, H*W*A, K)
    flat = [
        head(m).permute(0, 2, 3, 1).reshape(m.shape[0], -1, numbers)
        for head, m in zip(heads, maps, strict=True)
    ]
    return torch.cat(flat, 1)
