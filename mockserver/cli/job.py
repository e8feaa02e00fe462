"""Runs one job on a mock of its own, as a client does that knows the document and nothing else."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import urlencode

from mockserver.spec.document import followed
from mockserver.spec.drafting.candidates import Entry
from mockserver.spec.drafting.known import Chosen
from mockserver.spec.drafting.writing import Draft
from mockserver.spec.pointer import pointed
from mockserver.spec.samples import sample
from mockserver.spec.schema import compile_schema
from mockserver.testing.running import MockServer

_MOST_POLLS = 100
_STEP_S = 2
_LONGEST_TOLD = 200
_USUAL_HEADERS = ("accept", "authorization", "content-type")
_FILE = re.compile(r'"(http[^"\\]*/mock-files/[^"\\]*)"')


class JobError(Exception):
    """A job was not taken, or did not end."""


def job_of(path: Path, chosen: Chosen, draft: Draft) -> str:
    """Run one job to its end; return in words what a client saw.

    Raises:
        JobError: it was not taken, or did not end.
    """
    seen: list[str] = []
    notes: list[str] = []
    with MockServer(specs=path, builtin=False) as mock:
        (provider,) = (each.provider for each in mock.runtime.world.providers.values())
        base = f"http://127.0.0.1:{mock.server.port}/{provider.name}"
        headers = provider.key.header_with(provider.key.example)
        submit, query = provider.operations[chosen.submits[0].id], provider.operations[chosen.query.id]
        model = next(iter(provider.models.values()))
        target = submit.path.replace("{", "").replace("}", "")
        url = _with(base + target, chosen.submits[0])
        made = _asked(submit.method, url, {**_headers(chosen.submits[0]), **headers}, model.example or {})
        notes += _misfits(chosen.submits[0], made)
        task_id = pointed(made, draft.id_path) if draft.id_path else None
        if task_id is None:
            raise JobError(f"the answer to {chosen.submits[0].name} shows no id")
        target = query.path.replace(f"{{{query.task_field}}}", str(task_id)).replace("{", "").replace("}", "")
        url = _with(base + target, chosen.query, {query.task_field: str(task_id)})
        headers = {**_headers(chosen.query), **headers}
        success = draft.status.shows.get(draft.status.ends["success"], draft.status.ends["success"])
        for _ in range(_MOST_POLLS):
            answer = _asked(query.method, url, headers)
            notes += _misfits(chosen.query, answer)
            status = pointed(answer, draft.status.path)
            seen += [str(status)] if str(status) not in seen[-1:] else []
            if status == success:
                break
            mock.clock.advance(_STEP_S)
        else:
            raise JobError(f"it is still {status}")
        if draft.has_file:
            links = _FILE.findall(json.dumps(answer))
            if not links:
                raise JobError(f"the answer to {chosen.query.name} shows no link to its file")
            _fetched("GET", links[0], {})
            seen.append("its file")
    draft.notes += dict.fromkeys(notes)
    return " → ".join(seen)


def _with(url: str, entry: Entry, known: Mapping[str, str] = MappingProxyType({})) -> str:
    """Add the parameters that an operation wants in the query."""
    wanted = {
        each["name"]: known.get(each["name"]) or sample(entry.document.data, each.get("schema", {}), bytes(64))
        for each in entry.parameters("query")
        if each.get("required") is True or each["name"] in known
    }
    return f"{url}?{urlencode(wanted)}" if wanted else url


def _headers(entry: Entry) -> dict[str, str]:
    """Return the headers that an operation wants, beside those that every request has."""
    return {
        each["name"]: str(sample(entry.document.data, each.get("schema", {}), bytes(64)))
        for each in entry.parameters("header")
        if each.get("required") is True and each["name"].lower() not in _USUAL_HEADERS
    }


def _misfits(entry: Entry, answer: Any) -> list[str]:
    """Say in what an answer does not fit its schema."""
    schema = followed(entry.document.data, entry.answer)
    if not schema:
        return []
    problems = compile_schema(entry.document, dict(entry.answer)).problems(answer)
    return [f"the answer of {entry.name} does not fit its schema: {each.message}" for each in problems]


def _asked(method: str, url: str, headers: dict[str, str], body: Any = None) -> Any:
    text = _fetched(method, url, headers, body)
    try:
        return json.loads(text)
    except ValueError:
        raise JobError(f"{method} {url} was not answered with JSON") from None


def _fetched(method: str, url: str, headers: dict[str, str], body: Any = None) -> bytes:
    data = None if body is None else json.dumps(body).encode()
    more = {} if body is None else {"Content-Type": "application/json"}
    request = urllib.request.Request(url, data, {**headers, **more}, method=method)  # noqa: S310 - this server's own
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=30) as answer:
            found: bytes = answer.read()
    except urllib.error.HTTPError as error:
        with error:
            said = error.read()[:_LONGEST_TOLD].decode("utf-8", "replace")
        raise JobError(f"{method} {url} was answered {error.code} {said}") from None
    return found
