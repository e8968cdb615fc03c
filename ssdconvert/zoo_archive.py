"""Reads archives of the ONNX Model Zoo: a model, and what its publisher's engine gave for it.

NAME.tar.gz holds NAME/model.onnx and NAME/test_data_set_0/ with input_0.pb, output_0.pb, output_1.pb and so
on, a TensorProto each (github.com/onnx/models). Nothing is written to disk, no member is trusted: paths,
kinds, counts and sizes are checked before a member is read.
"""

import re
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ssdconvert.errors import ConversionError
from ssdconvert.runners import Arrays
from ssdconvert.safe_archive import UnsafeArchive, checked_members

if TYPE_CHECKING:
    import onnx

LARGEST_ARCHIVE = 512 << 20  # bytes unpacked; ssd-12.tar.gz has 80 MB of weights and 17 MB of input
MOST_MEMBERS = 1000
TENSOR = re.compile(r"(input|output)_(\d{1,4})\.pb")


@dataclass(frozen=True)
class Recording:
    """One test data set: `inputs` and `outputs` by the names that the model has for them."""

    name: str
    inputs: Arrays
    outputs: Arrays


@dataclass(frozen=True)
class ZooArchive:
    """The bytes of the ONNX file, and the recordings in the order of their numbers."""

    model: bytes
    recordings: tuple[Recording, ...]


def read_zoo_archive(path: Path) -> ZooArchive:
    """Return what is in an archive; ConversionError where it is damaged, incomplete or unsafe."""
    import onnx
    from google.protobuf.message import DecodeError

    members = _members(path)
    models = [name for name in members if name.suffix == ".onnx"]
    if len(models) != 1:
        raise _refused(path, f"holds {len(models)} files *.onnx, expected 1")
    try:
        model = onnx.load_model_from_string(members[models[0]])
    except DecodeError as error:
        raise _refused(path, f"{models[0]} is no ONNX file: {error}") from error
    weights = {tensor.name for tensor in model.graph.initializer}
    ports = {
        "input": [entry for entry in model.graph.input if entry.name not in weights],
        "output": list(model.graph.output),
    }
    folders = {name.parent for name in members if _is_tensor(name)}
    recordings = tuple(
        Recording(folder.name, *(_tensors(path, members, folder, kind, ports[kind]) for kind in ports))
        for folder in sorted(folders, key=lambda folder: (len(folder.name), str(folder)))
    )
    if not recordings:
        raise _refused(path, "holds no test_data_set_*/*.pb")
    return ZooArchive(members[models[0]], recordings)


def _refused(path: Path, problem: str) -> ConversionError:
    return ConversionError(
        f"{path.name} {problem}", hint="fetch the archive again from its publisher", stage="load"
    )


def _members(path: Path) -> dict[PurePosixPath, bytes]:
    """Return the ONNX files and the tensors of an archive; every member's path is checked."""
    found: dict[PurePosixPath, bytes] = {}
    try:
        with path.open("rb") as file:
            unpacked = _Unpacked(path, file)
            with tarfile.open(fileobj=unpacked, mode="r|") as archive:  # type: ignore[call-overload]
                for name, content in _read(archive):
                    if name in found:
                        raise _refused(path, f"has two members {name}")
                    found[name] = content
            while unpacked.read(1 << 20):  # to the end: there is gzip's checksum
                pass
    except UnsafeArchive as error:
        raise _refused(path, str(error)) from error
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise _refused(path, f"is no whole .tar.gz: {error}") from error
    except OSError as error:
        raise _refused(path, f"cannot be read: {error}") from error
    return found


def _read(archive: tarfile.TarFile) -> Iterator[tuple[PurePosixPath, bytes]]:
    """Yield the members that matter."""
    for name, member in checked_members(archive, MOST_MEMBERS, LARGEST_ARCHIVE):
        if member.isdir() or name.name.startswith("._"):  # what macOS adds
            continue
        if name.suffix == ".onnx" or _is_tensor(name):
            content = archive.extractfile(member)
            assert content is not None
            yield name, content.read()


class _Unpacked:
    """What a gzip file holds, read once from its beginning and no further than LARGEST_ARCHIVE bytes."""

    def __init__(self, path: Path, file: IO[bytes]) -> None:
        import gzip

        self.path, self.file, self.total = path, gzip.GzipFile(fileobj=file), 0

    def read(self, size: int) -> bytes:
        block = self.file.read(size)
        self.total += len(block)
        if self.total > LARGEST_ARCHIVE:
            raise _refused(self.path, f"unpacks to more than {LARGEST_ARCHIVE >> 20} MiB")
        return block


def _is_tensor(name: PurePosixPath) -> bool:
    in_a_set = re.fullmatch(r"test_data_set_\d{1,4}", name.parent.name)
    return bool(in_a_set and TENSOR.fullmatch(name.name))


def _tensors(
    path: Path, members: Mapping[PurePosixPath, bytes], folder: PurePosixPath, kind: str, ports: list[Any]
) -> dict[str, NDArray[Any]]:
    """Return the tensors of one kind in a folder, by the names of the model's `ports`."""
    arrays = {}
    numbers = sorted(_numbers(members, folder, kind))
    if numbers != list(range(len(ports))):
        expected = f"{kind}_0.pb to {kind}_{len(ports) - 1}.pb"
        raise _refused(path, f"has in {folder} the {kind}s {numbers}, expected {expected}")
    names = [port.name for port in ports]
    for number in numbers:
        name = folder / f"{kind}_{number}.pb"
        own, array = _tensor(path, name, members[name])
        port = ports[names.index(own) if own in names else number]  # not every archive names its tensors
        if port.name in arrays:
            raise _refused(path, f"has the {kind} {port.name!r} twice in {folder}")
        _refuse_other_shape(path, name, array, port)
        arrays[port.name] = array
    return arrays


def _numbers(members: Mapping[PurePosixPath, bytes], folder: PurePosixPath, kind: str) -> Iterator[int]:
    for name in members:
        found = TENSOR.fullmatch(name.name)
        if name.parent == folder and found and found[1] == kind:
            yield int(found[2])


def _tensor(path: Path, name: PurePosixPath, content: bytes) -> tuple[str, NDArray[Any]]:
    import onnx
    from google.protobuf.message import DecodeError

    tensor = onnx.TensorProto()
    try:
        tensor.ParseFromString(content)
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            raise ValueError("its numbers lie in another file")
        return tensor.name, np.array(onnx.numpy_helper.to_array(tensor))
    except (DecodeError, ValueError, TypeError, KeyError) as error:
        raise _refused(path, f"holds in {name} no whole tensor: {error}") from error


def _refuse_other_shape(
    path: Path, name: PurePosixPath, array: NDArray[Any], port: "onnx.ValueInfoProto"
) -> None:
    """Raise ConversionError for an array that the model's input or output `port` cannot be."""
    import onnx

    kind = port.type.tensor_type
    if not kind.elem_type or not kind.HasField("shape"):
        return
    sides = [side.dim_value or None for side in kind.shape.dim]
    dtype = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)
    fits = len(sides) == array.ndim and all(a in (b, None) for a, b in zip(sides, array.shape, strict=True))
    if array.dtype != dtype or not fits:
        shape = f"{dtype} {['?' if side is None else side for side in sides]}"
        raise _refused(
            path,
            f"holds in {name} {array.dtype} {list(array.shape)}, the model's {port.name!r} is {shape}",
        )
