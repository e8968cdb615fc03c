import gzip
import io
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from ssdconvert import zoo_archive
from ssdconvert.errors import ConversionError
from ssdconvert.stand_in.zoo_archive import write_zoo_archive
from ssdconvert.zoo_archive import read_zoo_archive

IMAGE = np.arange(12, dtype=np.float32).reshape(1, 3, 2, 2)
BOXES = np.array([[[0.1, 0.2, 0.3, 0.4], [0.5, 0.6, 0.7, 0.8]]], np.float32)
LABELS = np.array([[3, 1]], np.int64)
SET = "ssd/test_data_set_0"


def model() -> bytes:
    info, kinds = onnx.helper.make_tensor_value_info, onnx.TensorProto
    weight = onnx.numpy_helper.from_array(np.ones(1, np.float32), "weight")
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Identity", ["image"], ["bboxes"])],
        "g",
        [info("weight", kinds.FLOAT, [1]), info("image", kinds.FLOAT, [1, 3, 2, 2])],
        [info("bboxes", kinds.FLOAT, [1, "n", 4]), info("labels", kinds.INT64, [1, "n"])],
        [weight],
    )
    return onnx.helper.make_model(graph).SerializeToString()


def tensor(array: np.ndarray, name: str = "") -> bytes:
    return onnx.numpy_helper.from_array(array, name).SerializeToString()


def whole() -> dict[str, bytes]:
    return {
        "ssd/model.onnx": model(),
        f"{SET}/input_0.pb": tensor(IMAGE),
        f"{SET}/output_0.pb": tensor(BOXES),
        f"{SET}/output_1.pb": tensor(LABELS),
    }


def packed(path: Path, members: dict[str, bytes], special: tuple[tarfile.TarInfo, ...] = ()) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
        for entry in special:
            archive.addfile(entry)
    return path


def refused(path: Path) -> str:
    with pytest.raises(ConversionError) as caught:
        read_zoo_archive(path)
    assert (caught.value.exit_code, caught.value.stage) == (4, "load")
    assert caught.value.message.startswith(path.name)
    return caught.value.message


def test_what_was_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "ssd.tar.gz"
    write_zoo_archive(path, "ssd", model(), {"image": IMAGE}, {"bboxes": BOXES, "labels": LABELS})
    archive = read_zoo_archive(path)
    assert archive.model == model()
    (recording,) = archive.recordings
    assert recording.name == "test_data_set_0"
    assert list(recording.inputs) == ["image"]
    np.testing.assert_array_equal(recording.inputs["image"], IMAGE)
    np.testing.assert_array_equal(recording.outputs["bboxes"], BOXES)
    np.testing.assert_array_equal(recording.outputs["labels"], LABELS)
    assert recording.outputs["labels"].dtype == np.int64


def test_the_stand_in_is_an_archive_as_tar_makes_it(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a.tar.gz", "b.tar.gz")]
    for path in paths:
        write_zoo_archive(path, "ssd", model(), {"image": IMAGE}, {"bboxes": BOXES, "labels": LABELS})
    assert paths[0].read_bytes() == paths[1].read_bytes()
    with tarfile.open(paths[0]) as archive:
        members = archive.getmembers()
    assert [member.name for member in members] == [
        "ssd", "ssd/model.onnx", SET, f"{SET}/input_0.pb", f"{SET}/output_0.pb", f"{SET}/output_1.pb",
    ]  # fmt: skip
    assert {(member.mtime, member.uid, member.uname) for member in members} == {(0, 0, "")}


def test_tensors_without_names_are_told_by_their_numbers(tmp_path: Path) -> None:
    (recording,) = read_zoo_archive(packed(tmp_path / "ssd.tar.gz", whole())).recordings
    np.testing.assert_array_equal(recording.inputs["image"], IMAGE)
    np.testing.assert_array_equal(recording.outputs["labels"], LABELS)


def test_tensors_with_names_are_told_by_them(tmp_path: Path) -> None:
    members = whole()
    members[f"{SET}/output_0.pb"] = tensor(LABELS, "labels")
    members[f"{SET}/output_1.pb"] = tensor(BOXES, "bboxes")
    (recording,) = read_zoo_archive(packed(tmp_path / "ssd.tar.gz", members)).recordings
    np.testing.assert_array_equal(recording.outputs["labels"], LABELS)


def test_sets_come_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    members = whole()
    for number in (10, 2):
        again = {name.replace("_set_0", f"_set_{number}"): data for name, data in whole().items()}
        del again["ssd/model.onnx"]
        members |= again
    archive = read_zoo_archive(packed(tmp_path / "ssd.tar.gz", members))
    assert [recording.name[-2:] for recording in archive.recordings] == ["_0", "_2", "10"]


def test_other_files_are_passed_over(tmp_path: Path) -> None:
    members = whole() | {"ssd/._model.onnx": b"resource fork", "ssd/README.md": b"text"}
    assert len(read_zoo_archive(packed(tmp_path / "ssd.tar.gz", members)).recordings) == 1


@pytest.mark.parametrize(
    "name", ["../model.onnx", "/tmp/model.onnx", "ssd/../../README", "ssd\\..\\x", "c:/model.onnx"]
)
def test_a_path_that_leaves_its_folder_is_refused(tmp_path: Path, name: str) -> None:
    message = refused(packed(tmp_path / "ssd.tar.gz", {name: b"x", **whole()}))
    assert "leaves its folder" in message
    assert repr(name) in message


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE]
)
def test_links_and_devices_are_refused(tmp_path: Path, kind: bytes) -> None:
    entry = tarfile.TarInfo(f"{SET}/input_1.pb")
    entry.type, entry.linkname = kind, "/etc/passwd"
    assert "neither file nor folder" in refused(packed(tmp_path / "ssd.tar.gz", whole(), (entry,)))


