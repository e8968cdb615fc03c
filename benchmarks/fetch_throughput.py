"""How fast a fetch with digesting is, as a ratio to `curl --silent URL | sha256sum`.

    python benchmarks/fetch_throughput.py [--megabytes 500] [--rounds 9] [--folder DIR]

A server in a process of its own sends a file of random bytes over loopback, with sendfile. Each round measures in
turn: curl with sha256sum, and with openssl, which uses the processor's instructions for SHA-256 where sha256sum may
not; both write nothing; the latter with tee, which writes the file as a fetch does; ssdconvert's fetch in a process
of its own, the fetch alone and the process with its start. Prints medians, and the medians of the ratios of one
round; and the peak of memory for the file and for one of a tenth.
"""

import argparse
import hashlib
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FETCH = """
import json, resource, sys, time
from pathlib import Path
from ssdconvert.fetching.options import FetchOptions
from ssdconvert.recipe import Recipe
from ssdconvert.stages.fetch import fetch
recipe, cache = Recipe.model_validate_json(sys.argv[1]), Path(sys.argv[2])
import requests
started = time.perf_counter()
fetch(recipe, FetchOptions(cache))
seconds = time.perf_counter() - started
print(json.dumps([seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]))
"""
COMMANDS = (  # {url}, {copy}: a file to write
    "curl --silent {url} | sha256sum",
    "curl --silent {url} | openssl dgst -sha256 -r",
    "curl --silent {url} | tee {copy} | openssl dgst -sha256 -r",
)
ALONE, PROCESS = "fetch", "fetch, with the start of its process"


def serve(file: Path, listening: socket.socket) -> None:
    """Answer every request with the file, one after another."""
    while True:
        connection, _ = listening.accept()
        with connection, file.open("rb") as opened:
            asked = b""
            while b"\r\n\r\n" not in asked:
                asked += connection.recv(65536)
            size = os.fstat(opened.fileno()).st_size
            head = f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\nConnection: close\r\n\r\n"
            connection.sendall(head.encode())
            sent = 0
            while sent < size:
                sent += os.sendfile(connection.fileno(), opened.fileno(), sent, size - sent)


@contextmanager
def server(file: Path) -> Iterator[str]:
    """Serve a file from another process, and give its URL."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        process = os.fork()
        if not process:
            serve(file, listening)
    try:
        yield f"http://127.0.0.1:{port}/{file.name}"
    finally:
        os.kill(process, 9)
        os.waitpid(process, 0)


def random_file(path: Path, megabytes: int) -> str:
    """Write a file of random bytes, and return its SHA-256."""
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for _ in range(megabytes):
            block = os.urandom(1_000_000)
            digest.update(block)
            file.write(block)
        os.fsync(file.fileno())
    return digest.hexdigest()


def recipe_of(url: str, size: int, sha256: str) -> str:
    """Return a recipe of one file, as JSON."""
    file = {"name": "file.onnx", "urls": [url], "size": size, "sha256": sha256}
    return json.dumps(
        {
            "schema": 1,
            "name": "throughput",
            "title": "a file to fetch",
            "licence": "Apache-2.0",
            "source": {"kind": "onnx", "files": [file]},
            "input": {
                "name": "image",
                "shape": [1, 3, 16, 16],
                "color": {"model": "rgb"},
                "resize": {"mode": "stretch", "filter": "bilinear", "library": "opencv"},
            },
            "detections": {
                "boxes": "xyxy",
                "units": "normalised",
                "labels": ["thing"],
                "score_threshold": 0.05,
                "iou_threshold": 0.5,
                "per_class": 80,
                "keep": 200,
            },
        }
    )


def piped(command: str, sha256: str) -> float:
    """Return the seconds that a command line takes which prints this digest."""
    started = time.perf_counter()
    done = subprocess.run(["sh", "-c", command], check=True, capture_output=True, text=True)
    seconds = time.perf_counter() - started
    assert done.stdout.split()[0] == sha256
    return seconds


def fetched(recipe: str, folder: Path) -> tuple[float, float, float]:
    """Fetch into an empty cache: seconds of the fetch, seconds of the process, peak of memory in MB (2^20)."""
    cache = folder / "cache"
    started = time.perf_counter()
    command = [sys.executable, "-c", FETCH, recipe, str(cache)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    whole = time.perf_counter() - started
    shutil.rmtree(cache)
    alone, memory = json.loads(done.stdout)
    return alone, whole, memory


def ratio(others: list[float], seconds: list[float]) -> float:
    """Return how many times as fast as the others these are: the median over the rounds."""
    return statistics.median(other / one for other, one in zip(others, seconds, strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--megabytes", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--folder", type=Path, help="where files go; a temporary one where not given")
    arguments = parser.parse_args()
    taken: dict[str, list[float]] = {name: [] for name in (*COMMANDS, ALONE, PROCESS)}
    with tempfile.TemporaryDirectory(dir=arguments.folder) as temporary:
        folder = Path(temporary)
        memory = {}
        for megabytes in (arguments.megabytes // 10, arguments.megabytes):
            file, copy = folder / f"{megabytes}.onnx", folder / "copy"
            sha256 = random_file(file, megabytes)
            with server(file) as url:
                recipe = recipe_of(url, file.stat().st_size, sha256)
                memory[megabytes] = fetched(recipe, folder)[2]
                for _ in range(arguments.rounds if megabytes == arguments.megabytes else 0):
                    for command in COMMANDS:
                        taken[command].append(piped(command.format(url=url, copy=copy), sha256))
                    copy.unlink()
                    alone, whole, _ = fetched(recipe, folder)
                    taken[ALONE].append(alone)
                    taken[PROCESS].append(whole)
    sha256sum, openssl, *_ = taken.values()
    print(
        f"| {arguments.megabytes} MB | median of {arguments.rounds} | MB/s | ratio to sha256sum | to openssl |"
    )
    print("|---|---|---|---|---|")
    for name, seconds in taken.items():
        median = statistics.median(seconds)
        ratios = " | ".join(f"{ratio(other, seconds):.2f}" for other in (sha256sum, openssl))
        told = name.format(url="URL", copy="FILE").replace("|", "\\|")
        print(f"| {told} | {median:.3f} s | {arguments.megabytes / median:.0f} | {ratios} |")
    peaks = ", ".join(f"{peak:.0f} MiB for {megabytes} MB" for megabytes, peak in memory.items())
    print(f"\npeak of memory of a fetch: {peaks}")


if __name__ == "__main__":
    main()
