"""What is seen of a fetch on stderr: bars on a terminal, lines every ten seconds elsewhere, JSON events."""

import hashlib
import http.server
import json
import os
import pty
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ssdconvert.cli import fetch_progress
from ssdconvert.cli.fetch_progress import Bars, Lines, Tally, amount
from ssdconvert.cli.options import Settings
from ssdconvert.fetching.events import Event

CONTENT = os.urandom(300_000)


@pytest.fixture
def slow_mirror() -> Iterator[str]:
    """A mirror on loopback that takes two seconds for each file."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(CONTENT)))
            self.end_headers()
            for start in range(0, len(CONTENT), 30_000):
                self.wfile.write(CONTENT[start : start + 30_000])
                time.sleep(0.2)

        def log_message(self, *_: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.fixture
def two_recipes(recipe_file: Callable[..., Path], documents: dict[str, Any]) -> list[Path]:
    """Two recipe files, each of one file without a size or a digest."""
    files = [{"name": "model.onnx", "urls": []}]
    return [
        recipe_file(documents["onnx"], {"name": name, "source.files": files}) for name in ("first", "second")
    ]


def event(kind: Any, file: str, done: int = 0, total: int | None = 80_000_000) -> Event:
    return Event(kind, "recipe", file, "https://host/file", done, total)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time of fetch_progress: change its only item."""
    now = [1000.0]
    monkeypatch.setattr(fetch_progress.time, "monotonic", lambda: now[0])
    return now


def test_lines_come_every_ten_seconds(capsys: pytest.CaptureFixture[str], clock: list[float]) -> None:
    lines = Lines(Settings(False, False, False, None))
    for name in ("a.pth", "b.pth"):
        lines.tell(event("queued", name))
        lines.tell(event("started", name))
    for second in range(25):
        clock[0] += 1
        lines.tell(event("progress", "a.pth", second * 1_000_000))
    told = capsys.readouterr().err.splitlines()
    assert told == [
        "  fetching a.pth of recipe: 9.0 of 80.0 MB (11 %)",
        "  fetching b.pth of recipe: 0.0 of 80.0 MB (0 %)",
        "  fetching 2 files: 9.0 of 160.0 MB (6 %)",
        "  fetching a.pth of recipe: 19.0 of 80.0 MB (24 %)",
        "  fetching b.pth of recipe: 0.0 of 80.0 MB (0 %)",
        "  fetching 2 files: 19.0 of 160.0 MB (12 %)",
    ]


def test_a_fetch_that_is_done_at_once_says_nothing(
    capsys: pytest.CaptureFixture[str], clock: list[float]
) -> None:
    lines = Lines(Settings(False, False, False, None))
    for kind, done in (("queued", 0), ("started", 0), ("progress", 5), ("finished", 80_000_000)):
        lines.tell(event(kind, "a.pth", done))
    assert capsys.readouterr().err == ""


def test_a_retry_and_a_wait_are_told_at_once(capsys: pytest.CaptureFixture[str], clock: list[float]) -> None:
    lines = Lines(Settings(False, False, False, None))
    lines.tell(event("waiting", "a.pth"))
    lines.tell(Event("retry", "recipe", "a.pth", "https://host/a", 5, 9, "HTTP 503 Busy", 2.04))
    assert capsys.readouterr().err.splitlines() == [
        "  waiting: another process fetches a.pth",
        "  a.pth: https://host/a: HTTP 503 Busy; trying again in 2.0 s",
    ]


def test_a_size_that_nobody_knows_is_not_summed() -> None:
    tally = Tally()
    tally.see(event("progress", "a.pth", 10, 100))
    tally.see(event("progress", "b.pth", 7, None))
    assert tally.everything == (17, None)
    tally.see(event("finished", "b.pth", 20, None))
    assert tally.everything == (30, 120)
    assert amount(17, None) == "0.0 MB"


def events(stderr: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stderr.splitlines()]


