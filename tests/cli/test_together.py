"""Two builds of one recipe at once: one waits for the other, and both end right."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


def test_two_builds_of_one_recipe_do_not_collide(tmp_path: Path) -> None:
    environment = os.environ | {"SSDCONVERT_CACHE": str(tmp_path / "cache")}
    command = [sys.executable, "-m", "ssdconvert", "build", "ssd-demo", "--json"]
    runs = [
        subprocess.Popen(
            command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    told = [run.communicate(timeout=300) for run in runs]
    assert [run.returncode for run in runs] == [0, 0], told
    first, second = (json.loads(stdout) for stdout, _ in told)
    assert first["artifacts"] == second["artifacts"]
    made = [{s["name"]: s["status"] for s in document["stages"]}["convert"] for document in (first, second)]
    assert sorted(made) == ["cached", "done"]
    assert any("waiting: another process builds" in stderr for _, stderr in told)


@pytest.mark.parametrize("stage", ["export", "convert", "verify"])
def test_what_a_recipe_says_of_its_source_is_an_input_of_each_stage(built: Path, stage: str) -> None:
    """Caffe skips export: a change of `heads` alone must reach the stages behind it."""
    records = json.loads((built / "build/ssd-demo/.ssdconvert/stages.json").read_text("utf-8"))
    assert records[stage]["inputs"]["source_form.network"] == "ssd_resnet34"
