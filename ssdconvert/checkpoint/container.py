"""The two containers of torch.save, and the arrays in them.

The *legacy* container is five pickles in a row (a magic number, the protocol 1001, a dictionary on
the system, the object, the list of storage keys), then each storage in the order of that list: its
number of elements (int64) and its data, both little-endian. The *zip* container (the default since
torch 1.6) has the entries `*/data.pkl`, `*/data/KEY` and, since torch 2.1, `*/byteorder`; none is
compressed. No size that a file claims is believed before it is compared with the file's own.
"""

import io
import math
import struct
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ssdconvert.checkpoint.allowed_globals import STORAGE_DTYPES, RefusedError, Storage, TensorRecord
from ssdconvert.checkpoint.restricted_pickle import load_pickle

MAGIC_NUMBER, PROTOCOL_VERSION = 0x1950A86A20F9469CFC6C, 1001
COPIES_LIMIT = 8  # all tensors together, in sizes of the file: tensors may share a storage
DAMAGED = "the file is damaged or truncated: fetch it again and compare its size"
ZIP_ERRORS = (zipfile.BadZipFile, struct.error, ValueError, LookupError, RuntimeError, EOFError, OSError)

Array = NDArray[Any]


@dataclass(frozen=True)
class Container:
    """An opened checkpoint: `root` is the saved object, `read` gives the bytes of a storage."""

    kind: Literal["legacy", "zip"]
    root: Any
    read: Callable[[Storage], bytes | memoryview]
    byteorder: Literal["<", ">"]
    file_size: int


def open_container(data: bytes) -> Container:
    """Open the bytes of a checkpoint; RefusedError if damaged, or naming what a checkpoint must not."""
    if not data:
        raise RefusedError("the file is empty", "the download failed: fetch it again")
    start = data[:512].lstrip().lower()
    if start.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        raise RefusedError(
            "the file is a web page, not a checkpoint", "open it in a browser to see what the server answered"
        )
    if start.startswith(b"version https://git-lfs"):
        raise RefusedError("the file is a Git LFS pointer, not a checkpoint", "fetch it with `git lfs pull`")
    return _open_zip(data) if data.startswith(b"PK") else _open_legacy(data)


def _open_legacy(data: bytes) -> Container:
    stream = io.BytesIO(data)
    if load_pickle(stream, "the magic number")[0] != MAGIC_NUMBER:
        raise RefusedError(
            "the file is a pickle, but it does not begin with the magic number of torch.save",
            "a checkpoint is a file that torch.save wrote; convert this one with the library that wrote it",
        )
    if load_pickle(stream, "the protocol version")[0] != PROTOCOL_VERSION:
        raise RefusedError(f"the container's protocol is not {PROTOCOL_VERSION}", DAMAGED)
    load_pickle(stream, "the system information")
    root, storages = load_pickle(stream, "the saved object")
    keys, _ = load_pickle(stream, "the list of storages")
    if type(keys) is not list or not all(type(key) is str for key in keys) or set(keys) != set(storages):
        raise RefusedError("the list of storages is not that of the storages that tensors use", DAMAGED)
    blobs, position = {}, stream.tell()
    for key in keys:
        storage = storages[key]
        begin = position + 8
        position = begin + _bytes_of(storage)
        if position > len(data):
            raise RefusedError(
                f"storage {key[:40]!a} is bytes {begin} to {position}, the file has only {len(data)}", DAMAGED
            )
        if (count := int.from_bytes(data[begin - 8 : begin], "little")) != storage.numel:
            raise RefusedError(
                f"storage {key[:40]!a} at byte {begin - 8} holds {count} values, not {storage.numel}", DAMAGED
            )
        blobs[key] = memoryview(data)[begin:position]
    return Container("legacy", root, lambda storage: blobs[storage.key], "<", len(data))


