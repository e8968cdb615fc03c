"""The libusb that comes with the toolchain: OpenVINO for MYRIAD wants one, and systems need not have it."""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import os


def path_of_usb() -> str:
    """Return the path of the library."""
    package = importlib.util.find_spec("libusb_package")
    assert package is not None
    return os.path.join(next(iter(package.submodule_search_locations or ())), "libusb-1.0.so")


def load_usb() -> None:
    """Load the library, so that a plugin, which wants it by its name alone, finds it in this process."""
    with contextlib.suppress(OSError):  # OpenVINO tells of what it misses then
        ctypes.CDLL(path_of_usb(), mode=ctypes.RTLD_GLOBAL)
