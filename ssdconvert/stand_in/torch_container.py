"""Writes the two containers of torch.save as earlier versions of torch wrote them.

`ssdconvert.checkpoint.container` describes and reads them. What is pickled need not exist here: a
class is an empty one made by `named`, a call is a `Call`, and a tensor is `stored`, its data written
behind the pickle. The bytes depend on the saved object alone.
"""

import io
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

import torch
from torch import Tensor, nn

from ssdconvert.checkpoint.container import MAGIC_NUMBER, PROTOCOL_VERSION
from ssdconvert.workspace import written_atomically

PICKLE_PROTOCOL = 2
STORAGE_TYPES = {torch.float32: "FloatStorage", torch.int64: "LongStorage"}
FIRST_LEGACY_KEY = 10_000_000  # of a storage; keys are sorted as text, and torch used addresses
SYSTEM = {
    "protocol_version": PROTOCOL_VERSION,
    "little_endian": True,
    "type_sizes": {"short": 2, "int": 4, "long": 4},
}
SOURCE = "# class {0}: written by ssdconvert, which does not have the source text of 2019\n"
ZIP_FOLDER, ZIP_VERSION = "archive", b"3\n"
ZIP_ALIGNMENT = 64  # bytes, of where each entry's data begins
ZIP_HEADER = 30  # bytes of an entry's header, without its name and padding


class Named:
    """Base of the classes made by `named`: they are pickled by their name, wherever they come from."""

    is_module: ClassVar[bool] = False


def named(module: str, name: str, is_module: bool = False) -> type[Any]:
    """Return an empty class; the legacy container holds the source text of an `is_module`."""
    return type(name, (Named,), {"__module__": module, "__qualname__": name, "is_module": is_module})


STORAGE_CLASSES = {dtype: named("torch", name) for dtype, name in STORAGE_TYPES.items()}
REBUILD_TENSOR = named("torch._utils", "_rebuild_tensor_v2")


class Call:
    """Pickled as `function(*arguments)`, which unpickling calls."""

    def __init__(self, function: type[Any], *arguments: object) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> tuple[type[Any], tuple[object, ...]]:
        return self.function, self.arguments


class _Storage:
    """A tensor's data, pickled by reference and written after the pickles."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor.detach()

    def content(self) -> bytes:
        values = self.tensor.cpu().contiguous().numpy()
        return values.astype(values.dtype.newbyteorder("<"), copy=False).tobytes()


def stored(tensor: Tensor) -> Call:
    """Return the call that rebuilds a tensor (float32 or int64) from a storage of its own, in C order."""
    size = tuple(tensor.shape)
    stride = tuple(torch.empty(size, device="meta").stride())
    return Call(REBUILD_TENSOR, _Storage(tensor), 0, size, stride, False, OrderedDict())


def stored_state_dict(network: nn.Module) -> "OrderedDict[str, Call]":
    """Return a network's state_dict with stored tensors, and with the versions of its modules."""
    result = OrderedDict((key, stored(tensor)) for key, tensor in network.state_dict().items())
    result._metadata = OrderedDict(  # type: ignore[attr-defined]
        (name, {"version": module._version}) for name, module in network.named_modules()
    )
    return result


class _Pickler(pickle._Pickler):
    """torch.save's pickler over named classes.

    Equal strings are one object here, as pickle's memo goes by identity, and storages are numbered in
    the order of their appearance, from `first_key`.
    """

    def __init__(self, file: BinaryIO, location: str, first_key: int, legacy: bool) -> None:
        super().__init__(file, PICKLE_PROTOCOL)
        self.location, self.first_key, self.legacy = location, first_key, legacy
        self.storages: dict[str, _Storage] = {}
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
            key = str(self.first_key + len(self.storages))
            self.storages[key] = obj
            count = obj.tensor.numel()
            identity = ("storage", STORAGE_CLASSES[obj.tensor.dtype], key, self.location, count)
            return (*identity, None) if self.legacy else identity  # None: no view of another storage
        if self.legacy and isinstance(obj, type) and issubclass(obj, Named):
            return self._source_of(obj)
        return None

    def _source_of(self, cls: type[Named]) -> tuple[object, ...] | None:
        """Return what the legacy container pickles with a module's class where it comes first."""
        if not cls.is_module or cls in self.described:
            return None
        self.described.add(cls)
        return ("module", cls, cls.__module__.replace(".", "/") + ".py", SOURCE.format(cls.__qualname__))


def write_legacy(root: object, path: Path, location: str) -> None:
    """Write `root` as torch did up to 1.5, its storages tagged with `location`, e.g. `cuda:0`."""
    with written_atomically(path) as temporary, temporary.open("wb") as file:
        for header in (MAGIC_NUMBER, PROTOCOL_VERSION, SYSTEM):
            pickle.dump(header, file, PICKLE_PROTOCOL)
        pickler = _Pickler(file, location, FIRST_LEGACY_KEY, legacy=True)
        pickler.dump(root)
        pickle.dump(list(pickler.storages), file, PICKLE_PROTOCOL)
        for storage in pickler.storages.values():
            file.write(storage.tensor.numel().to_bytes(8, "little"))
            file.write(storage.content())


def write_zip(root: object, path: Path, location: str) -> None:
    """Write `root` as torch 1.6 to 2.0 did: a zip archive, nothing in it compressed."""
    stream = io.BytesIO()
    pickler = _Pickler(stream, location, 0, legacy=False)
    pickler.dump(root)
    with written_atomically(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        _add(archive, "data.pkl", stream.getvalue())
        for key in sorted(pickler.storages):
            _add(archive, f"data/{key}", pickler.storages[key].content())
        _add(archive, "version", ZIP_VERSION)


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    """Add an entry without a time, its data aligned by a padding of the extra field `FB`."""
    entry = zipfile.ZipInfo(f"{ZIP_FOLDER}/{name}")
    assert archive.fp is not None
    begin = archive.fp.tell() + ZIP_HEADER + len(entry.filename) + 4
    padding = -begin % ZIP_ALIGNMENT
    entry.extra = b"FB" + padding.to_bytes(2, "little") + b"Z" * padding
    archive.writestr(entry, content)
