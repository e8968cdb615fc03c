"""Damaged pairs of .xml and .bin."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import openvino
import pytest
from openvino.runtime import opset8 as ops

from ssdconvert.errors import ConversionError
from ssdconvert.ir_file import bytes_needed, read_ir


def small_model() -> openvino.Model:
    """A matrix and a vector of constants."""
    random = np.random.default_rng(1)
    image = ops.parameter([1, 8], np.float32)
    image.set_friendly_name("image")
    product = ops.matmul(image, random.random((8, 12), np.float32), False, False)
    return openvino.Model([ops.sigmoid(ops.add(product, random.random((1, 12), np.float32)))], [image])


@pytest.fixture
def pair(tmp_path: Path) -> Path:
    """The .xml of a small IR."""
    openvino.save_model(small_model(), tmp_path / "tiny.xml", compress_to_fp16=False)
    return tmp_path / "tiny.xml"


def test_a_whole_pair_is_read(pair: Path) -> None:
    assert bytes_needed(pair) == pair.with_suffix(".bin").stat().st_size > 400
    assert read_ir(pair).get_parameters()[0].get_friendly_name() == "image"


def cut(path: Path, size: Callable[[int], int]) -> None:
    data = path.read_bytes()
    path.write_bytes((data + bytes(len(data)))[: size(len(data))])


@pytest.mark.parametrize("size", [lambda n: n - 1, lambda n: n // 2, lambda n: 0, lambda n: n + 1])
def test_weights_of_another_length_are_refused_with_both_sizes(
    pair: Path, size: Callable[[int], int]
) -> None:
    needed = bytes_needed(pair)
    cut(pair.with_suffix(".bin"), size)
    with pytest.raises(ConversionError, match=f"{size(needed)} bytes, expected {needed}") as error:
        read_ir(pair)
    assert error.value.stage == "load"


@pytest.mark.parametrize("suffix", [".xml", ".bin"])
def test_a_missing_half_is_named(pair: Path, suffix: str) -> None:
    pair.with_suffix(suffix).unlink()
    with pytest.raises(ConversionError, match=rf"tiny\{suffix} does not exist"):
        read_ir(pair)


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda data: data[: len(data) // 2], "line"),
        (lambda data: b"", "no element found"),
        (lambda data: b"\x00\x01 no XML", "not well-formed"),
        (lambda data: b"<html><body/></html>", "'html', expected 'net'"),
        (lambda data: b"<!DOCTYPE net [<!ENTITY a 'b'>]>" + data.split(b"?>", 1)[1], "document type"),
        (lambda data: data.replace(b'offset="', b'offset="x'), "invalid literal"),
    ],
)
def test_a_damaged_xml_is_refused_before_openvino_sees_it(
    pair: Path, damage: Callable[[bytes], bytes], told: str, capfd: pytest.CaptureFixture[str]
) -> None:
    pair.write_bytes(damage(pair.read_bytes()))
    with pytest.raises(ConversionError, match=told):
        read_ir(pair)
    assert capfd.readouterr() == ("", "")


def test_an_operation_that_openvino_does_not_know_is_told(pair: Path) -> None:
    pair.write_bytes(pair.read_bytes().replace(b'type="Sigmoid"', b'type="Sigmund"'))
    with pytest.raises(ConversionError, match="cannot be read by OpenVINO"):
        read_ir(pair)


def test_a_published_ir_with_short_weights_is_refused(mirror: Path, tmp_path: Path) -> None:
    name = "face-detection-retail-0004"
    for suffix in (".xml", ".bin"):
        shutil.copyfile(mirror / name / "FP16" / (name + suffix), tmp_path / (name + suffix))
    cut(tmp_path / f"{name}.bin", lambda size: size - 1000)
    with pytest.raises(ConversionError, match="1175544 bytes, expected 1176544"):
        read_ir(tmp_path / f"{name}.xml")
