"""Addresses of mirrors and files as people write them."""

import nturl2path
from pathlib import Path

import pytest

from ssdconvert.fetching.addresses import in_mirror, local_path


@pytest.mark.parametrize(
    ("mirror", "address"),
    [
        ("https://host/models", "https://host/models/tiny/a%20b/m.pth"),
        ("https://host/models/", "https://host/models/tiny/a%20b/m.pth"),
        ("https://host/my models?sig=1", "https://host/my%20models/tiny/a%20b/m.pth?sig=1"),
        ("file:///my models/", "file:///my%20models/tiny/a%20b/m.pth"),
        ("models/", "models/tiny/a b/m.pth"),
        ("../my models", "../my models/tiny/a b/m.pth"),
    ],
)
def test_a_file_in_a_mirror(mirror: str, address: str) -> None:
    assert in_mirror(mirror, "tiny", "a b/m.pth") == address


@pytest.mark.parametrize(
    "address",
    ["file:///my%20models/m.pth", "file:///my models/m.pth", "FILE:///my%20models/m.pth", "/my models/m.pth"],
)
def test_a_path(address: str) -> None:
    assert local_path(address) == Path("/my models/m.pth")


def test_a_path_of_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("urllib.request.url2pathname", nturl2path.url2pathname)
    assert str(local_path("file:///C:/my%20models/m.pth")) == r"C:\my models\m.pth"
