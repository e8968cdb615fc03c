"""How fast a model is, beside its original and in other engines: `ssdconvert.speed.compare`."""

from ssdconvert.speed.comparison import compare
from ssdconvert.speed.engines import Contender
from ssdconvert.speed.result import Comparison, Latency, Ratio, Row

__all__ = ["Comparison", "Contender", "Latency", "Ratio", "Row", "compare"]
