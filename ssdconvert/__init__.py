"""ssdconvert: SSD object detectors to OpenVINO IR, with the evidence that the IR still is the model."""

__version__ = "0.1.0"
