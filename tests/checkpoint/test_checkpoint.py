"""Checkpoints of every form are read; hostile, damaged and foreign ones are refused, and nothing runs."""

import collections
import io
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from ssdconvert.checkpoint import Checkpoint, load_state_dict
from ssdconvert.errors import ConversionError

MIRROR = Path(__file__).resolve().parents[3] / "shared" / "mirror"
MAGIC, PROTOCOL, SYSTEM = 0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}
CONTAINERS = pytest.mark.parametrize("zipped", [False, True], ids=["legacy", "zip"])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.pth"


def network() -> nn.Sequential:
    torch.manual_seed(3)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Sequential(nn.ReLU(), nn.Conv2d(4, 2, 1)))


def saved(path: Path, value: object, zipped: bool = False, protocol: int = 2) -> Checkpoint:
    torch.save(value, path, pickle_protocol=protocol, _use_new_zipfile_serialization=zipped)
    return load_state_dict(path)


def assert_equal(found: Checkpoint, expected: dict[str, torch.Tensor]) -> None:
    assert list(found.tensors) == list(expected)
    for key, value in expected.items():
        array = found.tensors[key]
        assert array.dtype == value.numpy().dtype, key
        assert array.shape == tuple(value.shape), key
        assert array.flags.c_contiguous, key
        assert array.flags.writeable, key
        np.testing.assert_array_equal(array, value.numpy(), err_msg=key)


def refusal(path: Path, data: bytes) -> ConversionError:
    path.write_bytes(data)
    with pytest.raises(ConversionError) as caught:
        load_state_dict(path)
    assert (caught.value.stage, caught.value.exit_code) == ("load", 4)
    assert str(path) in caught.value.message
    return caught.value


def legacy(pickled: bytes, keys: object = (), blobs: bytes = b"", system: bytes | None = None) -> bytes:
    """Return a legacy container around a pickle."""
    parts = [pickle.dumps(MAGIC, 2), pickle.dumps(PROTOCOL, 2), system or pickle.dumps(SYSTEM, 2), pickled]
    return b"".join([*parts, pickle.dumps(list(keys), 2), blobs])  # type: ignore[call-overload]


def in_zip(entries: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, data in entries.items():
            archive.writestr(f"archive/{name}", data)
    return stream.getvalue()


# --- the forms of checkpoint


@CONTAINERS
@pytest.mark.parametrize("protocol", [2, 4])
def test_state_dict(path: Path, zipped: bool, protocol: int) -> None:
    state_dict = network().state_dict()
    found = saved(path, state_dict, zipped, protocol)
    assert_equal(found, state_dict)
    assert (found.container, found.form) == ("zip" if zipped else "legacy", "state_dict")
    assert found.notes == ()


@CONTAINERS
@pytest.mark.parametrize("key", ["model", "state_dict"])
def test_training_checkpoint(path: Path, zipped: bool, key: str) -> None:
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    model(torch.zeros(1, 3, 8, 8)).sum().backward()
    optimizer.step()
    scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, [3, 5])  # its state has a Counter
    value = {
        "epoch": 3, "best": np.float64(0.25), "array": np.arange(3), "device": torch.device("cuda", 0),
        "dtype": torch.float16, "size": torch.Size([3]), "labels": {0: "background"},
        "optimizer": optimizer.state_dict(), "scheduler": scheduler.state_dict(), key: model.state_dict(),
    }  # fmt: skip
    found = saved(path, value, zipped)
    assert_equal(found, model.state_dict())
    assert found.form == "dict"
    assert f"'{key}'" in found.notes[0]
    assert "optimizer" in found.notes[0]


@CONTAINERS
@pytest.mark.parametrize("protocol", [2, 4])
def test_whole_module(path: Path, zipped: bool, protocol: int) -> None:
    model = network()
    model.register_buffer("scratch", torch.ones(2), persistent=False)
    model.register_buffer("anchors", torch.ones(2))
    model.register_buffer("nothing", None)
    found = saved(path, model, zipped, protocol)
    assert_equal(found, model.state_dict())
    assert found.form == "module"
    assert_equal(saved(path, {"model": model}, zipped), model.state_dict())


@CONTAINERS
@pytest.mark.parametrize("prefix", ["module.", "module.1."])
def test_prefix_of_data_parallel(path: Path, zipped: bool, prefix: str) -> None:
    state_dict = network().state_dict()
    found = saved(path, {prefix + key: value for key, value in state_dict.items()}, zipped)
    assert_equal(found, state_dict)
    assert found.notes == (f"prefix '{prefix}' removed from every key",)


