"""Verdicts as text, HTML, JSON and JUnit XML.

plain       texts of clients and servers, made safe to print
markup      HTML from tags, with every text escaped
wording     what all reports share: order, names, times
evidence    as_json: the shape of specs/verdicts.schema.json
terminal    text: what matters first
suite       junit: JUnit XML
coverage    what a client was exposed to, and what it was not
grid        coverage as HTML tables
timeline    a violation as a drawing
situations  what a client met, and what was left out
github      annotations of GitHub Actions
cards       a card for each violated clause
page        html: one file
"""

from contracts.report.coverage import Coverage, covered
from contracts.report.evidence import as_json
from contracts.report.github import github
from contracts.report.page import html
from contracts.report.situations import situations_json
from contracts.report.suite import junit
from contracts.report.terminal import text
from contracts.report.wording import GENERAL, number_of

__all__ = [
    "GENERAL",
    "Coverage",
    "as_json",
    "covered",
    "github",
    "html",
    "junit",
    "number_of",
    "situations_json",
    "text",
]
