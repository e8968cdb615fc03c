"""`compare`: turns, ratios, what is left out and refused; engines here say themselves how long they took."""

import gc
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest

from ssdconvert.errors import ConversionError, RecipeError, WrongModel
from ssdconvert.runners import Arrays
from ssdconvert.speed import Contender, compare, comparison
from ssdconvert.speed.engines import Block, CalledEngine, Told, fastest, splits
from ssdconvert.speed.result import Hint


@dataclass
class Stopped:
    """An engine whose inferences take what `times` say, one for each turn; `log` gets who had a turn."""

    name: str
    times: list[float]
    log: list[str]
    told: Told = field(default_factory=lambda: Told("engine 1", "CPU", "f32", "detections", 2, 1))
    output: float = 0.0
    turns: int = 0
    at_once: int = 1

    def once(self) -> Arrays:
        return {"scores": np.array([self.output], np.float32)}

    def block(self, seconds: float) -> Block:
        assert not gc.isenabled()
        self.log.append(self.name)
        taken = self.times[self.turns % len(self.times)]
        self.turns += 1
        return Block((taken * 1.5, taken, taken / 2), 3 * taken / 1000 / self.at_once)


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparison, "PAUSE", 0)


@pytest.fixture
def contender() -> Callable[..., Contender]:
    """Make a contender of times; `asked` gets the number of threads that it was opened with."""

    def make(
        name: str,
        times: list[float],
        log: list[str],
        engine: str = "OpenVINO",
        asked: list[int | None] | None = None,
        output: float = 0.0,
    ) -> Contender:
        def opened(hint: Hint, threads: int | None) -> Stopped:
            if asked is not None:
                asked.append(threads)
            return Stopped(name, times, log, output=output)

        return Contender(name, engine, "FP32", "CPU", opened)

    return make


def test_each_round_begins_with_another(contender: Callable[..., Contender]) -> None:
    log: list[str] = []
    compare([contender(name, [1.0], log) for name in "abc"], rounds=6)
    assert "".join(log) == "abcbcacababcbcacab"
    assert gc.isenabled()


def test_ratios_are_medians_of_those_of_each_round(contender: Callable[..., Contender]) -> None:
    drift = [
        10.0,
        20.0,
        40.0,
        80.0,
        160.0,
        320.0,
        640.0,
    ]  # a machine that slows down, by more than they differ
    log: list[str] = []
    slower = [value * ratio for value, ratio in zip(drift, [2, 2, 3, 2, 4, 2, 1.5], strict=True)]
    result = compare(
        [contender("first", drift, log), contender("other", slower, log, engine="ONNX Runtime")], rounds=7
    )
    assert result.references == ("first", "other")
    first, other = result.rows
    ratio = other.ratio_to("first")
    assert ratio is not None
    assert (ratio.value, ratio.low, ratio.high) == pytest.approx((1 / 2, 1 / 4, 1 / 1.5))
    assert ratio.differs
    inverse = first.ratio_to("other")
    assert inverse is not None
    assert inverse.value == pytest.approx(2)
    assert first.latency.median == 80.0
    assert first.inferences == 21


def test_with_the_hint_throughput_ratios_are_of_pictures_a_second(
    contender: Callable[..., Contender],
) -> None:
    log: list[str] = []
    several = Contender(
        "b", "OpenVINO", "FP32", "CPU", lambda hint, threads: Stopped("b", [20.0], log, at_once=4)
    )
    result = compare([contender("a", [10.0], log), several], "throughput", rounds=6)
    assert [row.pictures_per_second for row in result.rows] == pytest.approx([100, 200])
    assert result.rows[1].ratios[0].value == pytest.approx(2)  # and half as fast by latency


def test_all_get_the_threads_of_the_first(contender: Callable[..., Contender]) -> None:
    asked: list[int | None] = []
    compare([contender(name, [1.0], [], asked=asked) for name in "ab"], rounds=1)
    compare([contender(name, [1.0], [], asked=asked) for name in "ab"], rounds=1, threads=5)
    assert asked == [None, 2, 5, 5]


def test_there_are_fewer_rounds_where_an_inference_is_longer_than_a_turn(
    contender: Callable[..., Contender], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparison, "_warm_up", lambda *_: 1.25)
    done: list[tuple[int, int]] = []
    result = compare(
        [contender("a", [1.0], [])], seconds=10, rounds=20, on_round=lambda *told: done.append(told)
    )
    assert result.rounds == 8
    assert done[0] == (0, 8)
    assert done[-1] == (8, 8)
    assert compare([contender("a", [1.0], [])], seconds=1, rounds=20).rounds == 6
    assert compare([contender("a", [1.0], [])], seconds=1, rounds=2).rounds == 2


def test_nan_is_refused(contender: Callable[..., Contender]) -> None:
    with pytest.raises(WrongModel, match="broken gives NaN in scores"):
        compare([contender("good", [1.0], []), contender("broken", [1.0], [], output=float("nan"))])


@pytest.mark.parametrize(
    ("seconds", "rounds"), [(0, 1), (-1, 1), (float("nan"), 1), (float("inf"), 1), (1, 0)]
)
def test_no_time_is_refused(contender: Callable[..., Contender], seconds: float, rounds: int) -> None:
    with pytest.raises(RecipeError, match="measure nothing"):
        compare([contender("a", [1.0], [])], seconds=seconds, rounds=rounds)


def test_what_need_not_be_there_is_left_out_with_the_reason(contender: Callable[..., Contender]) -> None:
    def failing(hint: Hint, threads: int | None) -> Stopped:
        raise ConversionError("no checkpoint")

    def without_library(hint: Hint, threads: int | None) -> Stopped:
        raise ModuleNotFoundError("No module named 'torch'", name="torch")

    others = [
        Contender("original", "torch", "FP32", "CPU", failing, required=False),
        Contender("torch", "torch", "FP32", "CPU", without_library, required=False),
    ]
    result = compare([contender("a", [1.0], []), *others], rounds=1)
    assert [row.name for row in result.rows] == ["a"]
    assert [one.reason for one in result.skipped] == ["no checkpoint", "torch is not installed"]
    with pytest.raises(ConversionError):
        compare([Contender("a", "torch", "FP32", "CPU", failing)])
    with pytest.raises(RecipeError, match="original: no checkpoint"):
        compare(others)


def test_a_called_engine_runs_its_requests_at_once_with_its_share_of_threads() -> None:
    import threading

    met, shares = threading.Barrier(2, timeout=10), list[int]()

    def run() -> Arrays:
        met.wait()  # a single request would wait here in vain
        return {}

    engine = CalledEngine(run, Told("", "CPU", "f32", "heads", 4, 2), shares.append)
    block = engine.block(0)
    assert len(block.milliseconds) == 2
    assert set(shares) == {2}


def test_the_faster_setting_is_taken() -> None:
    slow, quick = (Stopped(name, [time], []) for name, time in (("slow", 9.0), ("quick", 3.0)))
    gc.disable()
    try:
        assert fastest([slow, quick]) is quick
    finally:
        gc.enable()
    assert splits("latency", 4) == [1]
    assert splits("throughput", 4) == [1, 4]