def test_prefix_stays_where_it_belongs(path: Path) -> None:
    some = {"module.a": torch.ones(1), "b": torch.ones(2)}
    assert_equal(saved(path, some), some)
    own = {"module.a": torch.ones(1)}
    torch.save(own, path)
    assert list(load_state_dict(path, {"module.a": (1,)}).tensors) == ["module.a"]


def test_data_parallel_module(path: Path) -> None:
    model = network()
    assert_equal(saved(path, nn.DataParallel(model)), model.state_dict())


@CONTAINERS
def test_every_type(path: Path, zipped: bool) -> None:
    numbers = torch.tensor([[0, 1, 2], [3, 4, 5]])
    names = [
        "float32",
        "float64",
        "float16",
        "int64",
        "int32",
        "int16",
        "int8",
        "uint8",
        "bool",
        "complex64",
        "complex128",
    ]
    state_dict = {name: numbers.to(getattr(torch, name)) for name in names}
    assert_equal(saved(path, state_dict, zipped), state_dict)


@CONTAINERS
def test_bfloat16_becomes_float32(path: Path, zipped: bool) -> None:
    values = {"w": torch.randn(5, 3).bfloat16(), "scalar": torch.tensor(-1.5).bfloat16()}
    found = saved(path, values, zipped)
    assert_equal(found, {key: value.float() for key, value in values.items()})
    assert "bfloat16 read as float32" in found.notes


@CONTAINERS
def test_views_and_shared_storages(path: Path, zipped: bool) -> None:
    base = torch.arange(24.0)
    state_dict = {
        "transposed": base.view(4, 6).t(), "slice": base[5:17:3], "same": base, "again": base.view(2, 12),
        "scalar": base[7], "empty": torch.empty(0, 4), "other": torch.arange(3),
    }  # fmt: skip
    found = saved(path, state_dict, zipped)
    assert_equal(found, state_dict)
    assert not np.shares_memory(found.tensors["same"], found.tensors["again"])


def test_big_endian_zip(path: Path) -> None:
    torch.save({"w": torch.tensor([1.5, -2.0])}, path)
    with zipfile.ZipFile(path) as archive:
        entries = {name.split("/", 1)[1]: archive.read(name) for name in archive.namelist()}
    entries |= {"byteorder": b"big", "data/0": struct.pack(">2f", 1.5, -2.0)}
    path.write_bytes(in_zip(entries))
    assert load_state_dict(path).tensors["w"].tolist() == [1.5, -2.0]


def test_python_2_ordered_dict_and_cuda_storage(path: Path) -> None:
    storage = b"(U\x07storagectorch\nFloatStorage\nU\x011U\x06cuda:0K\x02Ntq\x05Q"
    tensor = b"ctorch._utils\n_rebuild_tensor\n(" + storage + b"K\x00K\x02\x85K\x01\x85tR"
    pickled = b"\x80\x02ccollections\nOrderedDict\n](](U\x01w" + tensor + b"ee\x85R."
    path.write_bytes(legacy(pickled, ["1"], struct.pack("<q2f", 2, 1, 2)))
    found = load_state_dict(path)
    assert found.tensors["w"].tolist() == [1, 2]
    assert found.notes == ("storages of cuda:0 read on the CPU",)


@pytest.mark.parametrize(("name", "count"), [("ultraface-rfb-320", 244), ("ultraface-slim-320", 184)])
def test_real_checkpoint(name: str, count: int) -> None:
    files = list((MIRROR / name).glob("*.pth"))
    if not files:
        pytest.skip(f"no {name} in {MIRROR}")
    expected = torch.load(files[0], map_location="cpu", weights_only=True)
    found = load_state_dict(files[0])
    assert_equal(found, expected)
    assert len(found.tensors) == count
    assert (found.container, found.form) == ("legacy", "state_dict")
    assert found.notes == ("storages of cuda:0 read on the CPU",)


# --- another network


def shapes(model: nn.Module) -> dict[str, tuple[int, ...]]:
    return {key: tuple(value.shape) for key, value in model.state_dict().items()}


