"""The page in a browser: it must be drawn, and nothing may be said on the console."""

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ssdconvert.report.builds import read_builds
from ssdconvert.report.comparison import CONVERTED, PictureRow
from ssdconvert.report.html import to_html
from ssdconvert.report.index import to_index
from ssdconvert.report.result import Verification

OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--hide-scrollbars",
    "--window-size=1280,2400",
    "--enable-logging=stderr",
)
GREEN = (0x17, 0x75, 0x2F)


@pytest.fixture
def browser(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run Chromium on a page with more options."""
    names = ("chromium", "chromium-browser", "google-chrome")
    program = next((found for name in names if (found := shutil.which(name))), None)
    if program is None:
        pytest.skip(f"none of {', '.join(names)} is installed")

    def run(page: str, *options: str) -> subprocess.CompletedProcess[str]:
        path = tmp_path / "report.html"
        path.write_text(page, "utf-8")
        profile = f"--user-data-dir={tmp_path / 'profile'}"
        command = [program, *OPTIONS, profile, *options, path.as_uri()]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)

    return run


def console(ended: subprocess.CompletedProcess[str]) -> list[str]:
    return [line for line in ended.stderr.splitlines() if "CONSOLE" in line]


def test_verdict_and_pictures_are_there_and_the_console_is_silent(
    browser: Callable[..., subprocess.CompletedProcess[str]], verification: Verification, row: PictureRow
) -> None:
    ended = browser(to_html(verification, [row], {}), "--dump-dom")
    assert re.search(r'<section class="verdict pass" id="verdict">', ended.stdout)
    assert ended.stdout.count('<img src="data:image/jpeg;base64,') == 3
    assert console(ended) == []


def test_the_page_of_several_builds_is_silent_too(
    browser: Callable[..., subprocess.CompletedProcess[str]],
    build_folder: Callable[..., Path],
    tmp_path: Path,
) -> None:
    builds = read_builds([build_folder("one"), tmp_path / "absent"])
    ended = browser(to_index(builds, tmp_path), "--dump-dom")
    assert re.search(r'<section class="verdict fail" id="verdict">', ended.stdout)
    assert ended.stdout.count('href="build/one/') == 3
    assert console(ended) == []


def test_a_page_that_asks_for_something_is_heard_on_the_console(
    browser: Callable[..., subprocess.CompletedProcess[str]], verification: Verification
) -> None:
    """That the console is read at all: the page's own policy refuses what is not inside it."""
    page = to_html(verification, [], {}).replace(
        "<main>", '<main><img src="file:///nothing.png"><script>1</script>'
    )
    assert len(console(browser(page, "--dump-dom"))) >= 2


@pytest.mark.parametrize("scheme", [0, 1], ids=["dark", "light"])
def test_what_is_seen(
    browser: Callable[..., subprocess.CompletedProcess[str]],
    verification: Verification,
    row: PictureRow,
    tmp_path: Path,
    scheme: int,
) -> None:
    shot = tmp_path / "shot.png"
    browser(
        to_html(verification, [row], {}),
        f"--blink-settings=preferredColorScheme={scheme}",
        f"--screenshot={shot}",
    )
    pixels = np.asarray(Image.open(shot).convert("RGB")).astype(int)
    assert (pixels == GREEN).all(axis=-1).sum() > 50_000  # the verdict
    assert (np.abs(pixels - CONVERTED).max(axis=-1) < 40).sum() > 300  # a box in a picture
    assert (pixels[5, 5].mean() > 128) == (scheme == 1)
