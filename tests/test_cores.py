import os
import subprocess
import sys
from pathlib import Path

import pytest

from ssdconvert.cores import cores_allowed, given_to_children, shares, threads_for_onnx_runtime

bindable = pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity") or len(cores_allowed()) < 2,
    reason="processes of this system cannot be bound to some of several cores",
)
TOLD = "import os; print(sorted(os.sched_getaffinity(0)), os.environ['OMP_NUM_THREADS'], os.environ['MKL_NUM_THREADS'])"
THREADS = """
import os, re, sys
from pathlib import Path
from ssdconvert.runners.onnx_runner import OnnxRunner
runner = OnnxRunner(Path(sys.argv[1]))
masks = [re.search(r"Cpus_allowed_list:\\s*(\\S+)", open(f"/proc/self/task/{task}/status").read())[1]
         for task in os.listdir("/proc/self/task")]
print(sorted(set(masks)), runner.session.get_session_options().intra_op_num_threads)
"""


@pytest.mark.parametrize(
    ("cores", "count", "expected"),
    [
        ((0, 1), 2, [(0,), (1,)]),
        ((0, 1, 2, 3, 4), 2, [(0, 1, 2), (3, 4)]),
        ((2, 5, 9), 3, [(2,), (5,), (9,)]),
        ((0, 1), 1, [(0, 1)]),
    ],
)
def test_shares_are_of_neighbours_and_use_every_core(
    cores: tuple[int, ...], count: int, expected: list[tuple[int, ...]]
) -> None:
    assert shares(cores, count) == expected


@bindable
def test_children_get_their_share_and_the_parent_keeps_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setenv("MKL_NUM_THREADS", "64")
    before, last = cores_allowed(), cores_allowed()[-1]
    with given_to_children([last]):
        told = subprocess.run([sys.executable, "-c", TOLD], capture_output=True, text=True, check=True)
    assert told.stdout.split("\n")[0] == f"[{last}] 1 1"
    assert cores_allowed() == before
    assert "OMP_NUM_THREADS" not in os.environ
    assert os.environ["MKL_NUM_THREADS"] == "64"


def test_fewer_threads_than_cores_stay_as_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "many")
    monkeypatch.setattr("ssdconvert.cores._bind", lambda cores: None)
    with given_to_children(range(4)):
        assert os.environ["OMP_NUM_THREADS"] == "1"
        assert os.environ["OPENBLAS_NUM_THREADS"] == "4"
    assert os.environ["OPENBLAS_NUM_THREADS"] == "many"


def test_onnx_runtime_is_left_its_choice_where_it_may_use_every_core(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    monkeypatch.setattr("ssdconvert.cores.cores_allowed", lambda: (0, 1, 2, 3))
    assert threads_for_onnx_runtime() == 0
    monkeypatch.setattr("ssdconvert.cores.cores_allowed", lambda: (0, 3))
    assert threads_for_onnx_runtime() == 2


@bindable
def test_onnx_runtime_stays_on_the_cores_of_its_process(own_nms_file: Path) -> None:
    """Of its own accord it puts a thread on each core of the machine, whatever the process may use."""
    first = cores_allowed()[0]
    with given_to_children([first]):
        told = subprocess.run(
            [sys.executable, "-c", THREADS, str(own_nms_file)], capture_output=True, text=True, check=True
        )
    assert told.stdout.strip() == f"['{first}'] 1"
