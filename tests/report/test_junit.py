"""The JUnit file, read back by a parser of XML."""

from collections import Counter
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import pytest

from ssdconvert.report.junit import to_junit
from ssdconvert.report.result import Check, Verification, judged


def check(number: float, limit: float = 1.0, **changes: Any) -> Check:
    fields: dict[str, Any] = {
        "hop": "ir",
        "level": "heads",
        "device": "CPU",
        "runtime": "openvino 1",
        "precision": "FP32",
        "input": "a.jpg",
        "output": "class_logits",
        "metric": "max error / scale",
        **judged(number, limit),
    }
    return Check(**(fields | changes))


def parsed(*checks: Check, **changes: Any) -> ElementTree.Element:
    text = to_junit(replace(Verification("m", checks, "torch 2", ("a.jpg",), 3), **changes))
    return ElementTree.fromstring(text.encode())


def outcome(root: ElementTree.Element, name: str) -> ElementTree.Element:
    (case,) = [case for case in root.iter("testcase") if case.get("name") == name]
    (child,) = list(case)
    return child


NAME = "heads/class_logits/max error / scale/a.jpg"


def test_a_test_case_a_check_and_one_for_the_verdict() -> None:
    root = parsed(
        check(0.1),
        check(0.2, precision="FP16"),
        check(2.0, input="b.jpg"),
        check(float("nan"), input="c.jpg"),
        check(0, device="GPU", runtime="", value=None, status="skipped", reason="no device GPU"),
        check(
            0,
            hop="control",
            level="control",
            output="mean dropped",
            status="inconclusive",
            reason="seen by none",
        ),
    )
    suites = list(root)
    assert [suite.get("name") for suite in suites] == [
        "m: verdict",
        "m: FP32 IR on CPU (openvino 1)",
        "m: FP16 IR on CPU (openvino 1)",
        "m: FP32 IR on GPU",
        "m: negative controls on CPU (openvino 1)",
    ]
    assert {name: root.get(name) for name in ("tests", "failures", "errors", "skipped")} == {
        "tests": "7",
        "failures": "3",
        "errors": "1",
        "skipped": "1",
    }
    for suite in suites:
        tags = Counter(child.tag for child in suite.iter())
        counted = {"tests": "testcase", "failures": "failure", "errors": "error", "skipped": "skipped"}
        assert {name: int(suite.get(name, "")) for name in counted} == {
            n: tags[t] for n, t in counted.items()
        }


def test_every_suite_holds_the_cases_of_its_candidate_only() -> None:
    mixed = [check(0.1, precision=precision, input=name) for name in "ab" for precision in ("FP32", "FP16")]
    for suite in list(parsed(*mixed))[1:]:
        assert len(suite.findall("testcase")) == 2
        assert {case.get("classname") for case in suite.iter("testcase")} == {suite.get("name", "")[3:]}


def test_a_failure_tells_value_limit_and_what_would_pass() -> None:
    failure = outcome(parsed(check(2.345, reason="why")), NAME)
    assert (failure.tag, failure.get("type")) == ("failure", "failure")
    assert (
        failure.get("message") == "max error / scale: value 2.35, limit ≤ 1, smallest limit that passes 2.4"
    )
    assert failure.text == "why\nvalue 2.35, limit ≤ 1, smallest limit that passes 2.4"


def test_what_could_not_be_measured_is_an_error() -> None:
    error = outcome(parsed(check(float("inf"))), NAME)
    assert (error.tag, error.get("type")) == ("error", "not measured")
    assert error.get("message") == "the value is not a finite number"


def test_skipped_and_inconclusive_have_their_reasons() -> None:
    root = parsed(
        check(0, status="skipped", reason="no device GPU"),
        check(0, output="x", status="inconclusive", reason="r"),
    )
    assert outcome(root, NAME).attrib == {"message": "no device GPU"}
    inconclusive = outcome(root, "heads/x/max error / scale/a.jpg")
    assert (inconclusive.tag, inconclusive.get("type")) == ("failure", "inconclusive")


def test_a_bad_verdict_on_good_checks_is_a_failure() -> None:
    root = parsed(check(0.1), reference_detections=0)
    assert root.get("failures") == "1"
    verdict = outcome(root, "verdict")
    assert verdict.get("type") == "inconclusive"
    assert "detects nothing" in verdict.get("message", "")
    assert not [case for case in parsed(check(0.1)).iter("failure")]


NASTY = "a<b>&\"'\x00\x07\x1b[31m]]>\ud800\ufffe\U0001f600é\n.jpg"


@pytest.mark.parametrize("field", ["input", "output", "metric", "reason", "runtime", "device"])
@pytest.mark.parametrize("status", ["pass", "fail", "skipped", "inconclusive"])
def test_nasty_characters_neither_break_the_file_nor_survive(field: str, status: str) -> None:
    clean = "a<b>&\"'[31m]]>\U0001f600é\n.jpg"
    root = parsed(check(2.0, **{"status": status, field: NASTY}), model=NASTY, pictures=(NASTY,))
    written = [text for element in root.iter() for text in (*element.attrib.values(), element.text or "")]
    assert any(clean in text for text in written)
    assert root.get("name") == clean


def test_the_same_result_gives_the_same_text() -> None:
    result = Verification("m", (check(0.1), check(2.0)), "torch 2", ("a.jpg",), 3)
    assert to_junit(result) == to_junit(result)
    assert "time" not in to_junit(result)
