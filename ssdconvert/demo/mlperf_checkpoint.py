"""Writes an SSD-ResNet34 in the container of MLPerf's `resnet34-ssd1200.pytorch`.

That file is a whole module, pickled in June 2019 by torch 1.1 on a GPU: the legacy container (see
`ssdconvert.checkpoint.container`), modules of the packages `models` (mlcommons/inference),
torchvision and torch.nn with the attributes of their day, storages tagged `cuda:0`, and the source
text of each module class. Nothing of today's torch.nn is pickled: every object is described anew.
"""

import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from ssdconvert.checkpoint.container import MAGIC_NUMBER, PROTOCOL_VERSION
from ssdconvert.networks.ssd_resnet34 import (
    DEFAULTS_PER_CELL,
    EXTRA_BLOCKS,
    HEAD_STRIDE,
    BasicBlock,
    SSDResNet34,
)
from ssdconvert.ssd.boxes import to_corners

PICKLE_PROTOCOL = 2
LOCATION = "cuda:0"
STORAGE_TYPES = {torch.float32: "FloatStorage", torch.int64: "LongStorage"}
FIRST_STORAGE_KEY = 10_000_000  # keys are sorted as text; torch used addresses
SYSTEM = {
    "protocol_version": PROTOCOL_VERSION,
    "little_endian": True,
    "type_sizes": {"short": 2, "int": 4, "long": 4},
}
SOURCE = "# class {0}: written by ssdconvert, which does not have the source text of 2019\n"

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


class _Named:
    """Base of the classes made by `_named`: they are pickled by their name, wherever they come from."""

    is_module: ClassVar[bool] = False


def _named(module: str, name: str, is_module: bool = False) -> type[Any]:
    return type(name, (_Named,), {"__module__": module, "__qualname__": name, "is_module": is_module})


MODULE_CLASSES = {ours: _named(*original, is_module=True) for ours, original in ORIGINALS.items()}
STORAGE_CLASSES = {dtype: _named("torch", name) for dtype, name in STORAGE_TYPES.items()}
ENCODER = _named("models.ssd_r34", "Encoder")
REBUILD_TENSOR = _named("torch._utils", "_rebuild_tensor_v2")
REBUILD_PARAMETER = _named("torch._utils", "_rebuild_parameter")
FUNCTION_BACKEND = _named("torch.nn.backends.thnn", "_get_thnn_function_backend")


class _Call:
    """Pickled as `function(*arguments)`, which unpickling calls."""

    def __init__(self, function: type[Any], *arguments: object) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> tuple[type[Any], tuple[object, ...]]:
        return self.function, self.arguments


class _Storage:
    """A tensor's data, pickled by reference and written after the pickles."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor.detach()


class _Pickler(pickle._Pickler):
    """torch.save's pickler of 2019 over named classes.

    The bytes depend on the network alone: equal strings are one object here, as pickle's memo goes
    by identity, and storages are numbered in the order of their appearance.
    """

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file, PICKLE_PROTOCOL)
        self.storages: dict[str, Tensor] = {}
        self.described: set[type[Any]] = set()
        self.strings: dict[str, str] = {}

    def save(self, obj: object, save_persistent_id: bool = True) -> None:
        if type(obj) is str:
            obj = self.strings.setdefault(obj, obj)
        super().save(obj, save_persistent_id)  # type: ignore[misc]

    def save_global(self, obj: type[Any], name: str | None = None) -> None:
        line = f"{obj.__module__}\n{obj.__qualname__}\n"
        self.write(pickle.GLOBAL + line.encode("ascii"))  # type: ignore[attr-defined]
        self.memoize(obj)  # type: ignore[attr-defined]

    def persistent_id(self, obj: object) -> tuple[object, ...] | None:
        if isinstance(obj, _Storage):
            key = str(FIRST_STORAGE_KEY + len(self.storages))
            self.storages[key] = obj.tensor
            return ("storage", STORAGE_CLASSES[obj.tensor.dtype], key, LOCATION, obj.tensor.numel(), None)
        if isinstance(obj, type) and issubclass(obj, _Named) and obj.is_module and obj not in self.described:
            self.described.add(obj)
            file = obj.__module__.replace(".", "/") + ".py"
            return ("module", obj, file, SOURCE.format(obj.__qualname__))
        return None


def write_mlperf_checkpoint(network: SSDResNet34, path: Path) -> None:
    """Write `network` to `path` as MLPerf's training run would have; equal networks give equal bytes.

    Any image size, width and number of classes will do. The tensors must be float32 and int64.
    """
    partial = path.with_name(path.name + ".part")
    with partial.open("wb") as file:
        for header in (MAGIC_NUMBER, PROTOCOL_VERSION, SYSTEM):
            pickle.dump(header, file, PICKLE_PROTOCOL)
        pickler = _Pickler(file)
        pickler.dump(_described(network, _Call(FUNCTION_BACKEND)))
        pickle.dump(list(pickler.storages), file, PICKLE_PROTOCOL)
        for tensor in pickler.storages.values():
            values = tensor.cpu().contiguous().numpy()
            file.write(tensor.numel().to_bytes(8, "little"))
            file.write(values.astype(values.dtype.newbyteorder("<"), copy=False).tobytes())
    partial.replace(path)


def _described(module: nn.Module, backend: _Call) -> object:
    """Return the instance that torch 1.1 would have pickled; `backend` is one for all modules."""
    ours = type(module).__name__
    described = MODULE_CLASSES[ours]()
    state = described.__dict__
    state["_backend"] = backend
    state["_parameters"] = OrderedDict(
        (
            name,
            None if parameter is None else _Call(REBUILD_PARAMETER, _tensor(parameter), True, OrderedDict()),
        )
        for name, parameter in module._parameters.items()
    )
    state["_buffers"] = OrderedDict(
        (name, None if buffer is None else _tensor(buffer)) for name, buffer in module._buffers.items()
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
        dboxes=_tensor(torch.from_numpy(to_corners(centres).astype(np.float32))),
        dboxes_xywh=_tensor(torch.from_numpy(centres)[None]),
        nboxes=len(centres),
        scale_xy=_tensor(torch.tensor(network.variances[0])),
        scale_wh=_tensor(torch.tensor(network.variances[1])),
    )
    return encoder


def _tensor(tensor: Tensor) -> _Call:
    """Return the call that rebuilds a tensor from a storage of its own, in C order."""
    size = tuple(tensor.shape)
    stride = tuple(torch.empty(size, device="meta").stride())
    return _Call(REBUILD_TENSOR, _Storage(tensor), 0, size, stride, False, OrderedDict())
