"""Builds that are killed at random moments, and the next one: the short form of benchmarks/robustness_kills.py."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "robustness_kills.py"


@pytest.mark.slow
def test_a_build_after_five_kills_is_as_a_clean_one(built: Path) -> None:
    """The script looks at what each kill leaves, and at the files of the build that follows."""
    clean = ["--clean", str(built / "build/ssd-demo"), "--life", "10"]
    command = [sys.executable, str(SCRIPT), "--kills", "5", "--in-a-row", "5", *clean]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "seed 1: 5 kills" in ended.stdout
    assert "0 problems" in ended.stdout
