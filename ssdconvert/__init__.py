"""ssdconvert: SSD object detectors to OpenVINO IR, with the evidence that the IR still is the model."""

from ssdconvert.telemetry import silence

__version__ = "0.1.0"

silence()