def test_fitting_network(path: Path) -> None:
    model = network()
    state_dict = model.state_dict()
    del state_dict["1.num_batches_tracked"]
    state_dict["2.num_batches_tracked"] = torch.tensor(1)
    torch.save(state_dict, path)
    found = load_state_dict(path, shapes(model))
    assert set(found.tensors) == set(shapes(model)) - {"1.num_batches_tracked"}
    model.load_state_dict({key: torch.from_numpy(value) for key, value in found.tensors.items()})


def test_another_network_is_told_by_its_keys(path: Path) -> None:
    torch.save({"0.weight": torch.ones(2, 2), **{f"x{i}": torch.ones(1) for i in range(11)}}, path)
    with pytest.raises(ConversionError) as caught:
        load_state_dict(path, shapes(network()))
    message = caught.value.message
    assert "7 missing: 0.bias, 1.weight" in message
    assert "11 unexpected: x0" in message
    assert "x7 and 3 more" in message
    assert "x8" not in message
    assert "0.weight (expected [4, 3, 3, 3], found [2, 2])" in message
    assert "another network" in caught.value.hint


@pytest.mark.parametrize("value", [[1, 2], {"epoch": 1, "net": {}}, {"model": {}}, {}, None, torch.ones(2)])
def test_no_tensors(path: Path, value: object) -> None:
    torch.save(value, path)
    assert "holds" in refusal(path, path.read_bytes()).message


# --- hostile files


