"""What clauses read out of a journal: who tried what again, what an answer told of a task."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from contracts.journal import Exchange, Job, Journal, Story
    from mockserver.provider import End, Model, Provider

HTTP_OK = 200
OK = range(200, 300)
#: What the journal writes in a key's place.
KEY_MARK = "[key of "


def again(journal: Journal, exchanges: Iterable[Exchange]) -> Iterator[list[Exchange]]:
    """Give the chains of one and the same request: same target, same body, same account, one after the other.

    A chain goes on as long as it is not answered with success.
    """
    chains: dict[Any, list[Exchange]] = {}
    for each in exchanges:
        name = (each.account, each.method, each.path, each.query, each.body)
        chain = chains.setdefault(name, [])
        chain.append(each)
        if each.status is not None and each.status in OK and refusal_inside(journal.provider, each) is None:
            yield chains.pop(name)
    yield from chains.values()


def refusal_inside(provider: Provider, exchange: Exchange) -> Any:
    """Return the code of an error that stands inside an answer with a 2xx status; None where there is none."""
    answer = exchange.answer
    if exchange.status is None or exchange.status not in OK or not isinstance(answer, dict):
        return None
    if _word(answer) in words_known(provider):
        return None  # it shows a task, and an error in it is the task's
    if answer.get("error"):
        return answer["error"]
    code = answer.get("code")
    codes = {error.code for error in provider.errors.values()}
    return code if code in codes else None


def status_word(exchange: Exchange) -> str | None:
    """Return the word that an answer has for a task's state; None where it has none."""
    return _word(exchange.answer)


def _word(value: Any) -> str | None:
    if isinstance(value, dict):
        for key in ("status", "state", "taskStatus", "task_status"):
            if isinstance(value.get(key), str):
                return str(value[key])
        for each in value.values():
            found = _word(each)
            if found is not None:
                return found
    return None


def words_known(provider: Provider) -> set[str | None]:
    """Return every word that the provider has for a state, older ones included."""
    lifecycle = provider.lifecycle
    return {*(state.name for state in lifecycle.states), *lifecycle.ends, *lifecycle.older_words.values()}


def end_shown(journal: Journal, exchange: Exchange) -> End | None:
    """Return the end that an answer shows a task in."""
    if exchange.status is None or exchange.status not in OK:
        return None
    if refusal_inside(journal.provider, exchange) is not None:
        return None
    word = status_word(exchange)
    ends = journal.provider.lifecycle.ends
    return ends.get(word) or ends.get(word.lower()) if word is not None else None


def first_end(journal: Journal, story: Story) -> tuple[Exchange, End] | None:
    """Return the first query that showed a task's end, and the end."""
    for query in story.queries:
        end = end_shown(journal, query)
        if end is not None:
            return query, end
    return None


def model_of(journal: Journal, submit: Exchange) -> Model | None:
    """Return the model that a submit names, if the provider has it."""
    body = submit.json
    name = body.get("model") if isinstance(body, dict) else None
    return journal.provider.models.get(name) if isinstance(name, str) else None


def stories_of(journal: Journal, job: Job) -> list[Story]:
    """Return the stories of the tasks that were submitted for a job: its prompt stands in the submits."""
    return [each for each in journal.stories if any(job.prompt in (submit.body or "") for submit in each.submits)]


def submits_of(journal: Journal, job: Job) -> list[Exchange]:
    """Return the submits that were made for a job."""
    return [each for each in journal.of_role("submit") if job.prompt in (each.body or "")]


def is_whole(download: Exchange) -> bool:
    """Tell whether a file came whole."""
    length = download.answer_header("Content-Length")
    whole = length is None or not length.isdecimal() or download.answer_bytes >= int(length)
    return download.method == "GET" and download.status == HTTP_OK and whole


def accepted(exchange: Exchange) -> bool:
    """Tell whether a submit's answer says which task was made."""
    good = exchange.status is not None and exchange.status in OK and exchange.task is not None
    return good and isinstance(exchange.answer, dict) and str(exchange.task) in (exchange.answer_body or "")


def by_account(exchanges: Iterable[Exchange]) -> dict[str | None, list[Exchange]]:
    """Sort requests by the account that they were made with."""
    out: dict[str | None, list[Exchange]] = defaultdict(list)
    for each in exchanges:
        out[each.account].append(each)
    return out


def secured(journal: Journal, exchange: Exchange) -> bool:
    """Tell whether a request goes to an operation that wants a key."""
    operation = journal.provider.operations.get(exchange.operation or "")
    return operation is not None and operation.secured


def said(value_s: float) -> str:
    """Write a number of seconds."""
    return f"{value_s:.3f}".rstrip("0").rstrip(".") + " s"
