"""Do archives pass `ssdconvert check --run` where there is no torch, and fail after one changed byte in each file?

    python benchmarks/release_check.py release/ssd-demo.tar release/ultraface-rfb-320.tar [--key release.pub]

Makes an environment with `ssdconvert[check]` alone (pip has to reach an index, or wheels on disk), checks each archive
in it, runs its IRs there, then changes one byte of a copy: in the middle of each member, in its header, in the padding
behind it, and at the end. Prints what was found; exits with 1 where a change went unseen, or was named wrongly.
"""

import argparse
import json
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def installed(folder: Path) -> Path:
    """Return the `ssdconvert` of a new environment, in which there is no torch."""
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = folder / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", f"{ROOT}[check]"], check=True)
    code = (
        "import importlib.util as u; print([m for m in ('torch', 'onnx', 'cv2', 'PIL') if u.find_spec(m)]);"
        "import openvino, numpy; print('openvino', openvino.get_version(), 'numpy', numpy.__version__)"
    )
    told = subprocess.run(
        [python, "-c", code], check=True, capture_output=True, text=True
    ).stdout.splitlines()
    assert told[0] == "[]", told
    print(f"environment: {told[1]}; no torch, onnx, OpenCV, Pillow\n")
    return folder / "bin" / "ssdconvert"


def places(archive: Path) -> Iterator[tuple[str, str, int]]:
    """Yield file, what is changed there, and where: the offset of a byte in the archive."""
    end = 0
    with tarfile.open(archive) as tar:
        for member in tar:
            path = member.name.partition("/")[2]
            if member.size:
                yield path, "content", member.offset_data + member.size // 2
            yield path, "header: its time", member.offset + 140
            end = member.offset_data + member.size
            if end % tarfile.BLOCKSIZE:
                yield path, "padding", end
    yield "", "end", archive.stat().st_size - 1


def check(program: Path, archive: Path, *options: str) -> tuple[int, dict[str, object]]:
    done = subprocess.run(
        [program, "check", archive, "--json", *options], capture_output=True, text=True, check=False
    )
    return done.returncode, json.loads(done.stdout)


def unseen(program: Path, archive: Path, folder: Path) -> int:
    """Change one byte at each place, and return how many changes were not found, or told of another file."""
    count = missed = 0
    copy = folder / archive.name
    for path, what, offset in places(archive):
        changed = bytearray(archive.read_bytes())
        changed[offset] ^= 1
        copy.write_bytes(changed)
        code, document = check(program, copy)
        named = {problem["path"] for problem in document.get("problems", [])}  # type: ignore[attr-defined]
        count += 1
        if code != 3 or not (path in named or (not path and named)):
            missed += 1
            print(
                f"NOT FOUND: {what} of {path or 'the archive'} at byte {offset}: exit {code}, named {sorted(named)}"
            )
    print(f"{archive.name}: {count} changes of one byte, {count - missed} found and named")
    return missed


def main() -> None:
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("archives", nargs="+", type=Path)
    parser.add_argument("--key", help="the public key of those who signed")
    arguments = parser.parse_args()
    wrong = 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        program = installed(folder / "second")
        for archive in arguments.archives:
            code, document = check(
                program, archive, "--run", *(["--key", arguments.key] if arguments.key else [])
            )
            run = document.get("run") or {}
            told = f"{len(run.get('checks', []))} checks against {run.get('reference')}"  # type: ignore[attr-defined]
            print(
                f"{archive.name}: exit {code}, {document.get('verdict')}, run here: {run.get('verdict')}, {told}"
            )  # type: ignore[attr-defined]
            wrong += code != 0
            wrong += unseen(program, archive, folder)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