class Calls:
    """Pickled as a call of `function`."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> Any:
        return self.function, self.arguments


def hostile(marker: Path) -> dict[str, tuple[bytes, str]]:
    """Return pickles that would create `marker`, each with what the refusal must name."""
    command = f"touch {marker}"
    call = Calls(os.system, command)
    tensor = torch.ones(2)

    def text(pickled: str) -> bytes:
        return b"\x80\x02" + pickled.encode("latin1") + b"."

    return {
        "reduce": (pickle.dumps(call, 2), f"{os.system.__module__}.system"),
        "protocol 0": (pickle.dumps(call, 0), f"{os.system.__module__}.system"),
        "protocol 4": (pickle.dumps(call, 4), f"{os.system.__module__}.system"),
        "in a dict": (pickle.dumps({"a": 1, "b": [(call,)]}, 2), f"{os.system.__module__}.system"),
        "in an OrderedDict": (pickle.dumps(collections.OrderedDict(a=call), 2), "system"),
        "eval": (pickle.dumps(Calls(eval, f"open({str(marker)!r}, 'w')"), 2), "__builtin__.eval"),
        "eval 4": (pickle.dumps(Calls(eval, f"open({str(marker)!r}, 'w')"), 4), "builtins.eval"),
        "getattr": (pickle.dumps(Calls(getattr, tensor.shape, "count"), 4), "builtins.getattr"),
        "import": (pickle.dumps(Calls(__import__, "antigravity"), 4), "builtins.__import__"),
        "inert class's state": (
            text(
                f"ctorch.nn.modules.activation\nReLU\n)\x81}}X\x01\0\0\0xcos\nsystem\nX{_text(command)}\x85Rsb"
            ),
            "os.system",
        ),
        "dots": (b"\x80\x04\x8c\x02os\x8c\x0bpath.os.sys\x93.", "os.path.os.sys"),
        "dots in torch.nn": (b"\x80\x04\x8c\x08torch.nn\x8c\x0bmodules.sys\x93.", "torch.nn.modules.sys"),
        "torch.nn, almost": (text("ctorch.nnx\nReLU\n)R"), "torch.nnx.ReLU"),
        "models, almost": (text("cmodels/../os\nsystem\n)R"), "models/../os.system"),
        "torch.load": (text("ctorch\nload\n)R"), "torch.load"),
        "storage of torch.cuda": (text("ctorch.storage\n_load_from_bytes\n)R"), "_load_from_bytes"),
        "INST": (text(f"(S'{command}'\nios\nsystem\n"), "os system"),
        "OBJ": (text(f"(cos\nsystem\nS'{command}'\no"), "os.system"),
        "EXT1": (text("\x01").replace(b"\x01", b"\x82\x01"), "EXT1"),
        "PERSID": (text("Pos.system\n"), "os.system"),
    }


def _text(value: str) -> str:
    return struct.pack("<I", len(value)).decode("latin1") + value


HOSTILE = sorted(hostile(Path("/marker")))


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("place", ["object", "system", "keys", "magic", "zip", "module source"])
def test_hostile_pickle_is_refused_and_does_nothing(
    path: Path, tmp_path: Path, name: str, place: str
) -> None:
    marker = tmp_path / "marker"
    pickled, named = hostile(marker)[name]
    harmless = pickle.dumps({}, 2)
    body = pickled[2:-1] if pickled[:1] == b"\x80" else pickled[:-1]
    if body[:1] == b"\x95":  # a frame, which cannot be nested
        body = body[9:]
    data = {
        "object": legacy(pickled),
        "system": legacy(harmless, system=pickled),
        "keys": legacy(harmless).removesuffix(pickle.dumps([], 2)) + pickled,
        "magic": pickled + legacy(harmless),
        "zip": in_zip({"data.pkl": pickled, "version": b"3"}),
        "module source": legacy(b"\x80\x04(X\x06\0\0\0modulectorch.nn\nReLU\nN" + body + b"tQ)R."),
    }[place]
    assert named in refusal(path, data).message
    assert not marker.exists()


@pytest.mark.parametrize("name", ["reduce", "protocol 4", "eval", "INST", "OBJ"])
def test_the_hostile_pickles_would_work(tmp_path: Path, name: str) -> None:
    """The standard library runs them: what the tests above see absent is a real effect."""
    pickle.loads(hostile(tmp_path / "marker")[name][0])
    assert (tmp_path / "marker").exists()


def test_calling_an_inert_class_or_instance_does_nothing(path: Path) -> None:
    called = b"\x80\x02cmodels.os\nsystem\nX\x02\0\0\0ls\x85R"
    assert "no tensors" in refusal(path, legacy(b"\x80\x02}X\x01\0\0\0a" + called[2:] + b"s.")).message
    assert "calls something" in refusal(path, legacy(called + b")R.")).message
    assert "not a pickled torch module" in refusal(path, legacy(called + b".")).message


@pytest.mark.parametrize("target", ["cmodels.x\nY\n", "ccollections\nOrderedDict\n", "c__builtin__\nset\n"])
def test_a_class_cannot_be_changed(path: Path, target: str) -> None:
    attribute = b"}X\x05\0\0\0itemsK\x01s"
    data = legacy(b"\x80\x02" + target.encode() + b"N" + attribute + b"\x86b.")
    assert "sets the state" in refusal(path, data).message


def test_modules_that_contain_each_other(path: Path) -> None:
    empty = "".join(f"X{_text(name)}}}" for name in ("_parameters", "_buffers"))
    state = f"}}q\x01({empty}X{_text('_modules')}}}(X{_text('a')}h\x00X{_text('b')}h\x00uub."
    pickled = b"\x80\x02cmodels.x\nY\n)\x81q\x00" + state.encode("latin1")
    assert "no end" in refusal(path, legacy(pickled)).message


# --- claims about sizes


def with_tensor(
    numel: int = 4,
    offset: object = 0,
    size: object = (4,),
    stride: object = (1,),
    count: int = 4,
    **fields: Any,
) -> bytes:
    """Return a legacy container of one tensor in a storage of four values that claims what is asked for."""

    def pickled(value: object) -> bytes:
        return pickle.dumps(value, 2)[2:-1]

    storage = fields.get("kind", b"ctorch\nFloatStorage\n") + pickled(fields.get("key", "0"))
    identity = b"(" + pickled("storage") + storage + pickled("cpu") + pickled(numel)
    tensor = b"ctorch._utils\n_rebuild_tensor_v2\n(" + identity + pickled(None) + b"tQ"
    tensor += b"".join(pickled(value) for value in (offset, size, stride, False, None)) + b"tR"
    blob = struct.pack("<Q4f", count % 2**64, 1, 2, 3, 4)
    return legacy(b"\x80\x02}" + pickled("w") + tensor + b"s.", fields.get("keys", ["0"]), blob)


def test_honest_claims(path: Path) -> None:
    path.write_bytes(with_tensor(offset=1, size=(3, 1), stride=(1, 2**62)))
    assert load_state_dict(path).tensors["w"].tolist() == [[2], [3], [4]]


@pytest.mark.parametrize(
    "claims",
    [
        {"numel": 2**40}, {"numel": 2**40, "count": 2**40}, {"numel": 2**70}, {"numel": -1, "count": -1},
        {"numel": 5, "count": 5}, {"numel": 3}, {"count": 3},
        {"offset": 1}, {"offset": -1}, {"offset": 2**62}, {"offset": "0"},
        {"size": (5,)}, {"size": (2**62,)}, {"size": (-4,)}, {"size": (2, 3), "stride": (3, 1)}, {"size": 4},
        {"size": (4, 1)}, {"size": (2**62, 0), "stride": (1, 1)}, {"stride": (2,)}, {"stride": (-1,)},
        {"stride": (2**63,)}, {"stride": None}, {"size": (10**9,), "stride": (0,)}, {"size": (True,)},
        {"size": (1,) * 40, "stride": (1,) * 40},
        {"kind": b"ctorch\nSize\n"}, {"kind": b"cmodels\nFloatStorage\n"},
        {"key": 0}, {"key": None}, {"keys": ["1"]}, {"keys": []}, {"keys": [["0"]]}, {"keys": ["0", "0"]},
    ],
    ids=str,
)  # fmt: skip
def test_false_claims(path: Path, claims: dict[str, Any]) -> None:
    refusal(path, with_tensor(**claims))


def test_amplification(path: Path) -> None:
    """A small file must not become a large result: many views of one storage, or of each other."""
    base = torch.zeros(1000)
    torch.save({f"{i}": base[: 1000 - i % 7] for i in range(500)}, path, _use_new_zipfile_serialization=False)
    assert "times the file" in refusal(path, path.read_bytes()).message


def test_memo_index_costs_nothing(path: Path) -> None:
    """The unpickler of the standard library allocates a table of that many entries."""
    refusal(path, legacy(b"\x80\x02Nr\xff\xff\xff\xff."))


# --- damaged and foreign files


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "empty"),
        (b"<!DOCTYPE html><html>Quota exceeded</html>", "web page"),
        (b"\n  <html lang=en>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS"),
        (b"hello, world", "byte 0 of 12"),
        (b"\x89HDF\r\n\x1a\n", "byte 0 of 8"),
        (bytes(1000), "byte 0 of 1000"),
        (pickle.dumps({"a": 1}), "magic number"),
        (pickle.dumps(MAGIC, 2) + pickle.dumps(7, 2), "protocol"),
        (b"PK\x03\x04" + bytes(100), "zip archive"),
        (in_zip({"hello.txt": b""}), "not one of torch.save"),
        (in_zip({"data.pkl": pickle.dumps({}), "constants.pkl": b""}), "not one of torch.save"),
        (in_zip({"data.pkl": pickle.dumps({})}, zipfile.ZIP_DEFLATED), "compressed"),
        (in_zip({"data.pkl": b"x" * 10_000}, zipfile.ZIP_DEFLATED), "larger than the file"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_foreign_file(path: Path, data: bytes, said: str) -> None:
    error = refusal(path, data)
    assert said in error.message
    assert error.hint


def test_unreadable_file(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.pth", tmp_path):
        with pytest.raises(ConversionError, match="cannot be read") as caught:
            load_state_dict(path)
        assert caught.value.stage == "load"


@CONTAINERS
def test_truncated_anywhere(path: Path, zipped: bool) -> None:
    torch.save(network().state_dict(), path, _use_new_zipfile_serialization=zipped)
    data = path.read_bytes()
    for length in {*range(0, len(data), 37), *range(200), *range(len(data) - 200, len(data))}:
        refusal(path, data[:length])


def test_damaged_zip_storage(path: Path) -> None:
    torch.save({"w": torch.full((64,), 1.5)}, path)
    data = path.read_bytes()
    damaged = data.replace(struct.pack("<f", 1.5) * 64, struct.pack("<f", 1.25) * 64)
    assert "CRC" in refusal(path, damaged).message


@pytest.fixture(scope="module")
def whole_module(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    path = tmp_path_factory.mktemp("fuzz") / "model.pth"
    torch.save(nn.Sequential(nn.BatchNorm2d(2)), path, _use_new_zipfile_serialization=False)
    return path, path.read_bytes()


@settings(max_examples=300, deadline=None)
@given(position=st.floats(0, 1, exclude_max=True), replacement=st.binary(min_size=1, max_size=4))
def test_damage_is_an_expected_failure(
    whole_module: tuple[Path, bytes], position: float, replacement: bytes
) -> None:
    path, data = whole_module
    start = int(position * len(data))
    path.write_bytes(data[:start] + replacement + data[start + len(replacement) :])
    try:
        load_state_dict(path)
    except ConversionError as error:
        assert error.stage == "load"  # noqa: PT017  (loading may also succeed)
