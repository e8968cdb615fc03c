"""The page: complete, self-contained, escaped, the same every time."""

import base64
import io
import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ssdconvert.recipe import Recipe
from ssdconvert.report.comparison import PictureRow, picture_row
from ssdconvert.report.html import to_html
from ssdconvert.report.result import Check, HopTrace, Verification
from ssdconvert.ssd.detections import Detections
from ssdconvert.trace import Trace, TracePoint

ENVIRONMENT = {"openvino": "2024.6.0"}
NASTY = "<script>alert(1)</script>\"'&amp;\x00\x1b\ud800"
SAFE = "&lt;script&gt;alert(1)&lt;/script&gt;&#34;&#39;&amp;amp;"


class Page(HTMLParser):
    """Tags, attributes and text of a page; every tag that is opened must be closed."""

    VOID = ("meta", "link", "img", "br")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words, self.open = "", list[str]()
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += f" {data}" if self.open and self.open[-1] != "style" else ""

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def test_verdict_reference_checks_and_environment_are_there(
    verification: Verification, row: PictureRow
) -> None:
    page = Page(to_html(verification, [row], ENVIRONMENT, "A model"))
    words = re.sub(r"\s+", " ", page.words)
    assert [s["class"] for s in page.all("section") if s.get("id") == "verdict"] == ["verdict pass"]
    for told in (
        "A model",
        "The converted model is the original within every limit: 4 checks on 1 picture.",
        "in torch 2",
        "4 of 5 1 skipped",
        "no device GPU",
        "1 of 1 seen",
        "0.97000 ≥ 0.93 0.97 43 %",
        "3 000 \N{MULTIPLICATION SIGN}",
        "openvino 2024.6.0",
        "1 in both, no difference",
    ):
        assert told.replace("\N{NARROW NO-BREAK SPACE}", " ") in words.replace(
            "\N{NARROW NO-BREAK SPACE}", " "
        ), told
    assert len(page.all("img")) == 3
    assert len(page.all("svg")) == 1
    assert len(page.all("details")) == 3


@pytest.mark.parametrize("verdict", ["fail", "inconclusive"])
def test_a_bad_verdict_says_why(verification: Verification, verdict: str) -> None:
    first = replace(verification.checks[0], status=verdict, value=2.0, reason="for a reason")
    page = Page(to_html(replace(verification, checks=(first, *verification.checks[1:])), [], {}))
    assert [s["class"] for s in page.all("section") if s.get("id") == "verdict"] == [f"verdict {verdict}"]
    assert replace(verification, checks=(first, *verification.checks[1:])).reason in page.words
    assert page.words.count("for a reason") >= 2


def test_a_stand_in_cannot_be_overlooked(verification: Verification) -> None:
    assert "STAND-IN" not in to_html(verification, [], {})
    assert "STAND-IN" in to_html(replace(verification, stand_in=True), [], {})


def test_nothing_is_asked_of_a_network_and_nothing_runs(verification: Verification, row: PictureRow) -> None:
    text = to_html(verification, [row], ENVIRONMENT)
    page = Page(text)
    assert "http:" not in text
    assert "https:" not in text
    assert "@import" not in text
    assert "url(" not in text
    assert not page.all("script")
    for _, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on")]
        for name in ("src", "href"):
            assert (attributes.get(name) or "data:").startswith("data:")


def test_pictures_inside_are_pictures(verification: Verification, row: PictureRow) -> None:
    uris = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', to_html(verification, [row], {}))
    sizes = [Image.open(io.BytesIO(base64.b64decode(uri, validate=True))).size for uri in uris]
    assert sizes == [(90, 60)] * 3