def changed(**changes: bytes | None) -> dict[str, bytes]:
    """The archive with members by their file's name replaced, added or, with None, left out."""
    members = whole()
    for name, content in changes.items():
        path = "ssd/model.onnx" if name == "model" else f"{SET}/{name}.pb"
        members.pop(path, None)
        if content is not None:
            members[path] = content
    return members


def external() -> bytes:
    elsewhere = onnx.numpy_helper.from_array(IMAGE, "image")
    onnx.external_data_helper.set_external_data(elsewhere, "/etc/passwd")
    elsewhere.ClearField("raw_data")
    return elsewhere.SerializeToString()


@pytest.mark.parametrize(
    ("members", "problem"),
    [
        (changed(model=None), "holds 0 files *.onnx"),
        (whole() | {"ssd/second.onnx": b""}, "holds 2 files *.onnx"),
        (changed(model=model()[:-7]), "model.onnx is no ONNX file"),
        ({"ssd/model.onnx": model()}, "holds no test_data_set_*/*.pb"),
        (changed(input_0=None), "has in ssd/test_data_set_0 the inputs []"),
        (changed(output_1=None), "the outputs [0], expected output_0.pb to output_1.pb"),
        (changed(output_2=tensor(BOXES)), "the outputs [0, 1, 2]"),
        (changed(input_0=tensor(IMAGE)[:-5]), "input_0.pb no whole tensor"),
        (changed(input_0=b""), "input_0.pb"),
        (changed(input_0=external()), "lie in another file"),
        (changed(input_0=tensor(IMAGE[:, :2])), "float32 [1, 2, 2, 2], the model's 'image' is float32"),
        (changed(output_1=tensor(LABELS.astype(np.int32))), "int32 [1, 2], the model's 'labels' is int64"),
        (changed(output_1=tensor(BOXES, "bboxes")), "the output 'bboxes' twice"),
    ],
)  # fmt: skip
def test_what_is_incomplete_or_damaged_is_refused(
    tmp_path: Path, members: dict[str, bytes], problem: str
) -> None:
    assert problem in refused(packed(tmp_path / "ssd.tar.gz", members))


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[: len(data) // 2],
        lambda data: data[:-1],
        lambda data: data[:-8] + bytes(8),  # gzip's checksum
        lambda data: b"no archive at all",
        lambda data: gzip.compress(b"no archive at all"),
        lambda data: gzip.compress(gzip.decompress(data)[:1500]),
    ],
    ids=["half", "last byte", "checksum", "no gzip", "no tar", "half a tar"],
)
def test_a_broken_archive_is_refused(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    path = packed(tmp_path / "ssd.tar.gz", whole())
    path.write_bytes(damage(path.read_bytes()))
    refused(path)


def test_a_missing_archive_is_refused(tmp_path: Path) -> None:
    assert "cannot be read" in refused(tmp_path / "ssd.tar.gz")


def test_bounds_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = packed(tmp_path / "ssd.tar.gz", whole() | {"ssd/README": bytes(1 << 20)})
    read_zoo_archive(path)
    monkeypatch.setattr(zoo_archive, "LARGEST_ARCHIVE", 1 << 19)
    assert "too large" in refused(path)
    many: dict[str, Any] = {f"ssd/{index}": bytes(1 << 16) for index in range(12)}
    assert "unpacks to more than" in refused(packed(tmp_path / "many.tar.gz", many | whole()))
    monkeypatch.setattr(zoo_archive, "MOST_MEMBERS", 10)
    monkeypatch.setattr(zoo_archive, "LARGEST_ARCHIVE", 1 << 22)
    assert "more than 10 members" in refused(packed(tmp_path / "many.tar.gz", many | whole()))
