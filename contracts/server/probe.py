"""Requests that must be refused: without a key, with an unknown task, with a malformed body."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from contracts.server.client import ApiClient
from contracts.server.evidence import Evidence, Probe
from contracts.server.targets import read_request, task_request, unused_task_id

JSON = {"Content-Type": "application/json"}
_LONG_KEY = "x" * 600
_MALFORMED_ID = "~no-id~"


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
