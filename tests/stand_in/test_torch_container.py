"""The two containers, read back by torch and by the package."""

import pickle
import pickletools
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ssdconvert.checkpoint import load_state_dict
from ssdconvert.checkpoint.container import MAGIC_NUMBER, PROTOCOL_VERSION
from ssdconvert.stand_in.torch_container import Call, named, stored, write_legacy, write_zip

WRITERS = pytest.mark.parametrize("write", [write_legacy, write_zip])
Write = Callable[[object, Path, str], None]


def tensors() -> dict[str, torch.Tensor]:
    """Twelve, so that storages sorted as text are in another order than by number."""
    some = {f"t{number}": torch.randn(number + 1, 3) for number in range(9)}
    return some | {
        "transposed": torch.arange(6.0).view(2, 3).t(),
        "scalar": torch.tensor(7),
        "empty": torch.empty(0, 4),
    }


@WRITERS
def test_round_trip(tmp_path: Path, write: Write) -> None:
    expected = tensors()
    path = tmp_path / "some.pth"
    write(OrderedDict((key, stored(value)) for key, value in expected.items()), path, "cuda:0")
    found = load_state_dict(path)
    loaded = torch.load(path, map_location="cpu", weights_only=True)
    for key, value in expected.items():
        assert found.tensors[key].dtype == value.numpy().dtype
        np.testing.assert_array_equal(found.tensors[key], value.numpy())
        assert torch.equal(loaded[key], value)
    assert found.notes == ("storages of cuda:0 read on the CPU",)


@WRITERS
def test_the_location_is_that_asked_for(tmp_path: Path, write: Write) -> None:
    write({"w": stored(torch.ones(2))}, tmp_path / "a", "cpu")
    assert load_state_dict(tmp_path / "a").notes == ()
    write({"w": stored(torch.ones(2))}, tmp_path / "a", "cuda:3")
    assert load_state_dict(tmp_path / "a").notes == ("storages of cuda:3 read on the CPU",)


@WRITERS
def test_a_type_that_cannot_be_stored(tmp_path: Path, write: Write) -> None:
    with pytest.raises(KeyError):
        write({"w": stored(torch.ones(2).half())}, tmp_path / "a", "cpu")
    assert not list(tmp_path.iterdir())  # nothing half-written


def test_headers_of_the_legacy_container(tmp_path: Path) -> None:
    write_legacy({"w": stored(torch.ones(2))}, tmp_path / "a", "cpu")
    with (tmp_path / "a").open("rb") as file:
        assert pickle.load(file) == MAGIC_NUMBER
        assert pickle.load(file) == PROTOCOL_VERSION
        assert pickle.load(file)["little_endian"] is True
        identity = [argument for _, argument, _ in pickletools.genops(file) if isinstance(argument, str)]
        keys = pickle.load(file)
    assert keys[0] in identity
    assert keys == sorted(keys)


def test_entries_of_the_zip_container(tmp_path: Path) -> None:
    write_zip({key: stored(value) for key, value in tensors().items()}, tmp_path / "a", "cpu")
    content = (tmp_path / "a").read_bytes()
    with zipfile.ZipFile(tmp_path / "a") as archive:
        entries = archive.infolist()
        assert archive.testzip() is None
        assert archive.read("archive/version") == b"3\n"
    names = [f"data/{key}" for key in sorted(map(str, range(12)))]
    assert [entry.filename for entry in entries] == [
        f"archive/{name}" for name in ("data.pkl", *names, "version")
    ]
    for entry in entries:
        assert entry.compress_type == zipfile.ZIP_STORED
        assert entry.date_time == (1980, 1, 1, 0, 0, 0)
        header = content[entry.header_offset : entry.header_offset + 30]
        lengths = int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
        assert (entry.header_offset + 30 + lengths) % 64 == 0


@WRITERS
def test_classes_that_are_not_here(tmp_path: Path, write: Write) -> None:
    """They are pickled by name, and called on unpickling; only the legacy container tells their source."""
    module: Any = named("models.absent", "Net", is_module=True)()
    module.__dict__.update(
        _parameters={"w": stored(torch.ones(2))}, _buffers={}, _modules={},
        made=Call(named("models.absent", "make"), 1),
    )  # fmt: skip
    write(module, tmp_path / "a", "cpu")
    found = load_state_dict(tmp_path / "a")
    assert found.form == "module"
    assert found.tensors["w"].tolist() == [1, 1]
    content = (tmp_path / "a").read_bytes()
    assert b"cmodels.absent\nNet\n" in content
    assert b"cmodels.absent\nmake\n" in content
    assert (b"models/absent.py" in content) == (write is write_legacy)
