"""How long a fetch waits, and how often it tries again."""

import random
import time
from dataclasses import dataclass
from datetime import datetime, timezone

WORTH_ANOTHER = 1 << 20  # bytes: an attempt that brought as much does not count as failed


@dataclass(frozen=True)
class Patience:
    """Seconds, and how many attempts in a row may bring next to nothing before an address is given up."""

    attempts: int = 4
    timeout: float = 30.0  # without a byte, or on average below SLOWEST bytes a second
    connect_timeout: float = 10.0
    first_pause: float = 1.0
    longest_pause: float = 30.0
    longest_wait: float = 120.0  # that a server may ask for by Retry-After

    def pause(self, failed: int) -> float:
        """Return how long to wait after so many failed attempts in a row: doubled each time, with jitter.

        The jitter keeps many clients that were cut off together from coming back together.
        """
        longest = min(self.longest_pause, self.first_pause * 2 ** (failed - 1))
        return longest * random.uniform(0.5, 1.0)


def retry_after(header: str | None) -> float | None:
    """Return the seconds that a Retry-After header asks for, as a number or a date; None where it says nothing."""
    if header and header.strip().isdecimal():
        return float(header)
    date = http_date(header)
    return None if date is None else max(0.0, date.timestamp() - time.time())


def http_date(header: str | None) -> datetime | None:
    """Return the moment that a header names; None where it is no date."""
    from email.utils import parsedate_to_datetime

    try:
        date = parsedate_to_datetime(header or "")
    except (TypeError, ValueError, OverflowError):
        return None
    return date if date.tzinfo else date.replace(tzinfo=timezone.utc)
