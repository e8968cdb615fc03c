"""What a toolchain holds."""

from __future__ import annotations

import importlib
import platform
from typing import Any


def about(modules: list[str], distributions: list[str]) -> dict[str, Any]:
    """Import the modules; return the versions of Python and of the distributions, None where not installed."""
    from importlib import metadata

    for name in modules:
        importlib.import_module(name)
    versions: dict[str, str | None] = {}
    for name in distributions:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = None
    return {"python": platform.python_version(), "versions": versions}
