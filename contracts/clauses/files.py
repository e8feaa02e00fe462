"""Files: put a resumed download together rightly, download once, and check what it is."""

from __future__ import annotations

import re
from collections.abc import Iterator

from contracts.analysis import (
    HTTP_OK,
    OK,
    elsewhere,
    faults_in,
    is_short,
    is_whole,
    secured,
    spoiled,
    traces_of,
    whole_sizes,
)
from contracts.clause import Exercised, Finding, Violation, check, clause
from contracts.journal import Exchange, Job, Journal

_FROM = re.compile(r"bytes=(\d+)-")


@clause(
    "results.resumed-right",
    "Resume a download at the right byte; start again if Range is ignored.",
    general=True,
    elsewhere="must",
)
def resumed_right(journal: Journal) -> Iterator[Finding]:
    """Compare the sizes of files that were fetched in parts with what they should be."""
    for job in journal.jobs:
        downloads = [each for trace in traces_of(journal, job) for each in trace.downloads]
        resumed = [each for each in downloads if (found := _FROM.match(each.header("Range") or "")) and int(found[1])]
        right = whole_sizes(downloads)
        broken_off = any(is_short(each) for each in downloads)
        if not (resumed or broken_off) or not right or job.ended != "returned" or job.size_bytes is None:
            continue
        if not resumed:
            if job.size_bytes in right:
                yield Exercised()  # it started again
            continue
        ignored = resumed[-1].status == HTTP_OK
        what = "the whole file came although a part was asked for" if ignored else "the download was resumed"
        yield check(
            job.size_bytes in right,
            (*downloads[:1], resumed[-1]),
            f"{what}, and job {job.number} returned {job.size_bytes} bytes instead of {max(right)}",
            "the bytes of the file, each once",
            "append after 206 from the byte that Content-Range names; after 200, begin the file again",
        )


@clause("results.downloaded-once", "Download each file once.", general=True, severity="should")
def downloaded_once(journal: Journal) -> Iterator[Finding]:
    """Find a file that is downloaded again although it was received completely."""
    for trace in journal.traces:
        whole: dict[tuple[str, str], Exchange] = {}
        for download in trace.downloads:
            if not is_whole(download) or spoiled(download) or download.faults or download.header("Range"):
                continue
            link = download.path, download.query
            first = whole.setdefault(link, download)
            called = any(first.seq < each.seq < download.seq for each in trace.deliveries)
            if first is not download and not called and len(_owners(journal, trace.task)) <= 1:
                yield Violation(
                    (first, download),
                    "the same file was downloaded again, after it had been received completely",
                    "one download",
                    "keep the bytes of the first download: traffic may be limited, and links expire",
                )
                break
        else:
            if whole:
                yield Exercised()


def _owners(journal: Journal, task: str) -> list[Job]:
    return [job for job in journal.jobs if any(trace.task == task for trace in traces_of(journal, job))]


@clause("results.own-file", "Save the file of each job under a name of its own.", general=True)
def own_file(journal: Journal) -> Iterator[Finding]:
    """Find jobs that returned the path of a file that another job had returned."""
    places: dict[str, Job] = {}
    done = [job for job in journal.jobs if job.ended == "returned" and job.size_bytes is not None]
    for job in done:
        first = places.setdefault(job.file, job) if job.file else job
        if first is not job:
            yield Violation(
                tuple(each for trace in traces_of(journal, job) for each in trace.downloads[-1:]),
                f"jobs {first.number} and {job.number} returned the same file, {job.file}",
                "a file for each job",
                "put the task id into the file name; otherwise one job's video overwrites another's",
            )
        elif len(done) > 1:
            yield Exercised()


@clause(
    "results.is-a-video",
    "Check that a download is the file that was made, such as a video: a web page with status 200 is not one.",
    general=True,
    severity="should",
)
def is_a_video(journal: Journal) -> Iterator[Finding]:
    """Find jobs that returned a web page as their file."""
    made = sorted({each.media for each in journal.provider.results.values()})
    if "text/html" in made:
        return
    for job in journal.jobs:
        downloads = [each for trace in traces_of(journal, job) for each in trace.downloads]
        pages = [each for each in downloads if _is_page(each)]
        if not pages or job.ended == "never":
            continue
        sizes = {each.answer_bytes for each in pages}
        kept = job.size_bytes in sizes or (job.size_bytes is None and downloads[-1] in pages)
        yield check(
            job.ended != "returned" or not kept,
            (pages[-1],),
            f"job {job.number} was reported as done with a file of type {pages[-1].answer_header('Content-Type')}",
            f"a file of type {' or '.join(made) or 'video/…'}",
            "check Content-Type, or the first bytes of the file; download again, or report an error",
        )


def _is_page(download: Exchange) -> bool:
    sent = (download.answer_header("Content-Type") or "").lower()
    return download.status in OK and sent.startswith("text/html")


@clause(
    "auth.no-key-to-other-hosts",
    "Do not send the API key to another host that a redirect names.",
    covers=["*.auth.keep-secret"],
    general=True,
    severity="should",
)
def no_key_to_other_hosts(journal: Journal) -> Iterator[Finding]:
    """Find the key in requests that followed a redirect to another host."""
    header = journal.provider.key.header
    for each in journal.exchanges:
        if elsewhere(journal, each):
            yield check(
                each.header(header) is None,
                (each,),
                f"a redirect to {each.header('Host')} was followed with {header}",
                "no key at another host",
                "do not follow redirects of API requests, or take the key out for another host",
            )
        elif each.answer_header("Location") and secured(journal, each) and faults_in(each, "redirects"):
            yield Exercised()
