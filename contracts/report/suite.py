"""Verdicts as JUnit XML."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterable

from contracts.clause import Verdict
from contracts.judge import ranked
from contracts.report.plain import line, plain
from contracts.report.terminal import violated
from contracts.report.wording import counted


def junit(verdicts: Iterable[Verdict]) -> str:
    """Write verdicts as JUnit XML: one test case per clause; violated is failed, not tested is skipped."""
    ordered = ranked(verdicts)
    counts = counted(ordered)
    suite = ET.Element(
        "testsuite",
        name="contracts",
        tests=str(len(ordered)),
        failures=str(counts["violated"]),
        errors="0",
        skipped=str(counts["not exercised"]),
    )
    for each in ordered:
        case = ET.SubElement(suite, "testcase", classname=f"contracts.{plain(each.provider)}", name=each.clause.id)
        if each.judgement == "violated":
            message = "; ".join(line(violation.seen) for violation in each.violations[:1])
            failure = ET.SubElement(case, "failure", message=message, type=each.severity)
            failure.text = plain("\n".join(violated(each)))
        elif each.judgement == "not exercised":
            reason = f": {each.reason}" if each.reason else ""
            ET.SubElement(case, "skipped", message=line(f"not tested by this run{reason}"))
    ET.indent(suite)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(suite, encoding="unicode") + "\n"
