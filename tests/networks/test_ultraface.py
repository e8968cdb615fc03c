"""Ultra-Light face detectors, against the published checkpoints and graphs."""

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch

from ssdconvert.checkpoint import load_state_dict
from ssdconvert.networks.ultraface import Ultraface, build
from ssdconvert.ssd.boxes import decode
from ssdconvert.ssd.detections import softmax

MIRROR = Path(__file__).resolve().parents[3] / "shared" / "mirror"
VARIANTS = {"rfb": ("RFB", 244, 281_135), "slim": ("slim", 184, 264_757)}  # entries, values


def published(folder: str, name: str) -> Path:
    path = MIRROR / folder / name
    if not path.exists():
        pytest.skip(f"{path} is not there")
    return path


def loaded(variant: str) -> Ultraface:
    """Return the published network."""
    network = build(240, 320, classes=2, variant=variant).eval()
    expected = {key: list(tensor.shape) for key, tensor in network.state_dict().items()}
    path = published(f"ultraface-{variant}-320", f"version-{VARIANTS[variant][0]}-320.pth")
    tensors = load_state_dict(path, expected).tensors
    network.load_state_dict({key: torch.from_numpy(np.array(array)) for key, array in tensors.items()})
    return network


@pytest.mark.parametrize("variant", VARIANTS)
def test_size(variant: str) -> None:
    _, entries, values = VARIANTS[variant]
    state = build(240, 320, classes=2, variant=variant).state_dict()
    assert len(state) == entries
    assert sum(tensor.numel() for tensor in state.values()) == values


@pytest.mark.parametrize("variant", VARIANTS)
def test_keys_and_shapes_are_those_of_the_published_checkpoint(variant: str) -> None:
    path = published(f"ultraface-{variant}-320", f"version-{VARIANTS[variant][0]}-320.pth")
    theirs = load_state_dict(path).tensors
    ours = build(240, 320, classes=2, variant=variant).state_dict()
    assert {key: tuple(array.shape) for key, array in theirs.items()} == {
        key: tuple(tensor.shape) for key, tensor in ours.items()
    }


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_published_graph_gives_the_same(variant: str) -> None:
    """Softmax and decoding are in that graph: `default_boxes` and `variances` are compared with it too."""
    network = loaded(variant)
    name = f"version-{VARIANTS[variant][0]}-320.onnx"
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        str(published(f"ultraface-{variant}-320-onnx", name)), options, ["CPUExecutionProvider"]
    )
    image = np.random.default_rng(2).uniform(-1, 1, (1, 3, 240, 320)).astype(np.float32)
    image[:, :, 60:180, 80:240] += 0.5  # not the same everywhere
    scores, boxes = session.run(["scores", "boxes"], {"input": image})
    with torch.no_grad():
        logits, offsets = network(torch.from_numpy(image))
    assert np.ptp(scores[..., 1]) > 1e-3  # no constant
    np.testing.assert_allclose(softmax(logits.numpy()), scores, atol=1e-5)
    decoded = decode(offsets.numpy(), network.default_boxes(), network.variances)
    np.testing.assert_allclose(decoded, boxes, atol=1e-5)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize(
    ("width", "height", "count"), [(320, 240, 4420), (640, 480, 17640), (200, 100, 1237)]
)
def test_output_shapes(variant: str, width: int, height: int, count: int) -> None:
    with torch.device("meta"):
        network = build(height, width, classes=3, variant=variant).eval()
    logits, offsets = network(torch.zeros(1, 3, height, width, device="meta"))
    assert logits.shape == (1, count, 3)
    assert offsets.shape == (1, count, 4)
    assert network.default_boxes().shape == (count, 4)


def test_heads_are_anchor_major() -> None:
    network: Any = build(240, 320, classes=2, variant="slim").eval()
    head = network.regression_headers[3]  # the plain convolution: 3 sizes at 5x4 cells
    for parameter in network.regression_headers.parameters():
        torch.nn.init.zeros_(parameter)
    with torch.no_grad():
        head.bias[1 * 4 + 2] = 1  # size 1, coordinate 2
        _, offsets = network(torch.zeros(1, 3, 240, 320))
    expected = torch.zeros_like(offsets)
    expected[0, 4420 - 60 + 1 :: 3, 2] = 1
    assert torch.equal(offsets, expected)


def test_an_unknown_variant() -> None:
    with pytest.raises(ValueError, match="variants rfb and slim, got 'fat'"):
        build(240, 320, classes=2, variant="fat")
