"""Pauses are bounded and differ; what a server asks for is understood or left."""

from datetime import datetime, timedelta, timezone
from email.utils import format_datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ssdconvert.fetching.patience import Patience, http_date, retry_after

MOMENT = datetime(2015, 10, 21, 7, 28, tzinfo=timezone.utc)


@given(st.integers(1, 400))
def test_pauses_double_and_are_bounded(failed: int) -> None:
    patience = Patience(first_pause=1.0, longest_pause=30.0)
    longest = min(30.0, 2.0 ** (failed - 1))
    assert longest / 2 <= patience.pause(failed) <= longest


def test_pauses_differ() -> None:
    """Clients that were cut off together do not come back together."""
    assert len({Patience().pause(3) for _ in range(50)}) > 40


@pytest.mark.parametrize(("header", "seconds"), [("0", 0), ("120", 120), (" 7 ", 7), ("007", 7)])
def test_seconds(header: str, seconds: float) -> None:
    assert retry_after(header) == seconds


@pytest.mark.parametrize("header", [None, "", " ", "soon", "-5", "1.5", "1e3", "0x10", "\xb2"])
def test_what_is_no_time(header: str | None) -> None:
    assert retry_after(header) is None


@pytest.mark.parametrize("digits", [400, 5000])
def test_a_number_beyond_all_numbers(digits: int) -> None:
    """Longer than a float's range, and than what Python reads as an int."""
    assert retry_after("9" * digits) == float("inf")


def test_a_date_to_come_and_one_that_is_over() -> None:
    now = datetime.now(timezone.utc)
    wait = retry_after(format_datetime(now + timedelta(seconds=90), usegmt=True))
    assert wait is not None
    assert 85 < wait <= 90
    assert retry_after(format_datetime(now - timedelta(days=900), usegmt=True)) == 0


@pytest.mark.parametrize(
    "header",
    [
        "Wed, 21 Oct 2015 07:28:00 GMT",
        "Wednesday, 21-Oct-15 07:28:00 GMT",
        "Wed Oct 21 07:28:00 2015",
        "Wed, 21 Oct 2015 07:28:00 -0000",
        "Wed, 21 Oct 2015 09:28:00 +0200",
    ],
)
def test_the_dates_of_http(header: str) -> None:
    """RFC 9110 section 5.6.7: three forms, all UTC."""
    assert http_date(header) == MOMENT


@given(st.text() | st.text("0123456789: ,-+GMTOct"))
@example("Mon, 21 Oct 99999999999999999999 07:28:00 GMT")
@example("Mon, 21 Oct 2015 07:28:00 +99999999999999")
@example("Mon, 99 Oct 2015 77:28:00 GMT")
@example(",")
@example("0 Jan 1 0:0:0 +2359")
def test_any_text_is_a_time_or_none(header: str) -> None:
    wait = retry_after(header)
    assert wait is None or wait >= 0
