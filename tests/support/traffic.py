"""Traffic made up for clauses: records as a journal has them, a step at a time."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any, Self

from contracts.journal import Job, Journal, RunnerFacts, of_records
from mockserver.clock import MANUAL_START_MS, iso_of
from mockserver.spec.catalog import load_providers

if TYPE_CHECKING:
    from mockserver.provider import Operation, Provider

TASK = {
    "crun": "0f9e8d7c-6b5a-4f3e-9d2c-1b0a9f8e7d6c",
    "evolink": "task-unified-1780617600-abcd1234",
    "googlegeminiomni": "job_abcdef123456",
    "toapis": "task_01ABCDEF",
}


@cache
def providers() -> dict[str, Provider]:
    """Return the built-in providers."""
    return {each.name: each for each in load_providers()}


class Traffic:
    """A client's day with one provider, written by hand. Instants are seconds since the start."""

    def __init__(self, name: str = "googlegeminiomni") -> None:
        self.provider = providers()[name]
        self.records: list[dict[str, Any]] = []
        self.jobs: list[Job] = []
        self.runner_facts: RunnerFacts | None = None
        self.speed = 1.0
        self.at_s = 0.0

    def wait(self, seconds: float) -> Self:
        """Let time pass."""
        self.at_s += seconds
        return self

    def _operation(self, role: str) -> Operation:
        return next(each for each in self.provider.operations.values() if each.role == role)

    def exchange(self, role: str, **fields: Any) -> Self:
        """Add a request and its answer; what is not said is as a good client has it."""
        operation = self._operation(role)
        task = fields.pop("task", TASK[self.provider.name])
        secured = operation.secured
        header = self.provider.key.header
        value = "[key of acct_1]" if not self.provider.key.bearer else "Bearer [key of acct_1]"
        headers = [["Content-Type", "application/json"]] + ([[header, value]] if secured else [])
        status = fields.pop("status", 200)
        path = fields.pop("path", operation.path.replace("{task_id}", task or "x").replace("{jobId}", task or "x"))
        answer = fields.pop("answer", {"jobId": task} if role == "submit" else {"jobId": task, "status": "generating"})
        body = fields.pop("body", None)
        record = {
            "seq": len(self.records) + 1,
            "kind": "exchange",
            "at": iso_of(MANUAL_START_MS + round(self.at_s * 1000)),
            "provider": self.provider.name,
            "operation": operation.id,
            "task": task,
            "account": "acct_1",
            "gate": fields.pop("gate", None),
            "error": fields.pop("error", None),
            "faults": fields.pop("faults", []),
            "request": {
                "method": operation.method,
                "path": f"/{self.provider.name}{path}",
                "query": fields.pop("query", ""),
                "headers": fields.pop("headers", headers),
                "body": None if body is None else body if isinstance(body, str) else json.dumps(body),
            },
            "response": None
            if status is None
            else {
                "status": status,
                "headers": fields.pop("answer_headers", [["Content-Type", "application/json"]]),
                "body": answer if isinstance(answer, str) else json.dumps(answer),
                "body_bytes": fields.pop("answer_bytes", 100),
            },
        }
        assert not fields, fields
        self.records.append(record)
        return self

    def submit(self, **fields: Any) -> Self:
        """Submit the first model's example."""
        model = next(iter(self.provider.models.values()))
        return self.exchange("submit", **{"body": dict(model.example or {}), **fields})

    def query(self, word: str = "generating", **fields: Any) -> Self:
        """Ask after the task; the answer shows a state."""
        task = fields.get("task", TASK[self.provider.name])
        return self.exchange("query", **{"answer": {"jobId": task, "status": word}, **fields})

    def download(self, **fields: Any) -> Self:
        """Fetch the file."""
        return self.exchange("result", **{"answer": "", "headers": [], "path": "/omni/u/t/output.mp4", **fields})

    def callback(self, outcome: str = "acknowledged", **fields: Any) -> Self:
        """Add an attempt at a callback."""
        status = fields.pop("status", {"acknowledged": 200, "refused": 500}.get(outcome))
        event = fields.pop("event", self.provider.lifecycle.success.name)
        self.records.append(
            {
                "seq": len(self.records) + 1,
                "kind": "delivery",
                "at": iso_of(MANUAL_START_MS + round(self.at_s * 1000)),
                "provider": self.provider.name,
                "task": fields.pop("task", TASK[self.provider.name]),
                "delivery": "dlv_000001",
                "event": event,
                "attempt": 1,
                "outcome": outcome,
                "faults": fields.pop("faults", []),
                "request": {"url": "http://127.0.0.1:9/hook", "headers": [], "body": fields.pop("body", "{}")},
                "response": None if status is None else {"status": status, "headers": [], "body": "", "body_bytes": 0},
            }
        )
        assert not fields, fields
        return self

    def job(self, ended: str = "returned", said: str = "", size_bytes: int | None = None, **fields: Any) -> Self:
        """End a job that a runner gave the client at the start: the first model's example."""
        example = dict(next(iter(self.provider.models.values())).example or {})
        prompt = fields.pop("prompt", example.get("input", example).get("prompt"))
        number, now_ms = len(self.jobs) + 1, MANUAL_START_MS + round(self.at_s * 1000)
        file = fields.pop("file", "")
        self.jobs.append(Job(number, prompt, ended, size_bytes, said, MANUAL_START_MS, now_ms, file=file))
        assert not fields, fields
        return self

    def signatures(self, signed: int, compared: int) -> Self:
        """Say how many signed callbacks a runner saw, and how many were compared in constant time."""
        self.runner_facts = RunnerFacts(signed, compared)
        return self

    def connected(self, most: int) -> Self:
        """Say how many connections a runner saw open at once."""
        self.runner_facts = RunnerFacts(most_connections=most)
        return self

    def at_speed(self, speed: float) -> Self:
        """Say how fast the clock went that the traffic was recorded by."""
        self.speed = speed
        return self

    def journal(self) -> Journal:
        """Return what was written, as a journal."""
        (found,) = of_records(self.records, [self.provider]) or [Journal(self.provider, ())]
        return replace(found, jobs=tuple(self.jobs), runner_facts=self.runner_facts, speed=self.speed)
