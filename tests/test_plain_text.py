"""Names of files in text and in JSON, whatever bytes they are made of."""

import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssdconvert.plain_text import json_text, plain


def test_bytes_that_are_no_utf_8_are_shown_in_hexadecimal() -> None:
    assert plain(os.fsdecode(b"caf\xe9/\xc3\xbc")) == r"caf\xe9/ü"
    assert json_text({"path": os.fsdecode(b"caf\xe9\n")}) == '{"path": "caf\\\\xe9\\n"}'
    assert json_text("ü") == '"ü"'
    assert json_text(os.fsdecode(b"\xe9") + "ü", ascii_only=True) == '"\\\\xe9\\u00fc"'


@given(st.text(st.characters(codec=None, categories=None)))
def test_any_text_becomes_unicode(text: str) -> None:
    assert plain(text).encode("utf-8").decode() == plain(text)
    assert json.loads(json_text({text: [text]}).encode("utf-8")) == {plain(text): [plain(text)]}
    assert json.loads(json_text(text, indent=2, ascii_only=True).encode("ascii")) == plain(text)


def test_json_has_no_nan() -> None:
    with pytest.raises(ValueError, match="JSON"):
        json_text(float("nan"))
