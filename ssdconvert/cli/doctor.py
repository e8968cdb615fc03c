"""`doctor`: what works on this machine."""

import platform
import sys
from pathlib import Path
from typing import Any

import click

from ssdconvert.cli.options import Settings, cache_option, output_options


@click.command("doctor", short_help="Versions, devices, toolchains, cache.")
@cache_option
@output_options
def doctor_command(cache: Path, settings: Settings) -> None:
    """Show versions, OpenVINO's devices with their full names, toolchains, and the cache."""
    from ssdconvert.fetching.cache_contents import CacheContents
    from ssdconvert.toolchains import KINDS
    from ssdconvert.toolchains.environment import locate
    from ssdconvert.versions import tool_versions

    toolchains = {name: locate(name).state for name in KINDS}
    devices = _devices()
    contents = CacheContents(cache)
    files = len(contents.files())
    document: dict[str, Any] = {
        "python": platform.python_version(),
        "executable": sys.executable,
        "platform": platform.platform(),
        "versions": tool_versions(),
        "devices": devices,
        "toolchains": toolchains,
        "cache": {
            "path": str(cache),
            "files": files,
            "bytes": contents.bytes_on_disk(),
        },
    }
    lines = [f"Python {document['python']} on {document['platform']}", "", "versions"]
    lines += [f"  {name:24} {version}" for name, version in document["versions"].items()]
    lines += ["", "devices"]
    lines += [f"  {d['name']:8} {d['full_name']}  ({', '.join(d['capabilities'])})" for d in devices]
    lines += ["", "toolchains"] + [f"  {name:8} {state}" for name, state in toolchains.items()]
    lines += ["", "cache", f"  {cache}: {files} files, {document['cache']['bytes'] / 1e6:.1f} MB"]
    settings.result("\n".join(lines), document)


def _devices() -> list[dict[str, Any]]:
    """Return OpenVINO's devices.

    Raises MissingDevice where OpenVINO itself does not load.
    """
    from ssdconvert.errors import MissingDevice

    try:
        import openvino

        core = openvino.Core()
    except ImportError as error:
        raise MissingDevice(
            f"OpenVINO cannot be imported: {error}", hint="install ssdconvert with its dependencies again"
        ) from error
    return [
        {
            "name": name,
            "full_name": core.get_property(name, "FULL_DEVICE_NAME"),
            "capabilities": list(core.get_property(name, "OPTIMIZATION_CAPABILITIES")),
        }
        for name in core.available_devices
    ]
