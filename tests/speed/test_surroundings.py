"""What the machine did meanwhile, read from files that are written here."""

from dataclasses import replace
from pathlib import Path

import pytest

from ssdconvert.speed import surroundings as module
from ssdconvert.speed.comparison import Turn, _row
from ssdconvert.speed.engines import Block, Contender, Told
from ssdconvert.speed.result import Row, Surroundings
from ssdconvert.speed.surroundings import LoadMeter, cores_of_quota, frequency_governors, warnings_of

QUIET = Surroundings("A processor", 2, 0.1, 0.0, 0.0, {})


def row(threads: int = 2, work: str = "detections", inferences: int = 4, name: str = "FP32 IR") -> Row:
    class Engine:
        told = Told("engine", "CPU", "f32", work, threads, 1)

    contender = Contender(name, "OpenVINO", "FP32", "CPU", lambda hint, threads: Engine())  # type: ignore[arg-type,return-value]
    return _row(contender, Engine(), [Turn(Block((1.0,) * inferences, 1.0), 1.0)])  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files of a quiet machine of two cores, without quota."""
    for name in ("PROC", "CGROUPS", "PROCESSORS"):
        (tmp_path / name).mkdir()
        monkeypatch.setattr(module, name, tmp_path / name)
    monkeypatch.setattr(module, "cores_allowed", lambda: (0, 2))
    return tmp_path


def write_stat(machine: Path, busy: int, stolen: int) -> None:
    lines = ["cpu  9 9 9 9 9 9 9 9 0 0"]
    lines += [f"cpu{core} {busy} 0 0 5000 77 0 0 {stolen} {busy} 0" for core in (0, 2)]
    lines += ["cpu1 999999 0 0 0 0 0 0 0 0 0", "intr 5"]
    (machine / "PROC" / "stat").write_text("\n".join(lines))


def test_shares_of_others_and_of_the_host(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(module.time, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(module.time, "process_time", lambda: clock[0] / 10)
    monkeypatch.setattr(module.os, "sysconf", lambda name: 100)
    write_stat(machine, 1000, 10)
    meter = LoadMeter()
    clock[0] += 10
    write_stat(machine, 1400, 60)  # 2 cores x 4 s, of which this process had 1
    assert meter.shares() == pytest.approx((7 / 20, 1 / 20))


def test_where_the_system_tells_nothing_nothing_is_told() -> None:
    assert LoadMeter().shares() == (None, None)
    assert cores_of_quota() is None
    assert frequency_governors() == frozenset()
    assert warnings_of(replace(QUIET, load=None, others=None, stolen=None), [row()]) == ()


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({"CGROUPS/cpu.max": "150000 100000"}, 1.5),
        ({"CGROUPS/cpu.max": "max 100000"}, None),
        ({"CGROUPS/cpu/cpu.cfs_quota_us": "50000", "CGROUPS/cpu/cpu.cfs_period_us": "100000"}, 0.5),
        ({"CGROUPS/cpu/cpu.cfs_quota_us": "-1", "CGROUPS/cpu/cpu.cfs_period_us": "100000"}, None),
        ({"PROC/self/cgroup": "0::/own.slice", "CGROUPS/own.slice/cpu.max": "100000 100000"}, 1.0),
    ],
)
def test_the_quota_of_the_control_group(machine: Path, files: dict[str, str], cores: float | None) -> None:
    for name, text in files.items():
        (machine / name).parent.mkdir(parents=True, exist_ok=True)
        (machine / name).write_text(text + "\n")
    assert cores_of_quota() == cores


def test_what_makes_figures_less_than_they_seem_is_warned_of(machine: Path) -> None:
    assert warnings_of(QUIET, [row()]) == ()
    (machine / "CGROUPS" / "cpu.max").write_text("150000 100000")
    governor = machine / "PROCESSORS" / "cpu2" / "cpufreq" / "scaling_governor"
    governor.parent.mkdir(parents=True)
    governor.write_text("powersave\n")
    rows = [row(), row(threads=1, work="heads", inferences=1, name="torch")]
    told = " | ".join(warnings_of(replace(QUIET, others=0.4, stolen=0.1), rows))
    for words in (
        "other processes took 40%",
        "host gave 10%",
        "quota of 1.5 cores is shared by 2 threads",
        "--threads 1",
        "governor powersave",
        "torch: ends in raw heads",
        "threads differ: FP32 IR 2, torch 1",
        "torch: fewer than 2 inferences",
    ):
        assert words in told