@pytest.mark.parametrize("field", ["input", "output", "metric", "reason", "runtime", "device", "precision"])
def test_names_of_checks_are_escaped(verification: Verification, field: str) -> None:
    checks = tuple(replace(check, **{field: NASTY}) for check in verification.checks)
    text = to_html(replace(verification, checks=checks), [], {})
    assert "<script" not in text
    assert SAFE in text or SAFE.replace("&#39;", "&#x27;").replace("&#34;", "&quot;") in text
    assert not set(text) & {"\x00", "\x1b", "\ud800"}
    Page(text).close()


def test_other_names_are_escaped(verification: Verification, row: PictureRow) -> None:
    named = replace(verification, model=NASTY, reference=NASTY, pictures=(NASTY,))
    pictures = [replace(row, name=NASTY, told=NASTY)]
    point = TracePoint(0, NASTY, NASTY, (1,), 1e-3, 1e-3)
    hop = HopTrace("ir", NASTY, NASTY, NASTY, 2e-2, trace=Trace((point,)))
    named = replace(named, traces=(hop,), warnings=(NASTY,))
    text = to_html(named, pictures, {NASTY: NASTY}, NASTY)
    assert "<script" not in text
    assert text.count(SAFE) >= 8
    text.encode()


def test_a_picture_that_could_not_be_compared_says_so(verification: Verification, row: PictureRow) -> None:
    page = Page(to_html(verification, [replace(row, converted=None, difference=None)], {}))
    assert len(page.all("img")) == 1
    assert page.words.count("nothing to draw") == 2


def test_a_trace_gives_a_depth_curve(verification: Verification) -> None:
    points = (
        TracePoint(0, "conv1", "Conv", (1, 8), 1e-5, 1e-6),
        TracePoint(1, "conv2", "Conv", (1, 8), None, None),
    )
    hop = HopTrace("ir", "FP16", "CPU", "a.jpg", 2e-2, trace=Trace(points))
    page = Page(to_html(replace(verification, traces=(hop,)), [], {}))
    assert "Where the error comes from" in page.words
    assert "first diverging tensor on a.jpg: conv2 (Conv)" in page.words
    assert len(page.all("svg")) == 2
    assert len(page.all("circle")) == 2


def test_a_hop_that_could_not_be_traced_says_why(verification: Verification) -> None:
    hop = HopTrace("ir", "FP16", "CPU", "a.jpg", 2e-2, reason="no names are shared")
    page = Page(to_html(replace(verification, traces=(hop,)), [], {}))
    assert "no names are shared" in page.words
    assert len(page.all("svg")) == 1


def test_a_warning_is_shown(verification: Verification) -> None:
    page = Page(to_html(replace(verification, warnings=("limits.FP16.heads is loose",)), [], {}))
    assert "limits.FP16.heads is loose" in page.words
    assert "Where the error comes from" not in to_html(verification, [], {})


def test_the_same_result_gives_the_same_bytes(verification: Verification, row: PictureRow) -> None:
    assert to_html(verification, [row], ENVIRONMENT) == to_html(verification, [row], ENVIRONMENT)


def test_many_checks_and_noisy_pictures_stay_small(verification: Verification, recipe: Recipe) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (700, 700, 3), dtype=np.uint8)
    nothing = Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.int64), np.zeros(0, np.float32))
    row = picture_row(recipe, "a.jpg", noise, nothing, nothing)
    checks: list[Check] = [replace(verification.checks[0], input=f"{n}.jpg") for n in range(500)]
    text = to_html(replace(verification, checks=tuple(checks)), [row] * 8, ENVIRONMENT)
    assert len(text.encode()) < 3_000_000


def test_a_result_without_checks_is_a_page_too() -> None:
    page = Page(to_html(Verification("m", (), "torch 2", (), 0), [], {}))
    assert "inconclusive" in page.words


def test_a_file_that_was_held_against_itself_alone_is_not_told_as_compared(
    verification: Verification,
) -> None:
    contract = tuple(check for check in verification.checks if check.level in ("contract", "control"))
    page = Page(to_html(replace(verification, checks=contract), [], {}))
    assert "No IR was compared with anything but itself" in page.words
    assert "within every limit" not in page.words
