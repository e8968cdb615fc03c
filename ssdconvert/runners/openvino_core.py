"""openvino.Core that knows the operations of a user's libraries, too, and what OpenVINO says in words."""

import functools
import importlib.util
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from ssdconvert.errors import ConversionError, RecipeError

_LIBRARY = re.compile(r"Cannot load library '(?:[^']*[/\\\\])?([^'/\\\\]+)'")
# whatever reads an IR needs them: its contract, its trace, the original as much as the copy
_in_use: ContextVar[tuple[Path, ...]] = ContextVar("extensions", default=())


@contextmanager
def extensions_in_use(paths: Sequence[Path]) -> Iterator[None]:
    """Let each core that is made by `new_core` inside know the operations of libraries."""
    before = _in_use.set(tuple(paths))
    try:
        yield
    finally:
        _in_use.reset(before)


def new_core(extensions: Sequence[Path] = ()) -> Any:
    """Return a core with the extensions in use, and with others; see `core_with`."""
    return core_with(tuple(dict.fromkeys((*_in_use.get(), *extensions))))


def core_with(extensions: Sequence[Path]) -> Any:
    """Return an openvino.Core that knows the operations of extension libraries; RecipeError where one is missing."""
    import openvino

    core = openvino.Core()
    for path in extensions:
        if not path.is_file():
            raise RecipeError(
                f"the extension {path} does not exist", hint="give the path of a .so or .dll", stage="device"
            )
        try:
            core.add_extension(str(path))
        except RuntimeError as error:
            raise ConversionError(
                f"the extension {path} cannot be loaded: {first_line(error)}",
                hint="build it for this version of OpenVINO; see `ssdconvert doctor`",
                stage="device",
            ) from error
    return core


@functools.cache
def operation_set() -> Any:
    """Return OpenVINO's module of operations, set 13: 2025 moved it."""
    import openvino

    old = importlib.util.find_spec("openvino.runtime") is not None
    return importlib.import_module(f"{openvino.__name__}{'.runtime' if old else ''}.opset13")


def openvino_name() -> str:
    """Return name and version of the OpenVINO that runs here."""
    import openvino

    return f"openvino {openvino.get_version().split('-')[0]}"


def first_line(error: Exception) -> str:
    """Return what an OpenVINO exception says, without file and line numbers of C++ and folders of this machine."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if not line.startswith(("Exception from", "Check '"))]
    return _LIBRARY.sub(r"cannot load \1", (telling or lines or [type(error).__name__])[0])
