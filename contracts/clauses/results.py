"""Results: download the file in time and completely, from the link as given, without the API key."""

from __future__ import annotations

import re
from collections.abc import Iterator

from contracts.analysis import (
    KEY_MARK,
    OK,
    cut_off,
    faults_in,
    first_end,
    is_short,
    received,
    seconds_text,
    secured,
)
from contracts.clause import Exercised, Finding, Violation, check, clause
from contracts.journal import Exchange, Journal
from mockserver.engine.leaves import links_in


@clause(
    "results.fetched",
    "Download the file of a task that succeeded.",
    covers=[
        "*.poll.done-gives-output",
        "*.result.fetch-url",
        "*.result.rehost-at-once",
        "*.callback.download-on-completed",
    ],
    general=True,
    severity="should",
)
def fetched(journal: Journal) -> Iterator[Finding]:
    """Find successes without a download."""
    for trace in journal.traces:
        found = first_end(journal, trace)
        if found is None or found[1].kind != "success":
            continue
        later = (query for query in trace.queries if query.seq >= found[0].seq)
        linked = any(not faults_in(query, "withholds_links") and _offers(journal, query) for query in later)
        if trace.downloads:
            yield Exercised()
        elif not linked or cut_off(journal, trace):
            continue  # the client received no link, or was stopped before it could follow one
        else:
            yield Violation(
                (found[0],),
                "no download of a task that succeeded",
                "a download",
                "download the file as soon as its link is available",
            )


def _offers(journal: Journal, query: Exchange) -> bool:
    """Tell whether there is a file to fetch: a link in an answer, or a fixed path of the API for results."""
    if not received(query) or not journal.provider.results:
        return False
    linked = any(True for _ in links_in(query.answer))
    return linked or any(each.role == "result" and each.secured for each in journal.provider.operations.values())


@clause(
    "results.in-time",
    "Download the file before its link expires.",
    covers=["*.result.expiry-*", "*.result.download-in-time"],
    general=True,
)
def in_time(journal: Journal) -> Iterator[Finding]:
    """Find downloads that are refused because the link has expired."""
    for trace in journal.traces:
        found = first_end(journal, trace)
        for download in trace.downloads:
            fresh = any(each.seq > download.seq and each.status in OK for each in trace.downloads)
            if fresh and download.status not in OK:
                continue  # a fresh link was asked for in time
            if download.error == "result_expired" and not download.faults:
                after_s = None if found is None else (download.at_ms - found[0].at_ms) / 1000
                since = "" if after_s is None else f", {seconds_text(after_s)} after the end was shown"
                yield Violation(
                    (*(found[:1] if found else ()), download),
                    f"a download after the link had expired{since}",
                    "a download before that",
                    "download the file when the task ends, and keep a copy",
                )
            elif download.status in OK:
                yield Exercised()


@clause(
    "results.without-key",
    "Do not send the API key to the file host.",
    covers=["*.result.no-key-needed"],
    general=True,
    elsewhere="must",
    judges_requests=True,
)
def without_key(journal: Journal) -> Iterator[Finding]:
    """Find downloads with the key's header."""
    header = journal.provider.key.header
    for download in journal.of_role("result"):
        if secured(journal, download):
            continue  # the spec wants the key there
        sent = download.header(header)
        redacted = any(KEY_MARK in value for _, value in download.headers)
        yield check(
            sent is None and not redacted,
            (download,),
            f"a download with {header}",
            "a plain GET of the link",
            f"do not send {header} with downloads: the file host is a third party",
        )


@clause(
    "results.link-as-given",
    "Use the file's link unchanged.",
    general=True,
    severity="should",
)
def link_as_given(journal: Journal) -> Iterator[Finding]:
    """Find failed downloads whose target does not appear in any answer or callback."""
    for trace in journal.traces:
        answers = [each.answer_body or "" for each in (*trace.queries, *trace.submits)]
        given = "".join((*answers, *(each.body or "" for each in trace.deliveries)))
        if not given or "://" not in given:
            continue  # no link was given: the file has a fixed path
        for download in trace.downloads:
            if re.search(re.escape(_target(download)) + r"(?![\w.~%/?&=+-])", given):
                yield Exercised()
            elif download.status is None or download.status not in OK:
                yield Violation(
                    (download,),
                    f"a download from {_target(download)}, which does not appear in any answer",
                    "the link as given",
                    "use the link unchanged, query included",
                )


def _target(download: Exchange) -> str:
    return f"{download.path}?{download.query}" if download.query else download.path


@clause("results.whole", "Repeat an incomplete download; do not keep a partial file.", general=True, severity="should")
def whole(journal: Journal) -> Iterator[Finding]:
    """Find incomplete downloads that are not followed by another one."""
    for trace in journal.traces:
        for number, download in enumerate(trace.downloads):
            if download.status not in OK or download.method == "HEAD" or not is_short(download):
                continue
            if number + 1 < len(trace.downloads):
                yield Exercised()
            elif not cut_off(journal, trace):
                length = download.answer_header("Content-Length")
                yield Violation(
                    (download,),
                    f"{download.answer_bytes} of {length} bytes were received, and the download was not repeated",
                    "a complete file",
                    "compare the received size with Content-Length, and download again",
                )
