"""The report as JUnit XML: a test suite for each file that was judged, a test case for each check.

Readers of this format differ. What is written is what GitLab, Jenkins and GitHub's actions all read:
counts on each suite, no times, and in each test case at most one of `failure`, `error` and `skipped`.
The verdict is a test case too, for it can be bad while every check is good: when the original detects
nothing, for one.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from xml.etree import ElementTree

from ssdconvert.report.builds import Build
from ssdconvert.report.result import Check, Verification, describe
from ssdconvert.report.words import limit_text, passing_limit, printable, value_text


def to_junit(verification: Verification) -> str:
    """Return the report of a verification, to be written as UTF-8."""
    return _text(verification.model, _suites(verification))


def builds_to_junit(builds: Iterable[Build]) -> str:
    """Return the reports of several builds in one file; one without a report is a failure.

    A test case's class has the model's name in front: readers take two of the same class and name for one.
    """
    suites = []
    for build in builds:
        if build.verification is None:
            suites.append(_unverified_suite(build))
            continue
        for suite in _suites(build.verification):
            for case in suite.iter("testcase"):
                candidate = case.get("classname", "")
                if candidate != printable(build.name):
                    case.set("classname", f"{printable(build.name)}: {candidate}")
            suites.append(suite)
    return _text("ssdconvert", suites)


def _suites(verification: Verification) -> list[ElementTree.Element]:
    suites = [_verdict_suite(verification)]
    in_order = sorted(verification.checks, key=_order(verification.checks))
    for candidate, checks in groupby(in_order, key=lambda check: check.candidate):
        suites.append(_suite(verification, describe(candidate), list(checks)))
    return suites


def _unverified_suite(build: Build) -> ElementTree.Element:
    suite = _named(f"{build.name}: verdict", {})
    case = _case(suite, build.name, "verdict")
    _outcome(case, "failure", build.verdict, build.reason, build.reason)
    suite.attrib |= _counts([suite])
    return suite


def _text(name: str, suites: Sequence[ElementTree.Element]) -> str:
    root = ElementTree.Element("testsuites", {"name": printable(name)} | _counts(suites))
    root.extend(suites)
    ElementTree.indent(root)
    text = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'


def _order(checks: Sequence[Check]) -> Callable[[Check], int]:
    """Sort by candidate, in the order in which candidates come first."""
    places = {candidate: place for place, candidate in enumerate(dict.fromkeys(c.candidate for c in checks))}
    return lambda check: places[check.candidate]


def _verdict_suite(verification: Verification) -> ElementTree.Element:
    facts = {"reference": verification.reference, "pictures": ", ".join(verification.pictures)}
    if verification.stand_in:
        facts["stand-in"] = "the weights come from a seed: not to be deployed"
    suite = _named(f"{verification.model}: verdict", facts)
    case = _case(suite, verification.model, "verdict")
    if verification.verdict != "pass":
        kind = "failure" if verification.verdict == "fail" else verification.verdict
        _outcome(case, "failure", kind, verification.reason, verification.reason)
    suite.attrib |= _counts([suite])
    return suite


def _suite(verification: Verification, candidate: str, checks: Sequence[Check]) -> ElementTree.Element:
    facts = {
        "executed on": ", ".join(sorted({check.executed_on for check in checks} - {""})),
        "execution precision": ", ".join(sorted({check.execution_precision for check in checks} - {""})),
    }
    suite = _named(f"{verification.model}: {candidate}", {name: told for name, told in facts.items() if told})
    for check in checks:
        parts = (check.level, check.output, check.metric, check.input)
        _judged(_case(suite, candidate, "/".join(part for part in parts if part)), check)
    suite.attrib |= _counts([suite])
    return suite


def _judged(case: ElementTree.Element, check: Check) -> None:
    """Add to a test case how its check ended."""
    measured = f"value {value_text(check)}, limit {limit_text(check)}"
    if check.level != "control":
        measured += f", smallest limit that passes {passing_limit(check)}"
    told = "\n".join(text for text in (check.reason, measured) if text)
    if check.status == "skipped":
        ElementTree.SubElement(case, "skipped", {"message": printable(check.reason)})
    elif check.status == "inconclusive":
        _outcome(case, "failure", "inconclusive", check.reason or measured, told)
    elif check.status == "fail" and check.value is None:
        _outcome(case, "error", "not measured", check.reason or measured, told)
    elif check.status == "fail":
        _outcome(case, "failure", "failure", f"{check.metric}: {measured}", told)
    else:
        ElementTree.SubElement(case, "system-out").text = printable(told)


def _named(name: str, facts: dict[str, str]) -> ElementTree.Element:
    suite = ElementTree.Element("testsuite", {"name": printable(name)})
    if facts:
        properties = ElementTree.SubElement(suite, "properties")
        for key, value in facts.items():
            ElementTree.SubElement(properties, "property", {"name": key, "value": printable(value)})
    return suite


def _case(suite: ElementTree.Element, classname: str, name: str) -> ElementTree.Element:
    attributes = {"classname": printable(classname), "name": printable(name)}
    return ElementTree.SubElement(suite, "testcase", attributes)


def _outcome(case: ElementTree.Element, tag: str, kind: str, message: str, text: str) -> None:
    attributes = {"type": kind, "message": printable(message)}
    ElementTree.SubElement(case, tag, attributes).text = printable(text)


def _counts(suites: Iterable[ElementTree.Element]) -> dict[str, str]:
    """Count the test cases of suites, and those that ended in each way."""
    tags = {"tests": "testcase", "failures": "failure", "errors": "error", "skipped": "skipped"}
    together = list(suites)
    return {name: str(sum(len(list(suite.iter(tag))) for suite in together)) for name, tag in tags.items()}
