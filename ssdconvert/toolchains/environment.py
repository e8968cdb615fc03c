"""Makes, finds, checks and removes toolchains.

They lie in SSDCONVERT_TOOLCHAINS, or in the user's data folder. A virtual environment cannot be moved,
so it is made in its final place, and counts once its marker is there, which is written last: a killed
`add` leaves nothing that is used.
"""

import glob
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock

from ssdconvert.errors import FetchError, MissingDevice, RecipeError
from ssdconvert.toolchains import RUNNING, Kind, kind_of
from ssdconvert.toolchains.call import Toolchain, python_of
from ssdconvert.workspace import write_json

MARKER = "complete.json"
BESIDE = "beside"  # folder in a toolchain's
State = Literal["ready", "missing", "incomplete", "outdated"]
WHY = {
    "missing": "is not installed",
    "incomplete": "is incomplete: its installation was broken off, or its Python was removed",
    "outdated": "was made from another requirement file than that of this ssdconvert",
}


@dataclass(frozen=True)
class Place:
    """Where a toolchain is or would be, and whether it can be used."""

    kind: Kind
    folder: Path
    state: State


def toolchains_folder() -> Path:
    """Return the folder of all toolchains of this user; RecipeError where the system knows none."""
    given = os.environ.get("SSDCONVERT_TOOLCHAINS")
    if given:
        return Path(given).expanduser().absolute()
    import platformdirs

    try:
        return Path(platformdirs.user_data_dir("ssdconvert")) / "toolchains"
    except RuntimeError as error:  # a user without HOME whom the system does not know
        raise RecipeError(
            f"there is no folder for toolchains: {error}",
            hint="give one with SSDCONVERT_TOOLCHAINS, or set HOME",
            stage="toolchain",
        ) from error


def locate(name: str) -> Place:
    """Return where a toolchain is, and its state; RecipeError for an unknown name."""
    kind = kind_of(name)
    folder = toolchains_folder() / name
    return Place(kind, folder, _state(kind, folder))


def find(name: str) -> Toolchain:
    """Return a toolchain that can be used; MissingDevice where it is not there."""
    place = locate(name)
    if place.state != "ready":
        raise MissingDevice(
            f"the toolchain {name} {WHY[place.state]} ({place.folder})",
            hint=f"install it: ssdconvert toolchain add {name}",
            stage="toolchain",
        )
    return Toolchain(place.kind, place.folder)


def running(names: Iterable[str]) -> tuple[Toolchain, ...]:
    """Return the toolchains of these names, each once, to run IRs in.

    Raises RecipeError for one that is not for that, MissingDevice for one that is not there.
    """
    wanted = tuple(dict.fromkeys(names))
    for name in wanted:
        if kind_of(name).runs is None:
            raise RecipeError(
                f"the toolchain {name} does not run IRs: it {kind_of(name).title}",
                hint=f"--toolchain takes {', '.join(RUNNING)}",
                stage="toolchain",
            )
    return tuple(find(name) for name in wanted)


def add(
    name: str, interpreter: str | None = None, progress: Callable[[str], None] = lambda text: None
) -> Toolchain:
    """Make a toolchain from its requirement file, over the network; one that is ready stays.

    A given `interpreter` makes it anew. Raises MissingDevice without a fitting Python, FetchError
    where packages cannot be had.
    """
    kind = kind_of(name)
    folder = toolchains_folder() / name
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.parent / f".{name}.lock"):
        if interpreter is None and _state(kind, folder) == "ready":
            progress(f"{name} is there already")
            return Toolchain(kind, folder)
        python = _interpreter(kind, interpreter)
        _delete(folder)
        try:
            _install(kind, folder, python, progress)
            toolchain = Toolchain(kind, folder)
            told = _checked(toolchain)
        except BaseException:
            _delete(folder)
            raise
        write_json(folder / MARKER, {"requirements": kind.digest(), "python": told["python"]})
    progress(f"{name} is ready")
    return toolchain


def remove(name: str) -> bool:
    """Delete a toolchain; return whether there was one."""
    folder = toolchains_folder() / kind_of(name).name
    if not folder.exists():
        return False
    with FileLock(folder.parent / f".{name}.lock"):
        _delete(folder)
    return True


def check(name: str) -> dict[str, Any]:
    """Return the versions of Python and packages that a toolchain runs with.

    Raises MissingDevice where it is not there or holds other versions, ConversionError where it does not run.
    """
    return _checked(find(name))


def _checked(toolchain: Toolchain) -> dict[str, Any]:
    pins = toolchain.kind.pins()
    told = toolchain.call("about", {"modules": toolchain.kind.modules, "distributions": list(pins)})
    wrong = [f"{name} {told['versions'][name]}, expected {pin}" for name, pin in pins.items()
             if told["versions"][name] != pin]  # fmt: skip
    program = toolchain.kind.program
    if program and not os.access(toolchain.folder / BESIDE / program, os.X_OK):
        wrong.append(f"no program {BESIDE}/{program} that can be run")
    if wrong:
        raise MissingDevice(
            f"the toolchain {toolchain.kind.name} holds {'; '.join(wrong)}",
            hint=f"ssdconvert toolchain remove {toolchain.kind.name}, then add it again",
            stage="toolchain",
        )
    return told


