"""`evaluate`: the same bytes however the work is done; what is refused before anything runs."""

import contextlib
import io
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ssdconvert.demo.pictures import write_coco

RESULTS = ("evaluation.json", "evaluation.md", "detections-original.json", "detections-FP32.json")
COMMAND = [sys.executable, "-m", "ssdconvert", "evaluate", "ssd-demo", "--precision", "FP32"]


@pytest.fixture(scope="session")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with twelve generated pictures and annotations.json."""
    folder = tmp_path_factory.mktemp("shapes")
    write_coco(folder, 12, 1)
    return folder


@pytest.fixture
def evaluate(run: Callable[..., Any], demo: Path, shapes: Path) -> Callable[..., Any]:
    """Run `ssdconvert evaluate ARGUMENTS` on these pictures."""
    return lambda *arguments: run(
        "evaluate", *arguments, "--annotations", shapes / "annotations.json", "--draws", "20"
    )


def by_hand(annotations: Path, detections: Path) -> list[float]:
    """Return what pycocotools says of two files."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(annotations))
        evaluation = COCOeval(truth, truth.loadRes(str(detections)), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return [float(value) for value in evaluation.stats[:6]]


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in RESULTS}


def test_a_build_and_its_original(evaluate: Any, shapes: Path, tmp_path: Path) -> None:
    ended = evaluate("ssd-demo", "--json", "--max-drop", "0.05", "--precision", "fp32")
    assert ended.code == 0, ended.err
    assert "24 pictures in" in ended.err
    document = ended.document
    folder = tmp_path / "evaluation" / "ssd-demo"
    assert json.loads((folder / "evaluation.json").read_text()).items() <= document.items()
    original, fp32 = document["models"]
    assert (original["engine"].split()[0], fp32["engine"].split()[0]) == ("torch", "openvino")
    for model in (original, fp32):
        stats = by_hand(shapes / "annotations.json", folder / f"detections-{model['name']}.json")
        mine = [model["accuracy"][key] for key in ("ap", "ap50", "ap75", "small", "medium", "large")]
        assert [-1 if value is None else value for value in mine] == pytest.approx(stats, abs=1e-9)
    assert abs(fp32["difference"]["ap"]["value"]) <= 0.0005
    assert document["verdict"] == "pass"
    assert not any(str(tmp_path) in (folder / name).read_text() for name in RESULTS)
    again = evaluate("ssd-demo", "--json", "--precision", "FP32", "--expect", "0.1±0.01")
    assert (again.code, again.document["verdict"]) == (1, "fail")
    assert "pictures in" not in again.err  # nothing was left to run


