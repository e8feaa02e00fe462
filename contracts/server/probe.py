"""Requests that must be refused: without a key, with an unknown task, with a malformed body."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from contracts.server.budget import OverBudgetError
from contracts.server.client import ApiClient
from contracts.server.evidence import Evidence, Probe
from contracts.server.spec import Spec
from contracts.server.targets import read_request, task_request, unused_task_id

JSON = {"Content-Type": "application/json"}
_LONG_KEY = "x" * 600
_MALFORMED_ID = "~no-id~"
#: How far above an example's number a number is looked for that the document rules out.
_NEXT = 100


class KeyRefusedError(Exception):
    """The server does not accept the user's key."""


@dataclass
class ServerProbe:
    """Sends requests that must be refused; the answers go into the evidence as they arrive."""

    client: ApiClient
    evidence: Evidence
    seed: int

    def check_key(self) -> None:
        """Check that the server can be reached and accepts the key.

        Raises:
            KeyRefusedError: the key is not accepted.
            UnreachableError: nothing listens at the address.
        """
        refusals = self.evidence.spec.provider.refusals
        call = self.client.ask(*read_request(self.evidence.spec, self._unused_id()))
        refused = [refusals[each] for each in ("missing_key", "invalid_key", "plan_forbidden")]
        if call.refusal in refused or call.status in (401, 403):
            text = " ".join(call.content.decode("utf-8", "replace").split())
            raise KeyRefusedError(f"the server does not accept this key: {call.status} {text[:160]}")

    def probe(self) -> None:
        """Send every request that must be refused."""
        spec = self.evidence.spec
        method, target = read_request(spec, self._unused_id())
        self._probe("missing_key", method, target, key=False)
        self._probe("invalid_key", method, target, key=False, headers=self.client.key_headers(_LONG_KEY))
        self._probe("unknown_path", "GET", "/no/such/path")
        submit = spec.of_role("submit")[0]
        self._probe("malformed_body", submit.method, submit.path, headers=JSON, body=b'{"model": ')
        for invalid in _with_other_values(spec):
            with contextlib.suppress(OverBudgetError):  # a careless server may accept it
                self._probe("invalid_body", submit.method, submit.path, headers=JSON, body=json.dumps(invalid).encode())
        for query in spec.of_role("query"):
            method, target, body = task_request(spec, query, self._unused_id())
            self._probe("unknown_task", method, target, headers=JSON if body else None, body=body)
            matches = spec.provider.task_id_matches
            if matches is not None and not matches(_MALFORMED_ID):
                method, target, body = task_request(spec, query, _MALFORMED_ID)
                self._probe("malformed_task_id", method, target, headers=JSON if body else None, body=body)

    def _probe(self, condition: str, method: str, target: str, **request: Any) -> None:
        self.evidence.probes.append(Probe(condition, self.client.ask(method, target, **request)))

    def _unused_id(self) -> str:
        return unused_task_id(self.evidence.spec, self.seed, self.client.now_ms())


def _with_other_values(spec: Spec) -> Iterator[dict[str, Any]]:
    """Yield the first model's example with numbers that its document rules out: the next one above, and a text."""
    model = next((each for each in spec.provider.models.values() if each.example is not None), None)
    if model is None or model.example is None:
        return
    for keys, value in _whole_numbers(model.example):
        others = [*range(value + 1, value + _NEXT), str(value)]
        changed = (_with_value(model.example, keys, other) for other in others)
        refused = [each for each in changed if not model.request.accepts(each)]
        yield from (refused[:1] if len(refused) < 2 else [refused[0], refused[-1]])


def _whole_numbers(value: Any, keys: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], int]]:
    if isinstance(value, int) and not isinstance(value, bool):
        yield keys, value
    elif isinstance(value, Mapping):
        for key, each in value.items():
            yield from _whole_numbers(each, (*keys, key))


def _with_value(body: Mapping[str, Any], keys: tuple[str, ...], value: Any) -> dict[str, Any]:
    """Return a body in which one field, perhaps of an inner object, has another value."""
    first, *rest = keys
    return {**body, first: _with_value(body[first], tuple(rest), value) if rest else value}
