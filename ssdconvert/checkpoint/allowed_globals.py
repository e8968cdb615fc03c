"""What the pickle of a PyTorch checkpoint may name, and what stands for it.

A global is looked up by its exact module and name; nothing is imported. It is one of

* rebuilt: dictionaries, sets and tensors; a tensor becomes a `TensorRecord`, without data;
* inert: classes of torch.nn, torchvision and `models` (MLPerf's modules), and the harmless rest of
  a training checkpoint. An instance is an `Inert`, which keeps the state that the pickle gives it;
* anything else: refused.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

# torch's storage classes; bfloat16 is unknown to numpy and read as its bits
STORAGE_DTYPES = {
    "FloatStorage": "f4", "DoubleStorage": "f8", "HalfStorage": "f2", "BFloat16Storage": "u2",
    "LongStorage": "i8", "IntStorage": "i4", "ShortStorage": "i2", "CharStorage": "i1",
    "ByteStorage": "u1", "BoolStorage": "?", "ComplexFloatStorage": "c8", "ComplexDoubleStorage": "c16",
}  # fmt: skip
INERT_PACKAGES = re.compile(r"(torch\.nn|torchvision|models)(\.[A-Za-z_]\w*)*", re.ASCII)
INERT_GLOBALS = {
    *(("torch", name) for name in ("device", "Size", "float32", "float", "float64", "double", "float16")),
    *(("torch", name) for name in ("half", "bfloat16", "uint8", "int8", "int16", "int32", "int64", "bool")),
    *(("torch", name) for name in ("complex64", "complex128")),
    *((f"numpy.{core}.multiarray", "scalar") for core in ("core", "_core")),
    *((f"numpy.{core}.multiarray", "_reconstruct") for core in ("core", "_core")),
    *(("numpy", name) for name in ("dtype", "ndarray")),
    ("_codecs", "encode"),
    ("argparse", "Namespace"),
    ("collections", "Counter"),
}


class RefusedError(Exception):
    """The checkpoint cannot or must not be read; `load_state_dict` adds the file's name."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Global:
    """A class or function that the pickle names; `build` is None where its instances are inert."""

    module: str
    name: str
    build: Callable[..., object] | None = None

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(slots=True, eq=False)
class Inert:
    """An instance of the class `origin`, which never ran; `state` is what the pickle gives it."""

    origin: Global
    state: Any = None


@dataclass(frozen=True, slots=True)
class Storage:
    """A block of `numel` values; `kind` is torch's class name, `location` where it was saved from."""

    key: str
    kind: str
    numel: int
    location: str


@dataclass(frozen=True, slots=True, eq=False)
class TensorRecord:
    """A tensor without its data; `offset` and `stride` count elements, and are not yet checked."""

    storage: Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


def _rebuild_tensor(storage: Any, offset: Any, size: Any, stride: Any, *rest: Any) -> TensorRecord:
    """Stand for torch._utils._rebuild_tensor and _v2, whose `rest` is (requires_grad, hooks, metadata)."""
    if type(storage) is not Storage or type(size) is not tuple or type(stride) is not tuple:
        raise RefusedError("a tensor is rebuilt from something that is no storage, size and stride")
    if len(size) != len(stride) or len(size) > 32:
        raise RefusedError(f"a tensor has {len(size)} dimensions and {len(stride)} strides")
    if not all(type(number) is int and 0 <= number < 2**63 for number in (offset, *size, *stride)):
        raise RefusedError("a tensor's offset, size or stride is no natural number")
    if rest[2:] and rest[2]:
        raise RefusedError("a tensor is stored conjugated or negated, which is not supported")
    return TensorRecord(storage, offset, size, stride)


def _rebuild_parameter(tensor: Any, *_rest: Any) -> TensorRecord:
    if type(tensor) is not TensorRecord:
        raise RefusedError("a parameter is rebuilt from something that is no tensor")
    return tensor


def look_up(module: str, name: str) -> Global:
    """Return the stand-in for a global; RefusedError if a checkpoint has no business naming it."""
    if module == "torch" and name in STORAGE_DTYPES:
        return Global(module, name)
    if (module, name) in INERT_GLOBALS or (INERT_PACKAGES.fullmatch(module) and name.isidentifier()):
        return Global(module, name)
    if module == "torch._utils" and name in ("_rebuild_tensor", "_rebuild_tensor_v2"):
        return Global(module, name, _rebuild_tensor)
    if module == "torch._utils" and name == "_rebuild_parameter":
        return Global(module, name, _rebuild_parameter)
    shown = f"{module}.{name}"[:200].encode("unicode_escape").decode("ascii")
    raise RefusedError(
        f"the checkpoint names {shown}, which is not on the list of what it may name; nothing was run",
        "do not load this file with torch.load(weights_only=False) unless you trust who made it; if you do, "
        "save its state_dict there: torch.save(model.state_dict(), ...)",
    )
