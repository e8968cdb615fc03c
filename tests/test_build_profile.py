"""What each stage took: rows that add up to the whole."""

import time

import numpy as np
import pytest

from ssdconvert import build_profile
from ssdconvert.build_profile import BuildProfile


@pytest.fixture(autouse=True)
def first_of_its_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build_profile, "_ENDED", [])


def test_rows_add_up_and_each_has_its_own() -> None:
    profile = BuildProfile()
    profile.mark("start")
    time.sleep(0.06)
    profile.mark("asleep")
    until = time.process_time() + 0.1
    while time.process_time() < until:
        pass
    profile.mark("busy")
    kept = np.ones(64 << 20, np.uint8)
    profile.mark("large")
    start, asleep, busy, large = profile.rows()
    assert asleep["seconds"] >= 0.06
    assert asleep["cpu_seconds"] < 0.05
    assert busy["cpu_seconds"] >= 0.09
    assert start["peak_growth"] + large["peak_growth"] >= kept.nbytes
    assert sum(row["share"] for row in profile.rows()) == pytest.approx(1, abs=0.01)
    assert start["seconds"] > 0


def test_the_second_build_of_a_process_begins_where_the_first_ended() -> None:
    first = BuildProfile()
    first.mark("end")
    first.rows()
    second = BuildProfile()
    time.sleep(0.02)
    second.mark("start")
    (row,) = second.rows()
    assert 0.02 <= row["seconds"] < 1
