"""Calls the command line in this process, and a built ssd-demo."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ssdconvert.cli import main


@dataclass
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The JSON document that is all of stdout."""
        return json.loads(self.out)


@pytest.fixture
def run(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Ended]:
    """Run `ssdconvert ARGUMENTS` in a folder of the test's own."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str | Path) -> Ended:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        told = capsys.readouterr()
        return Ended(int(ended.value.code or 0), told.out, told.err)

    return call


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a build of ssd-demo in build/ssd-demo; copy it before changing it."""
    from ssdconvert.build_result import BuildOptions
    from ssdconvert.catalog import Catalog
    from ssdconvert.fetching.options import FetchOptions
    from ssdconvert.pipeline import build

    folder = tmp_path_factory.mktemp("built")
    options = BuildOptions(folder / "build" / "ssd-demo", FetchOptions(folder / "cache"))
    assert build(Catalog().find("ssd-demo"), options).verdict == "pass"
    return folder


@pytest.fixture
def demo(built: Path, tmp_path: Path) -> Path:
    """The built demo, copied into the test's folder."""
    shutil.copytree(built / "build", tmp_path / "build")
    return tmp_path / "build" / "ssd-demo"
