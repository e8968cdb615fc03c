"""What a user asks of quantisation."""

from dataclasses import dataclass

DEFAULT_SAMPLES = 300  # NNCF's own, of nncf.quantize
DEFAULT_DROP = 0.2  # points of mAP
PRESETS = ("mixed", "performance")  # of activations: with a zero point where they are signed, or without one


@dataclass(frozen=True)
class CalibrationOptions:
    """What a user asks for. `source` None: the recipe's; `max_drop`, in points, None: `DEFAULT_DROP`."""

    source: str | None = None
    samples: int = DEFAULT_SAMPLES
    preset: str = "mixed"
    max_drop: float | None = None

    @property
    def limit(self) -> float:
        """The largest drop of mAP, in points."""
        return DEFAULT_DROP if self.max_drop is None else self.max_drop


AS_USUAL = CalibrationOptions()
