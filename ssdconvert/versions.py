"""The installed versions of the tools that shape a build, without importing them."""

import functools
import importlib.metadata
import re
from collections.abc import Sequence

from ssdconvert import __version__

TOOLS = (
    "torch",
    "onnx",
    "onnxruntime",
    "onnxsim",
    "openvino",
    "openvino-dev",
    "numpy",
    "opencv-python-headless",
    "pillow",
)

EXTRAS = ("check", "convert", "int8", "cluster", "test")  # of pyproject.toml, the smaller first
OTHER_NAMES = {"cv2": "opencv-python-headless", "google": "protobuf", "PIL": "pillow"}  # of modules


def tool_versions(names: Sequence[str] = TOOLS) -> dict[str, str]:
    """Return version by distribution name, ours among them."""
    versions = {"ssdconvert": __version__}
    return versions | {name: _version(name) for name in names}


@functools.cache
def _version(name: str) -> str:
    try:
        distribution = importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
    # `distribution.version` parses the whole page that PyPI shows
    told = re.search(r"^Version: *(\S+)", distribution.read_text("METADATA") or "", re.MULTILINE)
    return told[1] if told else distribution.version


def extra_with(module: str) -> str:
    """Return the smallest extra of ssdconvert that installs a module, such as `cv2`; empty where none does."""
    top = module.partition(".")[0]
    if top == "ssdconvert":  # extras name it too: one contains another
        return ""
    wanted = _normalised(OTHER_NAMES.get(top, top))
    try:
        requirements = importlib.metadata.requires("ssdconvert") or []
    except importlib.metadata.PackageNotFoundError:  # it runs from a folder
        return ""
    for extra in EXTRAS:
        for requirement in requirements:
            name, _, condition = requirement.partition(";")
            of_extra = re.search(rf"""extra == ['"]{extra}['"]""", condition)
            if of_extra and _normalised(re.split(r"[^A-Za-z0-9._-]", name)[0]) == wanted:
                return extra
    return ""


def _normalised(name: str) -> str:
    """Return a distribution's name as PyPI compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()
