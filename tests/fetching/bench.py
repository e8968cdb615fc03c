"""Fetches one file of a made-up recipe, and looks each time whether anything wrong is in the cache."""

import hashlib
import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from ssdconvert.errors import FetchError
from ssdconvert.fetching.events import Event
from ssdconvert.fetching.options import Fetched, FetchOptions
from ssdconvert.fetching.patience import Patience
from ssdconvert.recipe import Recipe
from ssdconvert.stages.fetch import fetch

CONTENT = random.Random(7).randbytes(300_000)
ANOTHER = random.Random(8).randbytes(300_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
SIZE = len(CONTENT)
QUICK = Patience(3, timeout=0.4, connect_timeout=0.4, first_pause=0.01, longest_pause=0.02, longest_wait=2.0)
# what a recipe says of its file
PINNED = {"size": SIZE, "sha256": SHA256}
DIGEST = {"sha256": SHA256}
SHA384 = {"sha384": hashlib.sha384(CONTENT).hexdigest()}
LENGTH = {"size": SIZE}
UNPINNED: dict[str, Any] = {}


class Bench:
    """A cache in a folder, and fetches into it. `right` are the SHA-256 of what may be there."""

    def __init__(self, folder: Path, document: Mapping[str, Any]) -> None:
        self.folder, self.cache = folder, folder / "cache"
        self.document = document
        self.right = {SHA256}
        self.events: list[Event] = []

    def recipe(self, *urls: str, **told: Any) -> dict[str, Any]:
        """Return the document of a recipe with one file, `model.onnx`."""
        source = {"kind": "onnx", "files": [{"name": "model.onnx", "urls": list(urls), **told}]}
        return {**self.document, "name": "tried", "source": source}

    def fetch(
        self, *urls: str, mirror: str | None = None, patience: Patience = QUICK, **told: Any
    ) -> Fetched:
        """Fetch the file; whatever comes of it, nothing wrong is in the cache then."""
        recipe = Recipe.model_validate_json(json.dumps(self.recipe(*urls, **told)))
        options = FetchOptions(self.cache, mirror, patience=patience, tell=self.events.append)
        try:
            (fetched,) = fetch(recipe, options)
        finally:
            self.check()
        assert digest(fetched.path.read_bytes()) == fetched.sha256
        assert fetched.sha256 in self.right
        assert self.events[-1].kind == "finished"
        assert not list((self.cache / ".partial").glob("*")), "something partial is left"
        return fetched

    def refused(self, *urls: str, **how: Any) -> FetchError:
        """Return the failure to fetch the file, which says all that a user needs."""
        with pytest.raises(FetchError) as caught:
            self.fetch(*urls, **how)
        error = caught.value
        assert error.exit_code == 3
        assert not (self.cache / "tried" / "model.onnx").exists()
        for told in ("model.onnx of tried could not be had", "expected: ", f"target: {self.cache}"):
            assert told in error.message
        assert "curl --fail" in error.hint
        assert self.events[-1].kind == "failed"
        return error

    def check(self) -> None:
        """Every file that somebody could take from the cache is right: by its recipe's name, and by its digest."""
        for path in files_under(self.cache / "tried"):
            if path.name != "lock.json" and path.suffix != ".rejected":
                assert digest(path.read_bytes()) in self.right, f"{path} is wrong"
        for path in files_under(self.cache / ".files"):
            assert hashlib.new(path.parents[1].name, path.read_bytes()).hexdigest() == path.name
            assert digest(path.read_bytes()) in self.right, f"{path} is wrong"

    def written(self) -> str:
        """Return all that the cache has written down but the file's own bytes: names and text."""
        parts = []
        for path in files_under(self.cache):
            parts.append(str(path.relative_to(self.cache)))
            parts.append(path.read_bytes().replace(CONTENT, b"").decode("latin-1"))
        return "\n".join(parts)


def files_under(folder: Path) -> list[Path]:
    """Return the files of a folder and those in it."""
    return [path for path in sorted(folder.rglob("*")) if path.is_file()]


def digest(content: bytes) -> str:
    """Return the SHA-256."""
    return hashlib.sha256(content).hexdigest()


def flipped(content: bytes, position: int) -> bytes:
    """Return a content with one bit wrong."""
    return content[:position] + bytes([content[position] ^ 1]) + content[position + 1 :]
