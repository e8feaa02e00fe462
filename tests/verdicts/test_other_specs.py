"""APIs with other habits than the built-in ones: clauses read from the spec where things are, and what is asked."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from support.traffic import TASK, Traffic, providers

from contracts import judge_journal
from contracts.analysis import accepted, end_sent, status_of
from contracts.server.extract import Extractor
from contracts.server.spec import load

if TYPE_CHECKING:
    from contracts.clause import Verdict
    from contracts.journal import Journal

GOOGLE = "googlegeminiomni"
DONE = {"jobId": TASK[GOOGLE], "status": "done", "outputUrl": "http://h/omni/u/t/output.mp4"}


def changed(role: str, traffic: Traffic, **fields: Any) -> Journal:
    """Return traffic at a provider whose operations of a role differ."""
    journal = traffic.journal()
    operations = {
        name: replace(each, **fields) if each.role == role else each
        for name, each in journal.provider.operations.items()
    }
    return replace(journal, provider=replace(journal.provider, operations=operations))


def verdict(journal: Journal, clause: str) -> Verdict:
    """Return what a clause says."""
    return next(each for each in judge_journal(journal) if each.clause.id == clause)


def test_the_model_is_in_the_field_that_the_spec_says() -> None:
    """Deep inside the body, or nowhere."""
    example = dict(next(iter(providers()[GOOGLE].models.values())).example or {})
    body = {**example, "options": {"engine": example["model"]}}
    wrong = {**body, "options": {"engine": "none"}}
    for sent, wanted in ((body, "kept"), (wrong, "violated")):
        status = 200 if wanted == "kept" else 400
        traffic = Traffic().submit(body=sent, status=status, task=None)
        journal = changed("submit", traffic, model_field="options.engine")
        assert verdict(journal, "submit.body-as-documented").judgement == wanted


def test_a_form_is_sent_where_the_spec_says_so() -> None:
    """It is no JSON, and need not be."""
    headers = [["Content-Type", "multipart/form-data; boundary=x"], ["Authorization", "Bearer [key of acct_1]"]]
    traffic = Traffic().submit(body="--x--", headers=headers)
    form = changed("submit", traffic, media_types=("multipart/form-data",))
    assert verdict(form, "submit.content-type").judgement == "kept"
    assert verdict(form, "submit.body-as-documented").judgement == "not exercised"
    assert verdict(traffic.journal(), "submit.content-type").judgement == "violated"


def test_the_status_is_where_the_spec_says_in_its_words() -> None:
    """The field has another name, and an end is called otherwise."""
    answer = {"jobId": TASK[GOOGLE], "status": "ok", "job": {"phase": "ready"}}
    journal = changed(
        "query", Traffic().submit().query(answer=answer), status_at=(("job", "phase"),), status_words={"ready": "done"}
    )
    query = journal.of_role("query")[0]
    assert status_of(journal.provider, query) == "done"
    end = end_sent(journal, query)
    assert end is not None
    assert end.kind == "success"


def test_the_key_is_sent_where_downloads_need_it() -> None:
    """The spec secures them."""
    keyed = [["Authorization", "Bearer [key of acct_1]"]]
    traffic = Traffic().submit().wait(60).query("done", answer=DONE).download(headers=keyed)
    assert verdict(traffic.journal(), "results.without-key").judgement == "violated"
    assert verdict(changed("result", traffic, secured=True), "results.without-key").judgement == "not exercised"


def test_a_fixed_path_is_no_tidied_link() -> None:
    """No answer has a link, because the API serves files at a path of its own."""
    traffic = Traffic().submit().wait(60).query("done").download(status=503)
    assert verdict(changed("result", traffic, secured=True), "results.link-as-given").judgement == "not exercised"


def test_what_is_no_file_need_not_be_fetched() -> None:
    """The result is in the answer."""
    answer = {"jobId": TASK[GOOGLE], "status": "done", "text": "a haiku"}
    journal = Traffic().submit().wait(60).query("done", answer=answer).job(size_bytes=7).journal()
    assert verdict(journal, "results.fetched").judgement == "not exercised"
    assert verdict(journal, "outcome.success-is-real").judgement == "kept"
    assert verdict(journal, "outcome.makes-video").judgement == "kept"


@pytest.mark.parametrize("more", [{}, {"otherwise": {"links": ["$task.result_url"]}}])
def test_a_link_inside_a_choice_is_found(more: dict[str, Any]) -> None:
    """The template of an answer may choose by the model or by another fact."""
    template = {"file": {"by": "$task.model", "values": {"a": "$task.result_url"}, **more}}
    places = Extractor(load(GOOGLE, (), (), ""), [template])
    assert places.read("$task.result_url", {"file": "http://h/a.mp4"}) == "http://h/a.mp4"


def test_a_task_may_be_named_by_a_header_alone() -> None:
    """The answer to the submit has no body; its Location leads to the task."""
    located = [["Location", f"http://h/jobs/{TASK[GOOGLE]}"]]
    for headers, wanted in ((located, True), ([], False)):
        (submit,) = Traffic().submit(status=202, answer="", answer_headers=headers).journal().of_role("submit")
        assert accepted(submit) is wanted


def test_the_model_is_in_the_path() -> None:
    """A refused submit is not accused of naming none."""
    example = dict(next(iter(providers()[GOOGLE].models.values())).example or {})
    body = {key: value for key, value in example.items() if key != "model"}
    journal = changed(
        "submit", Traffic().submit(body=body, status=400, task=None), model_name=example["model"], model_keys=()
    )
    assert "missing" not in str([each.seen for each in verdict(journal, "submit.body-as-documented").violations])
