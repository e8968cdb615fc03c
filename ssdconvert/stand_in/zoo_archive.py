"""Writes archives as the ONNX Model Zoo publishes them; see `ssdconvert.zoo_archive`."""

import gzip
import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

from ssdconvert.runners import Arrays
from ssdconvert.workspace import written_atomically


def write_zoo_archive(path: Path, name: str, model: bytes, inputs: Arrays, outputs: Arrays) -> None:
    """Write `name`/model.onnx and one test data set to a .tar.gz; the same bytes every time.

    `inputs` and `outputs` in the order that the model has them.
    """
    with (
        written_atomically(path) as temporary,
        temporary.open("wb") as file,
        gzip.GzipFile(filename="", mode="wb", compresslevel=1, fileobj=file, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w|", format=tarfile.USTAR_FORMAT) as archive,
    ):
        for member, content in _members(name, model, inputs, outputs):
            entry = tarfile.TarInfo(member)
            entry.size = len(content)
            entry.type = tarfile.DIRTYPE if member.endswith("/") else tarfile.REGTYPE
            entry.mode = 0o755 if entry.isdir() else 0o644
            archive.addfile(entry, io.BytesIO(content))


def _members(name: str, model: bytes, inputs: Arrays, outputs: Arrays) -> Iterator[tuple[str, bytes]]:
    """Yield path and content; folders end in a slash."""
    import onnx

    folder = f"{name}/test_data_set_0"
    yield f"{name}/", b""
    yield f"{name}/model.onnx", model
    yield f"{folder}/", b""
    for kind, arrays in (("input", inputs), ("output", outputs)):
        for number, (tensor, array) in enumerate(arrays.items()):
            content = onnx.numpy_helper.from_array(array, tensor).SerializeToString(deterministic=True)
            yield f"{folder}/{kind}_{number}.pb", content
