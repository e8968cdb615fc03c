"""Reads settings of devices: `KEY=VALUE`, or a file of them.

A file holds a key and a value a line, apart by a space or `=`, as the old OpenVINO samples took it; or JSON, flat
or with the devices' names around it, as benchmark_app writes it. An XML file describes kernels of a user's own
operations, and what is set is its path: by CONFIG_FILE on GPU, by MYRIAD_CUSTOM_LAYERS on MYRIAD.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from ssdconvert.devices import Machine, kind_of
from ssdconvert.errors import RecipeError

KERNELS = {"GPU": "CONFIG_FILE", "MYRIAD": "MYRIAD_CUSTOM_LAYERS"}

Settings = dict[str, str]


def read_settings(given: Sequence[str], device: str) -> Settings:
    """Return the settings of a device, later ones before earlier ones; RecipeError for what cannot be read."""
    return settings_by_device(given, [device])[device]


def settings_by_device(given: Sequence[str], devices: Sequence[str]) -> dict[str, Settings]:
    """Return the settings of each device: of a file with sections its own, none where it has none there.

    RecipeError for what cannot be read, and for a file that is for none of the devices.
    """
    settings: dict[str, Settings] = {device: {} for device in devices}
    for one in given:
        key, equals, value = one.partition("=")
        if equals and not Path(one).exists():
            told = {device: {key.strip(): value.strip()} for device in devices}
        else:
            told = _from_file(Path(one), devices)
        for device, own in told.items():
            settings[device] |= own
    return settings


def told_of(machines: Sequence[Machine]) -> dict[str, Any]:
    """Return `settings` and `extensions` as a report may tell them: of a path the file's name alone."""
    settings = {
        machine.device: {key: _name_of_path(value) for key, value in machine.settings.items()}
        for machine in machines
        if machine.settings
    }
    extensions = dict.fromkeys(path.name for machine in machines for path in machine.extensions)
    return {"settings": settings, "extensions": tuple(extensions)}


def _name_of_path(value: str) -> str:
    path = PureWindowsPath(value) if "\\" in value else PurePosixPath(value)
    return path.name if path.is_absolute() else value


def _from_file(path: Path, devices: Sequence[str]) -> dict[str, Settings]:
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise _refused(f"the configuration {path} cannot be read: {reason}") from error
    if text.lstrip().startswith("{"):
        return _from_json(text, path, devices)
    if text.lstrip("\ufeff \t\r\n").startswith("<"):
        return _of_kernels(path, devices)
    lines = _from_lines(text, path)
    return {device: lines for device in devices}


def _from_lines(text: str, path: Path) -> Settings:
    settings = {}
    for number, line in enumerate(text.splitlines(), start=1):
        line = line.partition("#")[0].strip()
        if line:
            key, _, value = line.partition("=") if "=" in line else line.partition(" ")
            if not value.strip():
                raise _refused(f"{path}:{number}: {line!r} is no key with a value")
            settings[key.strip()] = value.strip()
    return settings


def _from_json(text: str, path: Path, devices: Sequence[str]) -> dict[str, Settings]:
    try:
        document: dict[str, Any] = json.loads(text)
    except ValueError as error:
        raise _refused(f"{path} is no JSON: {error}") from error
    if not any(isinstance(value, dict) for value in document.values()):
        return {device: _texts(document) for device in devices}
    sections = {device: _section(document, device) for device in devices}
    found = {device: _texts(section) for device, section in sections.items() if section is not None}
    if not found:
        raise _refused(f"{path} has settings for {', '.join(document)}, and none for {', '.join(devices)}")
    return found


def _section(document: Mapping[str, Any], device: str) -> dict[str, Any] | None:
    """Return the section of a device, or else that of its kind: GPU of GPU.1, AUTO of AUTO:GPU,CPU."""
    names = device, kind_of(device), device.partition(":")[0]
    return next((document[name] for name in names if isinstance(document.get(name), dict)), None)


def _texts(settings: Mapping[str, Any]) -> Settings:
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in settings.items()}


def _of_kernels(path: Path, devices: Sequence[str]) -> dict[str, Settings]:
    keys = {device: KERNELS[kind_of(device)] for device in devices if kind_of(device) in KERNELS}
    if not keys:
        raise _refused(
            f"{path} is XML, which describes kernels for {' and '.join(KERNELS)}, not for {', '.join(devices)}"
        )
    return {device: {key: str(path.resolve())} for device, key in keys.items()}


def _refused(message: str) -> RecipeError:
    return RecipeError(
        message, hint="give KEY=VALUE, or a file with a key and a value on each line", stage="device"
    )
