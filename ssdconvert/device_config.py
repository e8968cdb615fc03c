"""Reads settings of a device: `KEY=VALUE`, or a file of them.

A file holds a key and a value a line, apart by a space or `=`, as the old OpenVINO samples took it; or JSON, flat
or with the device's name around it, as benchmark_app writes it.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ssdconvert.errors import RecipeError


def read_settings(given: Sequence[str], device: str) -> dict[str, str]:
    """Return the settings of a device, later ones before earlier ones; RecipeError for what cannot be read."""
    settings: dict[str, str] = {}
    for one in given:
        key, equals, value = one.partition("=")
        if equals and not Path(one).exists():
            settings[key.strip()] = value.strip()
        else:
            settings |= _from_file(Path(one), device.partition(":")[0])
    return settings


def _from_file(path: Path, device: str) -> dict[str, str]:
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise _refused(f"the configuration {path} cannot be read: {reason}") from error
    if text.lstrip().startswith("{"):
        return _from_json(text, path, device)
    settings = {}
    for number, line in enumerate(text.splitlines(), start=1):
        line = line.partition("#")[0].strip()
        if line:
            key, _, value = line.partition("=") if "=" in line else line.partition(" ")
            if not value.strip():
                raise _refused(f"{path}:{number}: {line!r} is no key with a value")
            settings[key.strip()] = value.strip()
    return settings


def _from_json(text: str, path: Path, device: str) -> dict[str, str]:
    try:
        document: Any = json.loads(text)
    except ValueError as error:
        raise _refused(f"{path} is no JSON: {error}") from error
    if any(isinstance(value, dict) for value in document.values()):
        if not isinstance(document.get(device), dict):
            raise _refused(f"{path} has settings for {', '.join(document)}, and none for {device}")
        document = document[device]
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in document.items()}


def _refused(message: str) -> RecipeError:
    return RecipeError(
        message, hint="give KEY=VALUE, or a file with a key and a value on each line", stage="device"
    )
