"""No telemetry, by construction: nothing sent, nothing left in the home folder."""

import os
import subprocess
import sys
from pathlib import Path

CODE = """
import socket, sys

def refuse(*_, **__):
    raise AssertionError("a socket was opened")

socket.socket.connect = socket.socket.connect_ex = refuse
socket.create_connection = socket.getaddrinfo = refuse
import subprocess
real = subprocess.Popen.__init__

def watched(self, arguments, *rest, **options):
    assert "python" not in str(arguments), f"another interpreter was started: {arguments}"
    real(self, arguments, *rest, **options)

subprocess.Popen.__init__ = watched
from ssdconvert.cli import main
main(["build", "ssd-demo", "--offline", "-q", "--output", sys.argv[1]])
"""


def test_a_build_sends_nothing_and_leaves_nothing(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    quiet = (
        "CI",
        "TF_BUILD",
        "JENKINS_URL",
        "JENKINS_HOME",
    )  # with these the library would hold its tongue anyway
    environment = {name: value for name, value in os.environ.items() if name not in quiet}
    environment |= {"HOME": str(home), "SSDCONVERT_CACHE": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(tmp_path / "build")],
        env=environment, cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert [path for path in home.rglob("*") if path.is_file()] == []
