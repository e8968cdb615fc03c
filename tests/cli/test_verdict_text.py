"""The lines of text that tell what was judged of each candidate."""

import click

from ssdconvert.cli.render import verification_text
from ssdconvert.report.result import Check, Verification, judged


def test_a_share_that_is_too_small_is_told_with_its_limit() -> None:
    check = Check(
        "ir", "detections", "CPU", "openvino 2024.6.0", "INT8", "a.jpg", "", "min share matched",
        **judged(0.75, 0.9, at_least=True), executed_on="CPU",
    )  # fmt: skip
    text = click.unstyle(verification_text(Verification("tiny", (check,), "torch 2", ("a.jpg",), 3)))
    assert "fail  min share matched: 0.7500 (limit 0.9)" in text
