"""Reads the pair of files that an IR is.

OpenVINO reads a .bin that is too long without a word, and says of one that is too short neither what it
has nor what it needs. So what the .xml counts on is compared with the .bin before anything is read.
"""

from pathlib import Path
from typing import Any
from xml.parsers.expat import ExpatError, ParserCreate

from ssdconvert.errors import ConversionError
from ssdconvert.native_paths import native_path
from ssdconvert.runners.openvino_core import new_core
from ssdconvert.runners.openvino_runner import unreadable

PAIR = "an IR is a pair of .xml and .bin from one release: get both again"


def read_ir(xml: Path, core: Any = None) -> Any:
    """Return the openvino.Model of an .xml and the .bin beside it, read by `core` or by a new one.

    Raises ConversionError where one is missing, the .xml is damaged, or the .bin has not exactly the
    bytes that the .xml counts on.
    """
    weights = xml.with_suffix(".bin")
    for path in (xml, weights):
        if not path.is_file():
            raise _refused(f"{path} does not exist")
    needed, actual = bytes_needed(xml), weights.stat().st_size
    if actual != needed:
        raise _refused(f"{weights} has {actual} bytes, expected {needed} of {xml.name}")
    try:
        with native_path(xml) as path:
            return (core or new_core()).read_model(path)
    except RuntimeError as error:
        raise unreadable(xml, error) from error


def bytes_needed(xml: Path) -> int:
    """Return where the last constant of an .xml ends in its .bin; ConversionError if it is not an IR's."""
    ends, open_elements, constant = [0], list[str](), False
    parser = ParserCreate()

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal constant
        if not open_elements and name != "net":
            raise ValueError(f"its first element is {name!r}, expected 'net'")
        open_elements.append(name)
        if name == "layer":
            constant = attributes.get("type") == "Const"
        elif name == "data" and constant:
            ends.append(int(attributes["offset"]) + int(attributes["size"]))

    def refuse_doctype(*_: object) -> None:
        raise ValueError("it has a document type, which no IR has")

    parser.StartElementHandler = start
    parser.EndElementHandler = lambda _: open_elements.pop()
    parser.StartDoctypeDeclHandler = refuse_doctype
    try:
        with xml.open("rb") as file:
            parser.ParseFile(file)
    except (ExpatError, ValueError, KeyError) as error:
        raise _refused(f"{xml} is no whole .xml of an IR: {error}") from error
    return max(ends)


def _refused(message: str) -> ConversionError:
    return ConversionError(message, hint=PAIR, stage="load")
