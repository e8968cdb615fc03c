"""Toolchains are made on request, count when complete, and go stale with their requirement file."""

import sys
from pathlib import Path

import pytest

from ssdconvert import toolchains
from ssdconvert.errors import FetchError, MissingDevice, RecipeError
from ssdconvert.toolchains import KINDS, Kind, environment
from ssdconvert.toolchains.environment import add, check, find, locate, remove


@pytest.fixture
def requirements(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The requirement file, empty, of a toolchain `tiny` that needs no network."""
    path = tmp_path / "tiny.txt"
    path.write_text("# nothing\n")

    class Tiny(Kind):
        @property
        def requirements(self) -> Path:
            return path

    tiny = Tiny("tiny", "does nothing", 1, ((3, 8), (3, 99)), ("json",))
    monkeypatch.setitem(toolchains.KINDS, "tiny", tiny)
    monkeypatch.setenv("SSDCONVERT_TOOLCHAINS", str(tmp_path / "toolchains"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    return path


def test_from_nothing_to_nothing(requirements: Path, tmp_path: Path) -> None:
    folder = tmp_path / "toolchains" / "tiny"
    assert locate("tiny").state == "missing"
    with pytest.raises(MissingDevice) as raised:
        find("tiny")
    assert (raised.value.exit_code, raised.value.stage) == (5, "toolchain")
    assert raised.value.hint == "install it: ssdconvert toolchain add tiny"
    (folder / "bin").mkdir(parents=True)  # as a killed `add` leaves it
    (folder / "bin" / "junk").touch()
    assert locate("tiny").state == "incomplete"

    told: list[str] = []
    assert add("tiny", progress=told.append).folder == folder
    assert told[-1] == "tiny is ready"
    assert not (folder / "bin" / "junk").exists()
    assert check("tiny") == {"python": ".".join(map(str, sys.version_info[:3])), "versions": {}}

    told.clear()
    made = (folder / "pyvenv.cfg").stat().st_mtime_ns
    add("tiny", progress=told.append)
    assert told == ["tiny is there already"]
    assert (folder / "pyvenv.cfg").stat().st_mtime_ns == made

    requirements.write_text("# something else\n")
    assert locate("tiny").state == "outdated"
    with pytest.raises(MissingDevice, match="another requirement file"):
        find("tiny")
    requirements.write_text("# nothing\n")
    assert locate("tiny").state == "ready"
    find("tiny").python.unlink()
    with pytest.raises(MissingDevice, match="is incomplete"):
        find("tiny")

    assert remove("tiny")
    assert not folder.exists()
    assert not remove("tiny")


def test_packages_that_cannot_be_had(requirements: Path) -> None:
    requirements.write_text("no-such-package==9.9\n")
    with pytest.raises(FetchError, match=r"pip cannot install the toolchain tiny: ERROR: .*no-such-package"):
        add("tiny")
    assert locate("tiny").state == "missing"


def test_an_interrupted_installation(requirements: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(kind: Kind, folder: Path, *_: object) -> None:
        folder.mkdir()
        raise KeyboardInterrupt

    monkeypatch.setattr(environment, "_install", interrupted)
    with pytest.raises(KeyboardInterrupt):
        add("tiny")
    assert locate("tiny").state == "missing"


def test_other_versions_than_pinned(requirements: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    requirements.write_text("pip==0.1  # older than what a virtual environment has\n")
    monkeypatch.setattr(environment, "_install", lambda kind, folder, *_: folder.mkdir())
    told = {"python": "3.11.1", "versions": {"pip": "23.2.1"}}
    monkeypatch.setattr(environment.Toolchain, "call", lambda *_: told)
    with pytest.raises(MissingDevice, match=r"holds pip 23\.2\.1, expected 0\.1"):
        add("tiny")
    assert locate("tiny").state == "missing"


@pytest.mark.parametrize(
    ("script", "told"),
    [("echo 3.7.1", r"is 3\.7\.1"), ("exit 1", "does not run"), ("echo hello", "does not run")],
)
def test_an_interpreter_that_does_not_fit(requirements: Path, tmp_path: Path, script: str, told: str) -> None:
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)
    with pytest.raises(MissingDevice, match=rf"needs Python 3\.8 to 3\.99: {python} {told}") as raised:
        add("tiny", str(python))
    assert "--interpreter" in raised.value.hint


def test_no_interpreter_fits(requirements: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "_version_of", lambda python: None)
    with pytest.raises(MissingDevice, match=r"none of .* fits"):
        add("tiny")


def test_an_unknown_name() -> None:
    for function in (locate, find, add, remove, check):
        with pytest.raises(RecipeError, match="there is no toolchain 'tensorflow'"):
            function("tensorflow")


def test_where_they_lie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    assert locate("caffe").folder == Path.home() / ".local" / "share" / "ssdconvert" / "toolchains" / "caffe"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SSDCONVERT_TOOLCHAINS", "here")
    assert locate("caffe").folder == tmp_path / "here" / "caffe"


@pytest.mark.parametrize("kind", KINDS.values(), ids=str)
def test_requirement_files_pin_everything(kind: Kind) -> None:
    assert kind.pins()
    assert all(version[0].isdigit() for version in kind.pins().values())


def test_a_program_beside_it(requirements: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class WithProgram(type(KINDS["tiny"])):  # type: ignore[misc]
        @property
        def requirements_beside(self) -> Path:
            return requirements

    kind = WithProgram("tiny", "runs", 1, ((3, 8), (3, 99)), ("json",), program="libs/program")
    monkeypatch.setitem(toolchains.KINDS, "tiny", kind)
    pip = environment._pip
    with monkeypatch.context() as patched:
        patched.setattr(environment, "_pip", lambda *_: None)
        with pytest.raises(MissingDevice, match="no program beside/libs/program that can be run") as raised:
            add("tiny")
    assert "toolchain remove tiny" in raised.value.hint
    assert locate("tiny").state == "missing"

    def unpacked(kind: Kind, folder: Path, what: list[str]) -> None:
        if "--target" in what:
            pip(kind, folder, what)
            program = folder / "beside" / "libs" / "program"
            program.parent.mkdir(parents=True)
            program.touch(0o644)  # as a wheel says

    monkeypatch.setattr(environment, "_pip", unpacked)
    program = add("tiny").folder / "beside" / "libs" / "program"
    assert program.stat().st_mode & 0o777 == 0o755
    program.unlink()
    with pytest.raises(MissingDevice, match="no program"):
        check("tiny")
