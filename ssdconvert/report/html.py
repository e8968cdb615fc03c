"""The report as one page of HTML that needs nothing beside it: no network, no scripts, pictures inside."""

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from ssdconvert.report import words
from ssdconvert.report.comparison import PictureRow
from ssdconvert.report.plots import depth_curve, histogram
from ssdconvert.report.result import (
    SHIPPED,
    Check,
    HopTrace,
    Verification,
    describe,
    divergence_text,
    short_name,
)
from ssdconvert.report.runtimes import cell_text, runtime_table
from ssdconvert.report.words import worst_checks

LIMIT_AT = 70  # percent of a bar's width; what is beyond is the colour of failures


@dataclass(frozen=True)
class Chart:
    """A drawing, what it shows, and of what."""

    name: str
    told: str
    svg: Markup


@dataclass(frozen=True)
class Group:
    """What was found of one candidate: the worst of each measurement, and every check."""

    name: str
    status: str
    told: str
    worst: tuple[Check, ...]
    checks: tuple[Check, ...]


def template(name: str) -> Template:
    """Return a template of this folder: text is escaped, and a name that it is not given is an error."""
    environment = Environment(
        loader=PackageLoader("ssdconvert", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)


def to_html(
    verification: Verification,
    pictures: Sequence[PictureRow],
    environment: Mapping[str, str],
    title: str = "",
) -> str:
    """Return the page.

    `environment` holds facts by name, such as versions of tools; `title` what the model is, in words.
    """
    page = template("report.html.j2").render(
        verification=verification,
        headline=_headline(verification),
        title=title,
        facts=_facts(verification),
        groups=_groups(verification),
        pictures=pictures,
        charts=_charts(verification),
        depths=[_depth(trace) for trace in verification.traces],
        environment=environment,
        devices=_devices(verification),
        runtimes=runtime_table(verification),
        cell_text=cell_text,
        words=words,
        bar=bar,
        data_uri=_data_uri,
        statistics=_statistics,
        short_name=short_name,
        told=lambda check: _told(verification, check),
    )
    return words.printable(page)


def _headline(verification: Verification) -> str:
    """Say in a sentence what the verdict means."""
    if verification.verdict != "pass":
        return verification.reason
    compared = [c for c in verification.checks if c.hop == "ir" and c.level in ("heads", "detections")]
    if not any(check.status == "pass" for check in compared):
        return "The contract of the outputs holds. No IR was compared with anything but itself, so no more is shown."
    count = sum(check.status == "pass" for check in verification.checks)
    return f"The converted model is the original within every limit: {count} checks on {_pictures(verification)}."


def _objects(found: int, verification: Verification) -> str:
    return f"{'object' if found == 1 else 'objects'} on {_pictures(verification)}"


def _pictures(verification: Verification) -> str:
    count = len(verification.pictures)
    return f"{count} picture" if count == 1 else f"{count} pictures"


def _facts(verification: Verification) -> dict[str, tuple[str, str]]:
    """Return what is worth knowing at a glance: name -> (large, small)."""
    checks = verification.checks
    statuses = [check.status for check in checks]
    bad = [f"{statuses.count(s)} {w}" for s, w in _BAD.items() if s in statuses]
    found = verification.reference_detections
    facts = {
        "Reference": ("the original", f"in {verification.reference}"),
        "To be detected": (
            "tensors" if found is None else str(found),
            "of which nobody says what they mean" if found is None else _objects(found, verification),
        ),
        "Checks passed": (f"{statuses.count('pass')} of {len(checks)}", ", ".join(bad) or "none failed"),
    }
    controls = [check for check in checks if check.level == "control"]
    if controls:
        seen = sum(check.status == "pass" for check in controls)
        facts["Deliberate mistakes"] = (f"{seen} of {len(controls)} seen", "by the limits of FP32")
    shares = [(words.share_of_limit(check) or 0.0, check) for check in checks if check.level != "control"]
    far, check = max(
        (one for one in shares if one[0] < math.inf), key=lambda one: one[0], default=(0.0, None)
    )
    if check and far:
        name = "Farthest beyond its limit" if far > 1 else "Nearest to its limit"
        facts[name] = (_share(far), f"{short_name(check.hop, check.precision)}: {words.measured(check)}")
    return facts


_BAD = {"fail": "failed", "inconclusive": "inconclusive", "skipped": "skipped"}


def _groups(verification: Verification) -> list[Group]:
    """Put the checks of each candidate together, in the order in which they were made."""
    order = list(dict.fromkeys(check.candidate for check in verification.checks))
    groups = []
    in_order = sorted(verification.checks, key=lambda check: order.index(check.candidate))
    for candidate, together in groupby(in_order, key=lambda check: check.candidate):
        checks = tuple(together)
        status = words.worst_status(checks)
        groups.append(
            Group(describe(candidate), status, _executed(checks), tuple(worst_checks(checks)), checks)
        )
    return groups


def _executed(checks: Sequence[Check]) -> str:
    """Say where and in which type a candidate really ran."""
    ran = [check for check in checks if check.executed_on]
    if not ran:
        return ""
    precision = ran[0].execution_precision
    return f"ran on {ran[0].executed_on}" + (f", computed in {precision}" if precision else "")


def _devices(verification: Verification) -> list[Check]:
    """Return a check of each candidate, for what it says of device and runtime."""
    return list(
        {check.candidate: check for check in verification.checks if check.level != "control"}.values()
    )


def _told(verification: Verification, check: Check) -> str:
    """Return what a user told the device that a file ran on; other engines, and a simulation, are told nothing."""
    if check.hop not in SHIPPED or check.runtime.startswith("onnxruntime"):
        return ""
    settings = verification.settings.get(check.device, {})
    return ", ".join([*(f"{key}={value}" for key, value in settings.items()), *verification.extensions])


def bar(check: Check) -> Markup:
    """Draw how much of its limit a value takes, and say it."""
    share = words.share_of_limit(check)
    if share is None:
        return Markup("")
    if check.level == "control":
        return Markup('<span class="share">{}</span>').format(_times(1 / share) if share else "")
    width = min(share * LIMIT_AT, 100.0)
    kind = "over" if share > 1 else ""
    return Markup(
        '<span class="bar" aria-hidden="true"><i class="{}" style="width:{:.1f}%"></i></span>'
        '<span class="share">{}</span>'
    ).format(kind, width, _share(share))


def _share(share: float) -> str:
    """Return a part of the limit in percent, from ten times the limit on as a factor."""
    if share >= 10:
        return _times(share)
    percent = 100 * share
    if 0 < percent < 0.01:
        return "< 0.01 %"
    return f"{percent:.{0 if percent >= 10 or not percent else 1 if percent >= 1 else 2}f} %"


def _times(share: float) -> str:
    if math.isinf(share):
        return "none allowed"
    return f"{share:,.0f} ×".replace(",", "\N{NARROW NO-BREAK SPACE}")  # noqa: RUF001


def _statistics(check: Check) -> str:
    return ", ".join(f"{name} {words.number(value)}" for name, value in check.statistics.items())


def _charts(verification: Verification) -> list[Chart]:
    """Draw the errors of each head of each candidate, over all pictures."""
    charts = []
    counted = [check for check in verification.checks if check.histogram and check.level == "heads"]
    keys = dict.fromkeys((check.candidate, check.output) for check in counted)
    for candidate, output in sorted(keys, key=lambda key: key[0][0] != "ir"):  # what is shipped, first
        checks = [check for check in counted if (check.candidate, check.output) == (candidate, output)]
        counts = [sum(column) for column in zip(*(check.histogram for check in checks), strict=True)]
        limit = checks[0].limit if checks[0].metric.startswith("max ") else None
        name = describe(candidate)
        charts.append(Chart(output, name, Markup(histogram(counts, limit, f"Errors of {output}: {name}"))))
    return charts


def _depth(hop: HopTrace) -> Chart:
    """Draw the errors of a hop's inner tensors in their order."""
    name = f"{short_name(hop.hop, hop.precision)} on {hop.device}"
    errors = [(point.tensor, hop.error(point)) for point in hop.trace.points]
    points = [(tensor, math.inf if error is None else error) for tensor, error in errors]
    svg = depth_curve({name: points}, hop.limit, f"Error by depth: {name}") if points else ""
    return Chart(name, divergence_text(hop), Markup(svg))


def _data_uri(picture: bytes) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(picture).decode()}"
