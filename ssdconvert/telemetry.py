"""Switches off what the libraries report about their users: no question, no file, no packet.

Model Optimizer reports to a web service unless told not to; its telemetry package is made impossible
to import, so that it falls back to its own stub. ONNX Runtime does so on Linux since 1.29 (model and
weight digests among it, a device number kept in the user's cache folder), and so may the copy inside
onnxsim; both obey a variable of the environment, which processes started from here inherit.
"""

import os
import sys


def silence() -> None:
    """Take effect for every library that is imported from now on; called when ssdconvert is imported."""
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
