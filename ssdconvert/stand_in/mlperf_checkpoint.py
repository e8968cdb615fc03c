"""Writes an SSD-ResNet34 in the container of MLPerf's `resnet34-ssd1200.pytorch`.

That file is a whole module, pickled in June 2019 by torch 1.1 on a GPU: the legacy container (see
`ssdconvert.stand_in.torch_container`), modules of the packages `models` (mlcommons/inference),
torchvision and torch.nn with the attributes of their day, storages tagged `cuda:0`, and the source
text of each module class. Nothing of today's torch.nn is pickled: every object is described anew.
"""

from collections import OrderedDict
from pathlib import Path

import numpy as np
import torch
from torch import nn

from ssdconvert.networks.ssd_resnet34 import (
    DEFAULTS_PER_CELL,
    EXTRA_BLOCKS,
    HEAD_STRIDE,
    BasicBlock,
    SSDResNet34,
)
from ssdconvert.ssd.boxes import to_corners
from ssdconvert.stand_in.torch_container import Call, named, stored, write_legacy

LOCATION = "cuda:0"

# class here -> (module, class) in the original
ORIGINALS = {
    "SSDResNet34": ("models.ssd_r34", "SSD_R34"),
    "ResNet34": ("models.base_model_r34", "ResNet34"),
    "BasicBlock": ("torchvision.models.resnet", "BasicBlock"),
    "Sequential": ("torch.nn.modules.container", "Sequential"),
    "ModuleList": ("torch.nn.modules.container", "ModuleList"),
    "Conv2d": ("torch.nn.modules.conv", "Conv2d"),
    "BatchNorm2d": ("torch.nn.modules.batchnorm", "BatchNorm2d"),
    "ReLU": ("torch.nn.modules.activation", "ReLU"),
    "MaxPool2d": ("torch.nn.modules.pooling", "MaxPool2d"),
}
# what torch 1.1 kept on a layer beside its tensors; `padding_mode` was new
ATTRIBUTES = {
    "Conv2d": (
        *("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "transposed"),
        *("output_padding", "groups", "padding_mode"),
    ),
    "BatchNorm2d": ("num_features", "eps", "momentum", "affine", "track_running_stats"),
    "ReLU": ("inplace",),
    "MaxPool2d": ("kernel_size", "stride", "padding", "dilation", "return_indices", "ceil_mode"),
}


MODULE_CLASSES = {ours: named(*original, is_module=True) for ours, original in ORIGINALS.items()}
ENCODER = named("models.ssd_r34", "Encoder")
REBUILD_PARAMETER = named("torch._utils", "_rebuild_parameter")
FUNCTION_BACKEND = named("torch.nn.backends.thnn", "_get_thnn_function_backend")


def write_mlperf_checkpoint(network: SSDResNet34, path: Path) -> None:
    """Write `network` to `path` as MLPerf's training run would have; equal networks give equal bytes.

    Any image size, width and number of classes will do. The tensors must be float32 and int64.
    """
    write_legacy(_described(network, Call(FUNCTION_BACKEND)), path, LOCATION)


def _described(module: nn.Module, backend: Call) -> object:
    """Return the instance that torch 1.1 would have pickled; `backend` is one for all modules."""
    ours = type(module).__name__
    described = MODULE_CLASSES[ours]()
    state = described.__dict__
    state["_backend"] = backend
    state["_parameters"] = OrderedDict(
        (
            name,
            None if parameter is None else Call(REBUILD_PARAMETER, stored(parameter), True, OrderedDict()),
        )
        for name, parameter in module._parameters.items()
    )
    state["_buffers"] = OrderedDict(
        (name, None if buffer is None else stored(buffer)) for name, buffer in module._buffers.items()
    )
    for hooks in ("backward", "forward", "forward_pre", "state_dict", "load_state_dict_pre"):
        state[f"_{hooks}_hooks"] = OrderedDict()
    state["_modules"] = OrderedDict(
        (name, _described(child, backend)) for name, child in module.named_children()
    )
    state["training"] = module.training
    for name in ATTRIBUTES.get(ours, ()):
        value = getattr(module, name)
        state[name] = tuple(list(value)) if isinstance(value, tuple) else value
    if isinstance(module, BasicBlock):
        if module.downsample is None:
            state["downsample"] = None
        state["stride"] = module.conv1.stride[0]
    if isinstance(module, SSDResNet34):
        state.update(_attributes_of_ssd(module))
    return described


def _attributes_of_ssd(network: SSDResNet34) -> dict[str, object]:
    """Return the attributes of models.ssd_r34.SSD_R34 that are no modules, in the order of its __init__."""
    return {
        "label_num": network.classes,
        "strides": [HEAD_STRIDE, HEAD_STRIDE, *(stride for _, _, stride, _ in EXTRA_BLOCKS[:4])],
        "out_chan": [head.in_channels for head in network.loc],
        "extract_shapes": False,
        "num_defaults": list(DEFAULTS_PER_CELL),
        "size": (network.image_size, network.image_size),
        "encoder": _encoder(network),
        "device": 1,
    }


def _encoder(network: SSDResNet34) -> object:
    """Return models.ssd_r34.Encoder, which is no module: its tensors are in no state_dict."""
    centres = network.default_boxes()
    encoder = ENCODER()
    encoder.__dict__.update(
        dboxes=stored(torch.from_numpy(to_corners(centres).astype(np.float32))),
        dboxes_xywh=stored(torch.from_numpy(centres)[None]),
        nboxes=len(centres),
        scale_xy=stored(torch.tensor(network.variances[0])),
        scale_wh=stored(torch.tensor(network.variances[1])),
    )
    return encoder
