"""The installed versions of the tools that shape a build, without importing them."""

import importlib.metadata
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


def tool_versions(names: Sequence[str] = TOOLS) -> dict[str, str]:
    """Return version by distribution name, ours among them."""
    versions = {"ssdconvert": __version__}
    for name in names:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "not installed"
    return versions