def test_json_events(two_recipes: list[Path], slow_mirror: str, tmp_path: Path) -> None:
    command = ["fetch", *two_recipes, "--mirror", slow_mirror, "--log-format", "json", "-j", "2", "--json"]
    ended = subprocess.run(
        [sys.executable, "-m", "ssdconvert", *command, "--cache", tmp_path / "cache"],
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    sha256 = hashlib.sha256(CONTENT).hexdigest()
    assert [file["sha256"] for file in json.loads(ended.stdout)] == [sha256, sha256]
    told = events(ended.stderr)
    fetched = [one for one in told if one["event"] == "fetch"]
    for name in ("first", "second"):
        mine = [one for one in fetched if one["recipe"] == name]
        kinds = [one["kind"] for one in mine]
        assert kinds[:2] == ["queued", "started"]
        assert kinds[-1] == "finished"
        assert 1 <= kinds.count("progress") <= 4
        assert mine[-1]["done"] == len(CONTENT)
    assert any(one["event"] == "log" and sha256 in one["message"] for one in told)  # it is unpinned


def test_json_errors(run: Callable[..., Any], tmp_path: Path) -> None:
    ended = run("fetch", "ultraface-rfb-320", "--offline", "--log-format=json")
    assert (ended.code, ended.out) == (3, "")
    error = events(ended.err)[-1]
    assert error["event"] == "error"
    assert (error["error"]["stage"], error["error"]["exit_code"]) == ("fetch", 3)
    ended = run("fetch", "--log-format", "json", "--nonsense")
    assert (ended.code, events(ended.err)[-1]["error"]["exit_code"]) == (2, 2)


@pytest.mark.parametrize("command", [["show", "nosuch"], ["fetch", "ultraface-rfb-320", "--offline"]])
def test_a_traceback_is_json_too(run: Callable[..., Any], command: list[str]) -> None:
    *_, error, log = events(run(*command, "-v", "--log-format", "json").err)
    assert error["error"]["exit_code"] in (2, 3)
    assert log["message"].startswith("Traceback")


def test_json_events_of_a_build(run: Callable[..., Any], demo: Path) -> None:
    ended = run("build", "ssd-demo", "--log-format", "json")
    assert ended.code == 0, ended.err
    stages = [one for one in events(ended.err) if one["event"] == "stage"]
    assert [stage["name"] for stage in stages][:2] == ["fetch", "export"]
    assert all(stage["recipe"] == "ssd-demo" and stage["status"] in ("done", "cached") for stage in stages), (
        stages
    )


def test_bars_on_a_terminal(two_recipes: list[Path], slow_mirror: str, tmp_path: Path) -> None:
    """A bar a file and one for both; nothing of them is left when all is there."""
    ours, theirs = pty.openpty()
    command = ["fetch", *map(str, two_recipes), "--mirror", slow_mirror]
    environment = {
        **os.environ,
        "SSDCONVERT_CACHE": str(tmp_path / "cache"),
        "TERM": "xterm",
        "COLUMNS": "100",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "ssdconvert", *command], stdout=subprocess.PIPE, stderr=theirs, env=environment
    )
    os.close(theirs)
    seen = b""
    while True:
        try:
            seen += os.read(ours, 10_000)
        except OSError:  # Linux: the other end is closed
            break
    os.close(ours)
    assert process.stdout is not None
    assert process.stdout.read().count(b"300000 bytes") == 2
    assert process.wait() == 0
    text = seen.decode("utf-8", "replace")
    assert "2 files" in text
    assert "kB/s" in text or "MB/s" in text
    assert text.rstrip().splitlines()[-1].count("━") == 0


LONG = "FP16/a-long-name-of-a-model-that-tells-how-it-was-trained-and-by-whom-and-when-320x240"


def drawn(monkeypatch: pytest.MonkeyPatch, *files: str) -> str:
    """Return what is on a terminal of 80 columns while files are on their way."""
    monkeypatch.setenv("COLUMNS", "80")
    bars = Bars(Settings(False, False, False, None))
    for file in files:
        bars.tell(event("progress", file, 123_400_000, 500_000_000))
    assert bars._progress is not None
    console = bars._progress.console
    with console.capture() as captured:
        console.print(bars._progress.get_renderable())
    bars.close()
    return captured.get()


def test_a_long_name_leaves_room_for_the_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = drawn(monkeypatch, f"{LONG}.bin", f"{LONG}.xml", "short.onnx").splitlines()
    assert len(lines) == 4  # and one for all
    assert all(re.search("[0-9] [MG]B .*-:--:--", line) for line in lines), lines
    assert sum("320x240.xml" in line for line in lines) == sum("320x240.bin" in line for line in lines) == 1


@pytest.mark.parametrize("name", ["model[/bold].onnx", "model[bold].onnx"])
def test_a_name_is_no_markup(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    assert name in drawn(monkeypatch, name)


def test_nothing_is_shown_when_it_is_over(capsys: pytest.CaptureFixture[str]) -> None:
    """The threads of a fetch that is interrupted go on until the program ends."""
    with fetch_progress.fetch_progress(Settings(False, False, False, None, True)) as tell:
        tell(event("started", "m.pth"))
    tell(event("progress", "m.pth", 1000))
    assert "started" in (seen := capsys.readouterr().err)
    assert "progress" not in seen


def test_quiet_says_nothing(run: Callable[..., Any], two_recipes: list[Path], slow_mirror: str) -> None:
    ended = run("fetch", two_recipes[0], "--mirror", slow_mirror, "-q")
    assert (ended.code, ended.out, ended.err) == (0, "", "")
