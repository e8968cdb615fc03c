"""ssdconvert: SSD object detectors to OpenVINO IR, with the evidence that the IR still is the model."""

from ssdconvert.api import verify
from ssdconvert.telemetry import silence

__all__ = ["verify"]
__version__ = "0.1.0"

silence()