def _state(kind: Kind, folder: Path) -> State:
    if not folder.exists():
        return "missing"
    try:
        marker = json.loads((folder / MARKER).read_text("utf-8"))
        made_from = marker["requirements"]
    except (OSError, ValueError, KeyError, TypeError):
        return "incomplete"
    if not python_of(folder).exists():
        return "incomplete"
    return "ready" if made_from == kind.digest() else "outdated"


def _delete(folder: Path) -> None:
    """Remove a toolchain, first what makes it count."""
    (folder / MARKER).unlink(missing_ok=True)
    if folder.exists():
        shutil.rmtree(folder)


def _install(kind: Kind, folder: Path, python: str, progress: Callable[[str], None]) -> None:
    """Make the virtual environment and install the pinned packages, wheels alone and nothing besides."""
    progress(f"making a virtual environment of {python} in {folder}")
    made = subprocess.run(
        [python, "-I", "-m", "venv", str(folder)], capture_output=True, text=True, check=False
    )
    if made.returncode:
        raise MissingDevice(
            f"{python} cannot make a virtual environment: {_last_line(made.stdout + made.stderr)}",
            hint="install its venv module (Debian and Ubuntu: apt install python3-venv), or name another "
            "Python with --interpreter",
            stage="toolchain",
        )
    progress(f"installing {len(kind.pins())} packages, about {kind.megabytes} MB on disk")
    _pip(kind, folder, ["-r", str(kind.requirements)])
    if kind.requirements_beside:
        place = ["--target", str(folder / BESIDE), "--implementation", "cp", "--python-version", "3.8"]
        _pip(kind, folder, [*place, "-r", str(kind.requirements_beside)])
    program = folder / BESIDE / kind.program if kind.program else None
    if program and program.exists():  # `_checked` tells of one that is not there
        program.chmod(0o755)  # a wheel does not say so


def _pip(kind: Kind, folder: Path, what: Sequence[str]) -> None:
    """Install by the toolchain's own pip; FetchError where that fails."""
    options = ["--no-deps", "--only-binary=:all:", "--no-input", "--disable-pip-version-check", "--quiet"]
    command = [str(python_of(folder)), "-I", "-m", "pip", "install", *options, *what]
    installed = subprocess.run(command, capture_output=True, text=True, check=False)
    if installed.returncode:
        raise FetchError(
            f"pip cannot install the toolchain {kind.name}: {_last_line(installed.stderr)}",
            hint="check the network and pip's configuration (pip config list), and run it again",
            stage="toolchain",
        )


def _last_line(text: str) -> str:
    """Return the last error that a program told of, or else its last line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return next(
        (line for line in reversed(lines) if line.startswith("ERROR")), lines[-1] if lines else "no word"
    )


def _interpreter(kind: Kind, given: str | None) -> str:
    """Return a Python that the toolchain's packages are built for: the given one, ours, or one that is found."""
    first, last = kind.pythons
    names = [f"python3.{minor}" for minor in range(last[1], first[1] - 1, -1)]
    found = {}
    for candidate in [given] if given else [sys.executable, *names, *_managed()]:
        version = _version_of(candidate)
        if version and first <= version[:2] <= last:
            return candidate
        found[candidate] = f"is {'.'.join(map(str, version))}" if version else "does not run"
    told = f"{given} {found[given]}" if given else f"none of {', '.join(found)} fits"
    raise MissingDevice(
        f"the toolchain {kind.name} needs Python {kind.python_range}: {told}",
        hint=f"install Python 3.{last[1]} and its venv module (Debian and Ubuntu: apt install python3.{last[1]}-venv; "
        f"or uv python install 3.{last[1]}; or pyenv install 3.{last[1]}), or name one with --interpreter",
        stage="toolchain",
    )


def _managed() -> Iterator[str]:
    """Yield the interpreters that pyenv and uv have installed: they put one of them on the PATH."""
    pyenv = os.environ.get("PYENV_ROOT", "~/.pyenv")
    for pattern in (f"{pyenv}/versions/*/bin/python", "~/.local/share/uv/python/*/bin/python3"):
        yield from sorted(glob.glob(os.path.expanduser(pattern)))


def _version_of(python: str) -> tuple[int, ...] | None:
    """Return an interpreter's version; None where it does not run."""
    code = "import sys; print('%d.%d.%d' % sys.version_info[:3])"
    try:
        said = subprocess.run(
            [python, "-I", "-c", code], capture_output=True, text=True, timeout=60, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.fullmatch(r"(\d+)\.(\d+)\.(\d+)\n", said.stdout)
    return tuple(map(int, match.groups())) if match else None
