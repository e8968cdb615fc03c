r"""Text that every file, terminal and JSON parser can hold, whatever bytes the names of files are made of.

Python reads a byte of a name that is no UTF-8 as a lone surrogate, which no UTF-8 has. Such a byte is shown as
`\xe9`: in text, in reports, and in JSON, where the backslash is doubled as any other.
"""

import json
import re
from typing import Any

_OF_NO_BYTE = re.compile("[\ud800-\udc7f\udd00-\udfff]")  # surrogates that stand for no byte of a name
_SURROGATES = re.compile("[\ud800-\udfff]+")


def plain(text: str) -> str:
    """Return a text that is valid Unicode."""
    if text.isascii():
        return text
    encoded = _OF_NO_BYTE.sub("\ufffd", text).encode("utf-8", "surrogateescape")
    return encoded.decode("utf-8", "backslashreplace")


def json_text(
    document: Any, indent: int | None = None, ascii_only: bool = False, allow_nan: bool = False
) -> str:
    """Return a document as JSON that is valid Unicode; ValueError for NaN and infinity unless they are allowed."""
    text = json.dumps(document, indent=indent, ensure_ascii=False, allow_nan=allow_nan)
    text = _SURROGATES.sub(lambda found: json.dumps(plain(found[0]))[1:-1], text)
    return json.dumps(json.loads(text), indent=indent) if ascii_only else text