def _open_zip(data: bytes) -> Container:
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except ZIP_ERRORS as error:
        raise RefusedError(f"the zip archive of {len(data)} bytes does not open: {error}", DAMAGED) from error
    entries = {info.filename: info for info in archive.infolist()}
    folders = [name.removesuffix("data.pkl") for name in entries if name.split("/")[1:] == ["data.pkl"]]
    if len(folders) != 1 or f"{folders[0]}constants.pkl" in entries:
        raise RefusedError(
            "the file is a zip archive, but not one of torch.save",
            "a TorchScript file holds code: save the model's state_dict instead; other archives: unpack them",
        )
    if sum(info.file_size for info in entries.values()) > len(data):
        raise RefusedError("the entries of the zip archive are larger than the file", DAMAGED)

    def read(name: str) -> bytes:
        info = entries.get(folders[0] + name)
        if info is None or info.compress_type != zipfile.ZIP_STORED:
            raise RefusedError(f"the zip archive's entry {name[:40]!a} is missing or compressed", DAMAGED)
        try:
            return archive.read(info)
        except ZIP_ERRORS as error:
            raise RefusedError(f"the zip archive's entry {name[:40]!a}: {error}", DAMAGED) from error

    def read_storage(storage: Storage) -> bytes:
        content = read(f"data/{storage.key}")
        if len(content) != _bytes_of(storage):
            raise RefusedError(
                f"storage {storage.key[:40]!a} has {len(content)} bytes, not {_bytes_of(storage)}", DAMAGED
            )
        return content

    root, _ = load_pickle(io.BytesIO(read("data.pkl")), "data.pkl")
    big = f"{folders[0]}byteorder" in entries and read("byteorder") == b"big"
    return Container("zip", root, read_storage, ">" if big else "<", len(data))


def _bytes_of(storage: Storage) -> int:
    return storage.numel * np.dtype(STORAGE_DTYPES[storage.kind]).itemsize


def materialise(records: Mapping[str, TensorRecord], container: Container) -> dict[str, Array]:
    """Return each tensor as a contiguous array of its own; storages are read one at a time."""
    names_of: dict[Storage, list[str]] = {}
    copied = 0
    for name, record in records.items():
        _check_bounds(name, record)
        names_of.setdefault(record.storage, []).append(name)
        copied += math.prod(record.size) * np.dtype(STORAGE_DTYPES[record.storage.kind]).itemsize
    if copied > COPIES_LIMIT * container.file_size:
        raise RefusedError(
            f"the tensors have {copied} bytes, over {COPIES_LIMIT} times the file's {container.file_size}",
            DAMAGED,
        )
    arrays: dict[str, Array] = {}
    for storage, names in names_of.items():
        dtype = np.dtype(STORAGE_DTYPES[storage.kind]).newbyteorder(container.byteorder)
        content = container.read(storage)
        values = np.frombuffer(content, dtype) if len(content) else np.empty(0, dtype)
        for name in names:
            arrays[name] = _rebuilt(records[name], values)
    return {name: arrays[name] for name in records}


def _check_bounds(name: str, record: TensorRecord) -> None:
    """Refuse a tensor that reaches beyond its storage or repeats its values.

    An empty tensor reads nothing, but numpy cannot express every empty shape.
    """
    claimed = math.prod(side or 1 for side in record.size)
    steps = zip(record.size, record.stride, strict=True)
    last = record.offset + sum((side - 1) * stride for side, stride in steps)
    if 0 in record.size and claimed <= 2**40:
        return
    if claimed > record.storage.numel or last >= record.storage.numel:
        raise RefusedError(
            f"tensor {name[:80]!a} of size {record.size}, stride {record.stride} and offset {record.offset} "
            f"does not fit into its storage of {record.storage.numel} values",
            DAMAGED,
        )


def _rebuilt(record: TensorRecord, values: Array) -> Array:
    """Return the tensor's values [size] out of its storage's `values` [numel]; bounds are checked already."""
    native = values.dtype.newbyteorder("=")
    if 0 in record.size:
        array: Array = np.empty(record.size, native)
    else:
        steps = zip(record.size, record.stride, strict=True)
        strides = [stride * values.itemsize if side > 1 else 0 for side, stride in steps]
        view = np.lib.stride_tricks.as_strided(values[record.offset :], record.size, strides, writeable=False)
        array = np.array(view, native, order="C")
    if record.storage.kind == "BFloat16Storage":  # the upper half of a float32
        return np.asarray(np.left_shift(array, 16, dtype=np.uint32)).view(np.float32)
    return array
