"""PyTorch stand-ins: which container and layout the published checkpoint of each network has."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from ssdconvert.errors import RecipeError
from ssdconvert.recipe import Recipe
from ssdconvert.recipe_source import PytorchSource
from ssdconvert.stand_in.calibration_pictures import pictures_of
from ssdconvert.stand_in.mlperf_checkpoint import write_mlperf_checkpoint
from ssdconvert.stand_in.torch_container import stored, stored_state_dict, write_legacy, write_zip
from ssdconvert.stand_in.weights import seeded_network

CUDA, CPU = "cuda:0", "cpu"

# NVIDIA's training, from the arguments of its main.py: 65 epochs, the rate falls after 43 and 54
EPOCHS, LOWERED_AFTER, LOWERED_TO = 65, (43, 54), 0.1
ITERATIONS = EPOCHS * 458  # of 8 GPUs with 32 pictures each
LEARNING_RATE, MOMENTUM, WEIGHT_DECAY = 8 * 2.6e-3, 0.9, 0.0005


def write_files(recipe: Recipe, folder: Path) -> None:
    """Write the checkpoint of `recipe`, whose source is a PytorchSource of one file, into `folder`."""
    source = recipe.source
    assert isinstance(source, PytorchSource)
    if len(source.files) != 1:
        raise RecipeError(
            f"{recipe.name}: a stand-in is one file, and the recipe names {len(source.files)}",
            hint="leave in source.files the checkpoint alone",
            stage="stand-in",
        )
    pictures = pictures_of(recipe)
    network = seeded_network(
        source.network, source.options, recipe.input, recipe.detections, recipe.classes, pictures
    )
    path = folder / source.files[0].name
    path.parent.mkdir(parents=True, exist_ok=True)
    CHECKPOINTS[source.network](network, recipe, path)


def _mlperf(network: nn.Module, _: Recipe, path: Path) -> None:
    """mlcommons/inference, June 2019: a whole module."""
    write_mlperf_checkpoint(network, path)  # type: ignore[arg-type]


def _nvidia(network: nn.Module, recipe: Recipe, path: Path) -> None:
    """NVIDIA/DeepLearningExamples, July 2020: what main.py saves, the network under `model`.

    Its container pytorch:20.06 has a torch from before the zip container became the default, in
    June 2020 (pytorch/pytorch#39460), so that the older one is the likelier.
    """
    checkpoint = {
        "epoch": EPOCHS,
        "iteration": ITERATIONS,
        "optimizer": _sgd(network),
        "scheduler": {
            "milestones": Counter(LOWERED_AFTER),
            "gamma": LOWERED_TO,
            "base_lrs": [LEARNING_RATE, LEARNING_RATE],
            "last_epoch": EPOCHS,
            "_step_count": EPOCHS + 1,
            "_get_lr_called_within_step": False,
            "_last_lr": [_last_learning_rate(), _last_learning_rate()],
        },
        "label_map": dict(enumerate(("background", *recipe.class_names))),
        "model": stored_state_dict(network),
    }
    write_legacy(checkpoint, path, CUDA)


def _last_learning_rate() -> float:
    return LEARNING_RATE * LOWERED_TO ** len(LOWERED_AFTER)


def _sgd(network: nn.Module) -> dict[str, object]:
    """Return the state of SGD with momentum, its parameters in two groups: only weights decay."""
    parameters = dict(network.named_parameters())
    flat = [name for name, parameter in parameters.items() if parameter.dim() == 1 or name.endswith(".bias")]
    decaying = [name for name in parameters if name not in flat]
    groups: list[dict[str, object]] = []
    state: dict[int, dict[str, object]] = {}
    for names, decay in ((flat, 0.0), (decaying, WEIGHT_DECAY)):
        indices = list(range(len(state), len(state) + len(names)))
        state |= {
            index: {"momentum_buffer": stored(_momentum(parameters[name]))}
            for index, name in zip(indices, names, strict=True)
        }
        groups.append(
            {
                "weight_decay": decay,
                "lr": _last_learning_rate(),
                "momentum": MOMENTUM,
                "dampening": 0,
                "nesterov": False,
                "initial_lr": LEARNING_RATE,
                "params": indices,
            }
        )
    return {"state": state, "param_groups": groups}


def _momentum(parameter: Tensor) -> Tensor:
    """Return numbers of a parameter's shape that are not the parameter's."""
    return torch.flip(parameter.detach(), (0,)) / 1000


def _torchvision(network: nn.Module, _: Recipe, path: Path) -> None:
    """pytorch/vision, 2021: a state_dict."""
    write_zip(stored_state_dict(network), path, CPU)


def _linzaer(network: nn.Module, _: Recipe, path: Path) -> None:
    """Linzaer/Ultra-Light-Fast-Generic-Face-Detector-1MB, 2019: a state_dict, saved on a GPU."""
    write_legacy(stored_state_dict(network), path, CUDA)


# network -> how its published checkpoint is written
CHECKPOINTS: dict[str, Callable[[nn.Module, Recipe, Path], None]] = {
    "ssd_resnet34": _mlperf,
    "ssd300_resnet50": _nvidia,
    "ssd300_vgg16": _torchvision,
    "ssdlite320_mobilenet_v3": _torchvision,
    "ultraface": _linzaer,
}