def test_size_accuracy_and_speed_of_precisions_are_told_together(
    evaluate: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from functools import partial

    from ssdconvert.accuracy import speeds

    monkeypatch.setattr(speeds, "compare", partial(speeds.compare, seconds=0.1, rounds=1))
    ended = evaluate("ssd-demo", "--no-original", "--speed", "--json")
    assert ended.code == 0, ended.err
    folder = tmp_path / "evaluation" / "ssd-demo"
    assert [row["name"] for row in ended.document["speed"]["rows"]] == ["FP32", "FP16"]
    assert "speed" not in json.loads((folder / "evaluation.json").read_text())
    assert json.loads((folder / "bench.json").read_text()) == ended.document["speed"]
    title, _, fp32, fp16 = [
        line for line in (folder / "evaluation.md").read_text().splitlines() if line.startswith("|")
    ][:4]
    place = [cell.strip() for cell in title.split("|")].index("latency")
    assert fp32.split("|")[place].strip().endswith(" ms")
    assert "times as fast as FP32" in fp16.split("|")[place]
    alone = evaluate("ssd-demo", "--precision", "FP32", "--speed")
    assert alone.code == 2
    assert "there are no two" in alone.err


def test_shards_and_a_torn_run_give_the_same_bytes(evaluate: Any, tmp_path: Path) -> None:
    asked = ("ssd-demo", "--precision", "FP32")
    assert evaluate(*asked, "--output", "whole").code == 0
    for number in (1, 2, 3):
        told = evaluate(*asked, "--shard", f"{number}/3", "--output", "shards", "--jobs", number)
        assert told.out == f"shard {number} of 3: 4 pictures in shards/shard-0{number}-of-03.jsonl\n", (
            told.err
        )
    names = sorted((tmp_path / "shards").glob("*.jsonl"))
    assert evaluate("merge", *names, "--output", "merged").code == 0
    assert bytes_of(tmp_path / "merged") == bytes_of(tmp_path / "whole")
    told = evaluate("merge", *names, "--max-drop", "0.1", "--output", "merged")
    assert (told.code, "pass: FP32: AP" in told.out) == (0, True)
    (tmp_path / "torn").mkdir()
    content = (tmp_path / "whole" / "predictions.jsonl").read_bytes()
    (tmp_path / "torn" / "predictions.jsonl").write_bytes(content[: len(content) * 2 // 3])
    ended = evaluate(*asked, "--output", "torn", "--jobs", "3")
    assert "goes on: " in ended.err
    assert bytes_of(tmp_path / "torn") == bytes_of(tmp_path / "whole")


def test_a_model_alone_on_voc(run: Callable[..., Any], demo: Path, shapes: Path, tmp_path: Path) -> None:
    document = json.loads((shapes / "annotations.json").read_text())
    names = {entry["id"]: entry["name"].title() for entry in document["categories"]}
    (tmp_path / "voc").mkdir()
    for image in document["images"]:
        objects = ""
        for one in document["annotations"]:
            if one["image_id"] == image["id"]:
                x, y, width, height = one["bbox"]
                corners = f"<xmin>{x + 1}</xmin><ymin>{y + 1}</ymin><xmax>{x + width}</xmax><ymax>{y + height}</ymax>"
                objects += (
                    f"<object><name>{names[one['category_id']]}</name><bndbox>{corners}</bndbox></object>"
                )
        size = "<size><width>400</width><height>400</height></size>"
        text = f"<annotation><filename>{image['file_name']}</filename>{size}{objects}</annotation>"
        (tmp_path / "voc" / f"{image['id']:03}.xml").write_text(text)
    model = demo / "FP16" / "ssd-demo.xml"
    ended = run(
        "evaluate",
        model,
        "--annotations",
        "voc",
        "--images",
        shapes / "images",
        "--draws",
        "0",
        "--expect",
        "0.8+-0.2",
    )
    assert ended.code == 0, ended.err
    assert "ssd-demo.xml  0.89 MB  AP 0." in ended.out
    assert "pass: ssd-demo.xml: AP 0." in ended.out
    assert "In brackets" not in (tmp_path / "evaluation" / "ssd-demo" / "evaluation.md").read_text()


@pytest.mark.parametrize(
    ("arguments", "told", "code"),
    [
        ((), "Missing argument", 2),
        (("ssd-demo", "other"), "unexpected extra argument", 2),
        (("merge",), "Missing argument 'SHARD...'", 2),
        (("merge", "none.jsonl"), "none.jsonl cannot be read", 2),
        (("merge", "none.jsonl", "--shard", "1/2"), "exclude each other", 2),
        (("merge", "none.jsonl", "--precision", "FP16"), "merge and --precision exclude each other", 2),
        (("merge", "none.jsonl", "--no-original"), "merge and --no-original exclude each other", 2),
        (("build/ssd-demo/FP32/ssd-demo.xml", "--precision", "FP16"), "is one file, of one precision", 2),
        (("ssd-demo", "--shard", "3"), "is no shard", 2),
        (("ssd-demo", "--shard", "1/2", "--expect", "0.5±0.1"), "exclude each other", 2),
        (("ssd-demo", "--shard", "1/2", "--strict"), "exclude each other", 2),
        (("ssd-demo", "--shard", ""), "--shard is empty", 2),
        (("ssd-demo", "--scheduler", ""), "--scheduler is empty", 2),
        (("ssd-demo", "--expect", ""), "--expect is empty", 2),
        (("ssd-demo", "--labels", "voc-20"), "voc-20 is too long: it names 20 classes, the model has 5", 2),
        (("ssd-demo", "--labels", "voc-20"), "0 of 20 labels", 2),
        (("ssd-demo", "--expect", "85%±1%"), "in percent", 2),
        (("ssd-demo", "--no-original", "--max-drop", "1"), "exclude each other", 2),
        (("ultraface-rfb-320",), "is not built", 2),
        (("ssd-demo", "--precision", "INT8"), "there is no build/ssd-demo/INT8", 2),
        (("ssd-demo", "--device", "NOWHERE"), "OpenVINO knows no device", 2),
        (("build/ssd-demo/FP32/ssd-demo.xml", "--max-drop", "1"), "--max-drop needs the original", 2),
        (("build/ssd-demo/FP32/ssd-demo.xml", "--labels", "voc-20"), "0 of 20 labels", 2),
    ],
)
def test_what_cannot_be_asked_for(evaluate: Any, arguments: tuple[str, ...], told: str, code: int) -> None:
    ended = evaluate(*arguments)
    assert ended.code == code, ended.err
    assert told in ended.err
    assert not Path("evaluation").exists()


def test_missing_broken_and_unmapped(
    run: Callable[..., Any], demo: Path, shapes: Path, tmp_path: Path
) -> None:
    document = json.loads((shapes / "annotations.json").read_text())
    images = tmp_path / "images"
    images.mkdir()
    for entry in document["images"][1:]:
        content = (shapes / "images" / entry["file_name"]).read_bytes()
        (images / entry["file_name"]).write_bytes(content[:3000] if entry["id"] == 2 else content)
    document["categories"].append({"id": 6, "name": "moon"})
    (tmp_path / "annotations.json").write_text(json.dumps(document))
    base = (
        "evaluate",
        "ssd-demo",
        "--annotations",
        "annotations.json",
        "--no-original",
        "--precision",
        "FP32",
    )
    base = (*base, "--draws", "0")
    ended = run(*base)
    assert (ended.code, "1 of 12 pictures that annotations.json names are not in" in ended.err) == (
        2,
        True,
    ), ended.err
    assert "000000.png" in ended.err
    ended = run(*base, "--allow-missing")
    assert (ended.code, "without a label: moon" in ended.err) == (2, True), ended.err
    assert not Path("evaluation").exists()
    ended = run(*base, "--allow-missing", "--allow-unmapped")
    assert ended.code == 0, ended.err
    assert "10 pictures, 5 categories" in ended.out
    assert "1 pictures missing: 000000.png" in ended.out
    assert "1 pictures broken, left out of the mean: 000001.png (000001.png cannot be read" in ended.out
    assert "categories without a label, left out of the mean: moon" in ended.out
    ended = run(*base, "--allow-missing", "--allow-unmapped", "--strict")
    assert (ended.code, "error[evaluate]: pictures: 2 missing or broken" in ended.err) == (1, True)


@pytest.mark.slow
def test_killed_runs_and_two_workers_give_the_same_bytes(evaluate: Any, shapes: Path, tmp_path: Path) -> None:
    from distributed import LocalCluster

    write_coco(tmp_path / "more", 60, 2)
    given = ["--annotations", "more/annotations.json", "--draws", "20"]
    subprocess.run([*COMMAND, *given, "--output", "whole"], check=True, capture_output=True, cwd=tmp_path)
    log = tmp_path / "killed" / "predictions.jsonl"
    for lines in (10, 40, 80):
        process = subprocess.Popen([*COMMAND, *given, "--output", "killed"], cwd=tmp_path)
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and not (log.exists() and log.read_bytes().count(b"\n") > lines):
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    with log.open("ab") as file:
        file.write(b'{"model": "FP32", "pict')
    subprocess.run([*COMMAND, *given, "--output", "killed"], check=True, capture_output=True, cwd=tmp_path)
    assert bytes_of(tmp_path / "killed") == bytes_of(tmp_path / "whole")
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        scheduler = ["--output", "dask", "--scheduler", cluster.scheduler_address]
        subprocess.run([*COMMAND, *given, *scheduler], check=True, capture_output=True, cwd=tmp_path)
    assert bytes_of(tmp_path / "dask") == bytes_of(tmp_path / "whole")


@pytest.mark.slow
def test_an_interrupted_run_keeps_what_is_done(demo: Path, tmp_path: Path) -> None:
    write_coco(tmp_path / "more", 60, 2)
    command = [*COMMAND, "--annotations", "more/annotations.json"]
    log = tmp_path / "evaluation" / "ssd-demo" / "predictions.jsonl"
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    while process.poll() is None and not (log.exists() and log.read_bytes().count(b"\n") > 10):
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130, told
    assert "what is done is kept" in told
    assert log.read_bytes().count(b"\n") > 10
