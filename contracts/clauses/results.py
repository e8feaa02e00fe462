"""Results: fetched in time, whole, from the link as it was given, and without the key."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from contracts.analysis import KEY_MARK, OK, first_end, seconds_text
from contracts.clause import Exercised, Finding, Violation, clause

if TYPE_CHECKING:
    from collections.abc import Iterator

    from contracts.journal import Exchange, Journal


@clause(
    "results.fetched",
    "The file of a task that has succeeded is fetched.",
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
    """Look for a download after each success."""
    for trace in journal.traces:
        found = first_end(journal, trace)
        if found is None or found[1].kind != "success":
            continue
        linked = any("late_url" not in query.faults for query in trace.queries if query.seq >= found[0].seq)
        if trace.downloads:
            yield Exercised()
        elif not linked:
            continue  # the client gave the task up before it was given a link
        else:
            yield Violation(
                (found[0],),
                "no download of a task that has succeeded",
                "a download",
                "fetch the file as soon as its link is there",
            )


@clause(
    "results.in-time",
    "A file is fetched before its link expires.",
    covers=["*.result.expiry-*", "*.result.download-in-time"],
    general=True,
)
def in_time(journal: Journal) -> Iterator[Finding]:
    """Look for downloads that the store refuses because the link's time is over."""
    for trace in journal.traces:
        found = first_end(journal, trace)
        for download in trace.downloads:
            if download.error == "result_expired" and not download.faults:
                after_s = None if found is None else (download.at_ms - found[0].at_ms) / 1000
                since = "" if after_s is None else f", {seconds_text(after_s)} after the end was seen"
                yield Violation(
                    (*(found[:1] if found else ()), download),
                    f"a download after the link had expired{since}",
                    "a download before that",
                    "fetch the file when the task ends, and keep a copy",
                )
            elif download.status in OK:
                yield Exercised()


@clause(
    "results.without-key",
    "The key is not sent to the store of the files.",
    covers=["*.result.no-key-needed"],
    general=True,
)
def without_key(journal: Journal) -> Iterator[Finding]:
    """Look for the key's header on downloads."""
    header = journal.provider.key.header
    for download in journal.of_role("result"):
        sent = download.header(header)
        marked = any(KEY_MARK in value for _, value in download.headers)
        if sent is not None or marked:
            yield Violation(
                (download,),
                f"a download with {header}",
                "a plain GET of the link",
                f"do not send {header} with downloads: the store is somebody else's",
            )
        else:
            yield Exercised()


@clause(
    "results.link-as-given",
    "A file is fetched from the link as it was given.",
    covers=["*.result.media-type"],
    general=True,
    severity="should",
)
def link_as_given(journal: Journal) -> Iterator[Finding]:
    """Look for each download's target in an answer or a callback before it."""
    for trace in journal.traces:
        given = "".join(
            (each.answer_body if not hasattr(each, "delivery") else each.body) or ""
            for each in (*trace.queries, *trace.submits)
        ) + "".join(each.body or "" for each in trace.deliveries)
        if not given:
            continue
        for download in trace.downloads:
            if re.search(re.escape(_target(download)) + r"(?![\w.~%/?&=+-])", given):
                yield Exercised()
            elif download.status is None or download.status not in OK:
                yield Violation(
                    (download,),
                    f"a download from {_target(download)}, which nobody gave",
                    "the link as it was given",
                    "use the link as it is, query included",
                )


def _target(download: Exchange) -> str:
    return f"{download.path}?{download.query}" if download.query else download.path


@clause(
    "results.whole",
    "A download that broke off is made again; half a file is not kept.",
    general=True,
)
def whole(journal: Journal) -> Iterator[Finding]:
    """Look for downloads that were cut, and whether another one follows."""
    for trace in journal.traces:
        for number, download in enumerate(trace.downloads):
            length = download.answer_header("Content-Length")
            if download.status not in OK or length is None or not length.isdecimal() or download.method == "HEAD":
                continue
            if download.answer_bytes >= int(length):
                continue
            if number + 1 < len(trace.downloads):
                yield Exercised()
            else:
                yield Violation(
                    (download,),
                    f"{download.answer_bytes} of {length} bytes came, and nothing was fetched again",
                    "a whole file",
                    "compare what came with Content-Length, and fetch again",
                )
