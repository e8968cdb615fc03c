"""What an IR says of itself, read from its .xml alone: without OpenVINO, while the file is digested.

The parser is expat; a document type, which could declare entities, is refused.
"""

from xml.parsers.expat import ExpatError, ParserCreate

from ssdconvert.ir_description import SECTION

LARGEST = 128 << 20  # bytes of an .xml


class DamagedXml(Exception):
    """Why an .xml is no IR's."""


class DescriptionParser:
    """Takes an .xml in blocks; `words` then holds the description, `sources` the digests by the keys of files."""

    def __init__(self) -> None:
        self.words: dict[str, str] = {}
        self.sources: dict[str, str] = {}
        self._path: list[str] = []
        self._bytes = 0
        self._parser = ParserCreate()
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.StartDoctypeDeclHandler = self._refuse

    def feed(self, block: memoryview) -> None:
        """Parse a block; DamagedXml where it is no IR's."""
        self._bytes += len(block)
        if self._bytes > LARGEST:
            raise DamagedXml(f"has more than {LARGEST >> 20} MB")
        self._parse(bytes(block), False)

    def close(self) -> None:
        """End the file; DamagedXml where it is not whole."""
        self._parse(b"", True)

    def _parse(self, block: bytes, last: bool) -> None:
        try:
            self._parser.Parse(block, last)
        except (ExpatError, LookupError, ValueError) as error:  # the last two: of an encoding that it names
            raise DamagedXml(f"is no whole .xml: {error}") from error

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        path = self._path
        path.append(name)
        if len(path) == 1 and name != "net":
            raise DamagedXml(f"has {name!r} as its first element, expected 'net'")
        if len(path) < 4 or path[1] != "rt_info" or path[2] != SECTION or "value" not in attributes:
            return
        if len(path) == 4:
            self.words[name] = attributes["value"]
        elif len(path) == 5 and path[3] == "source_sha256":
            self.sources[name] = attributes["value"]

    def _end(self, _: str) -> None:
        self._path.pop()

    def _refuse(self, *_: object) -> None:
        raise DamagedXml("has a document type, which no IR has")
