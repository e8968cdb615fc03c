"""The page of several builds, and their JUnit file."""

import os
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree

from ssdconvert.report.builds import Build, read_build
from ssdconvert.report.index import to_index
from ssdconvert.report.junit import builds_to_junit
from ssdconvert.report.result import Check, Verification, judged

NASTY = "<script>alert(1)</script>\"'&amp;\x00\x1b\ud800"
SAFE = "&lt;script&gt;alert(1)&lt;/script&gt;&#34;&#39;&amp;amp;"


class Page(HTMLParser):
    """Tags, attributes and text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words, self.styled = "", False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append((tag, dict(attrs)))
        self.styled = tag in ("style", "title")

    def handle_endtag(self, tag: str) -> None:
        self.styled = False

    def handle_data(self, data: str) -> None:
        self.words += "" if self.styled else f" {data}"

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def text(page: Page) -> str:
    return re.sub(r"\s+", " ", page.words)


def failing(verification: Verification, **changes: Any) -> Verification:
    check = replace(verification.checks[0], **judged(2e-4, 1e-4), precision="FP16")
    return replace(verification, checks=(*verification.checks, check), **changes)


def test_each_build_is_told_with_its_worst_number(
    build_folder: Callable[..., Path], verification: Verification, tmp_path: Path
) -> None:
    good = read_build(build_folder("good"))
    bad = Build(tmp_path, "bad", verification=failing(verification, stand_in=True), sizes={})
    absent = read_build(tmp_path / "absent")
    page = Page(to_index([good, bad, absent], tmp_path / "release"))
    told = text(page)
    assert "fail 1 of 3 models are shown to be their originals. Do not deploy the others." in told
    assert "1 of all is a stand-in, never to be deployed." in told
    assert "One at 8x8" in told
    assert "FP32 0.0 MB, FP16 0.0 MB" in told
    assert "FP32 IR on CPU (openvino 1) CPU, f32 bboxes min IoU" in told
    assert "0.97000 ≥ 0.93 43 %" in told
    assert "FP32 IR on GPU – no device GPU" in told  # noqa: RUF001
    assert "class_logits max error / scale a.jpg 0.0002 ≤ 0.0001 200 %" in told
    assert "absent not built" in told
    assert told.count("STAND-IN") == 1
    assert not page.all("script")
    assert not page.all("img")


def test_all_good_is_a_pass(build_folder: Callable[..., Path], tmp_path: Path) -> None:
    told = text(Page(to_index([read_build(build_folder("good"))], tmp_path)))
    assert "pass 1 of 1 models are shown to be their originals. good pass" in told


def test_links_are_relative_and_only_to_what_is_there_and_near(
    build_folder: Callable[..., Path], tmp_path: Path
) -> None:
    folder = build_folder("odd #1 \udcff?", tmp_path / "build" / os.fsdecode(b"odd #1 \xff?"))
    (folder / "reference.png").unlink()
    archive = tmp_path / "release" / "odd.tar"
    archive.parent.mkdir()
    archive.touch()
    build = replace(read_build(folder), archive=archive)
    near = [link["href"] for link in Page(to_index([build], tmp_path / "release")).all("a")]
    assert near == [
        "../build/odd%20%231%20%FF%3F/report.html", "../build/odd%20%231%20%FF%3F/manifest.json", "odd.tar"
    ]  # fmt: skip
    for address in near:
        assert (tmp_path / "release" / unquote(address or "", errors="surrogateescape")).is_file()
    assert Page(to_index([build], tmp_path / "a" / "b" / "c")).all("a") == []


def test_a_report_that_does_not_count_is_not_linked(
    build_folder: Callable[..., Path], tmp_path: Path
) -> None:
    folder = build_folder("one")
    (folder / "report.json").write_text("{}", "utf-8")
    assert Page(to_index([read_build(folder)], tmp_path)).all("a") == []


def test_nasty_names_are_escaped(verification: Verification, tmp_path: Path) -> None:
    check = Check("ir", "heads", "CPU", NASTY, "FP32", NASTY, NASTY, NASTY, **judged(1.0, 2.0))
    nasty = replace(verification, model=NASTY, checks=(check,), warnings=(NASTY,), reference=NASTY)
    builds = [
        Build(tmp_path, NASTY, NASTY, nasty, "", {NASTY: 1}, None, NASTY),
        Build(tmp_path, "other", problem=NASTY),
    ]
    page = to_index(builds, tmp_path)
    assert not Page(page).all("script")
    assert page.count(SAFE) >= 8
    assert not {"\x00", "\x1b", "\ud800"} & set(page)


def test_junit_holds_the_suites_of_all_and_tells_cases_apart(
    build_folder: Callable[..., Path], verification: Verification, tmp_path: Path
) -> None:
    builds = [
        read_build(build_folder("one")),
        Build(tmp_path, "two", verification=failing(replace(verification, model="two"))),
        read_build(tmp_path / "absent"),
    ]
    root = ElementTree.fromstring(builds_to_junit(builds).encode())
    names = [suite.get("name", "") for suite in root]
    assert [name for name in names if name.endswith("verdict")] == [
        "one: verdict", "two: verdict", "absent: verdict"
    ]  # fmt: skip
    cases = [(case.get("classname"), case.get("name")) for case in root.iter("testcase")]
    assert len(cases) == len(set(cases))
    assert ("one: FP32 IR on CPU (openvino 1)", "detections/bboxes/min IoU/a.jpg") in cases
    assert ("two", "verdict") in cases
    assert int(root.get("tests", "")) == len(cases)
    assert int(root.get("failures", "")) == len(list(root.iter("failure"))) == 3
    (missing,) = root.findall("testsuite[@name='absent: verdict']/testcase/failure")
    assert missing.get("type") == "unbuilt"


def test_the_same_builds_give_the_same_text(build_folder: Callable[..., Path], tmp_path: Path) -> None:
    builds = [read_build(build_folder("one"))]
    assert to_index(builds, tmp_path) == to_index(builds, tmp_path)
    assert builds_to_junit(builds) == builds_to_junit(builds)
