"""Verdicts for people and for machines.

terminal    text: what matters first
page        html: one file, with drawings
evidence    as_json: the shape of specs/verdicts.schema.json
suite       junit: JUnit XML
coverage    what a client was made to meet, and what it was not
"""

from contracts.report.coverage import Coverage, covered
from contracts.report.evidence import as_json
from contracts.report.page import html
from contracts.report.suite import junit
from contracts.report.terminal import text

__all__ = ["Coverage", "as_json", "covered", "html", "junit", "text"]
