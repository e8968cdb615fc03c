"""Imports OpenVINO with its telemetry off: no question asked, no file left, no packet sent.

Model Optimizer reports to a web service unless it is told not to. Here its telemetry package is made
impossible to import, so that it falls back to its own stub; nothing depends on the environment.
"""

import sys
from typing import Any


def import_openvino() -> Any:
    """Return the module `openvino`."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    return openvino


def import_model_optimizer() -> Any:
    """Return `openvino.tools.mo.convert_model`.

    Its check that the runtime can be imported starts a second interpreter, which would load the
    telemetry package again; the runtime has been imported here, so the check is marked as done.
    """
    import_openvino()
    from openvino.tools.mo import convert_model
    from openvino.tools.mo.utils.version import VersionChecker

    VersionChecker().runtime_checked = True
    return convert_model
