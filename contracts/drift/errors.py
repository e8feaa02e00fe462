"""Holds errors against the table of errors: their codes and types, their status, their Retry-After."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from contracts.drift.bodies import setting
from contracts.drift.differences import Differences
from contracts.drift.spec import DocumentedSpec
from contracts.journal import Exchange
from mockserver.engine.leaves import texts_in
from mockserver.provider import ErrorAnswer
from mockserver.spec.pointer import MISSING, pointed

_FACTS = ("status", "code", "type", "name")
_WORD = re.compile(r"[^a-z0-9]+")


def word(text: str) -> str:
    """Make a name of a text, as specs have them."""
    return _WORD.sub("_", text.lower()).strip("_")


class Errors:
    """The table of errors, and what differs from it."""

    def __init__(self, documented: DocumentedSpec, differences: Differences) -> None:
        self._spec = documented
        self._found = differences

    def of_status(self, status: int) -> list[ErrorAnswer]:
        """Return the errors with a status."""
        return [each for each in self._spec.provider.errors.values() if each.status == status]

    def facts(self, error: ErrorAnswer) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Yield what the body of an error shows of it, and where."""
        extractor = self._spec.error_facts[error.name]
        for fact in _FACTS:
            for pointer in extractor.of(f"$error.{fact}"):
                yield fact, pointer

    def tells(self, error: ErrorAnswer, body: Any) -> bool:
        """Tell whether a body shows the code and the type of an error."""
        return all(_same(pointed(body, pointer, MISSING), getattr(error, fact)) for fact, pointer in self.facts(error))

    def found_with_status(self, exchange: Exchange, error: ErrorAnswer) -> None:
        """Report an error that comes with another status than its own."""
        self._found.tested["errors"] += 1
        place = self._spec.mock.at("errors", error.name)
        made = {**place.mapping(), "status": exchange.status, "code": error.code}
        self._found.add(
            *("errors", ("status",), [exchange]),
            seen=f"the error {error.name} comes with the status {exchange.status}",
            asks=f"its status is {error.status}",
            place=place,
            edit=setting(place, value=made),
        )

    def judge(self, exchange: Exchange, body: Any) -> None:
        """Hold the code and type of an error, and its Retry-After, against the table of errors."""
        table = self.of_status(exchange.status or 0)
        if not table or not isinstance(body, dict):
            return
        self._found.tested["errors"] += 1
        meant = [each for each in table if self.tells(each, body)]
        if meant:
            self._retry_after(exchange, meant)
            return
        if self._other_fact(exchange, table, body):
            return
        seen: dict[str, Any] = {fact: pointed(body, pointer) for fact, pointer in self.facts(table[0])}
        seen = {fact: value for fact, value in seen.items() if isinstance(value, str | int) and fact != "status"}
        if not seen:
            return  # the shape of the body says what is missing
        words = " and ".join(f"{fact} {value!r}" for fact, value in seen.items())
        known = ", ".join(f"{each.name} ({each.type or each.code})" for each in table)
        errors = self._spec.mock.at("errors")
        name = word(str(seen.get("type") or seen.get("code") or seen.get("name"))) or "error"
        while name in errors.mapping():
            name += "_2"
        message = next((value for value in texts_in(body) if " " in value), "As recorded")
        made: dict[str, Any] = {
            "status": exchange.status,
            **{key: seen[key] for key in ("code", "type") if key in seen},
        }
        self._found.add(
            *("errors", (exchange.status, words), [exchange]),
            seen=f"{exchange.operation or exchange.path} {exchange.status}: an error with {words}",
            asks=f"with this status there are {known}",
            place=errors,
            edit=setting(errors.at(name), value={**made, "message": message.replace("{", "(").replace("$", "")}),
        )

    def _other_fact(self, exchange: Exchange, table: list[ErrorAnswer], body: Any) -> bool:
        """Report a field that shows another fact of an error than the template says."""
        for error in table:
            facts = list(self.facts(error))
            wrong = [each for each in facts if not _same(pointed(body, each[1], MISSING), getattr(error, each[0]))]
            if len(wrong) != 1 or len(facts) < 2:
                continue
            ((fact, pointer),) = wrong
            value = pointed(body, pointer, MISSING)
            other = next(
                (each for each in _FACTS if value not in (None, MISSING) and _same(value, getattr(error, each))), None
            )
            if other is None:
                continue
            place = self._spec.error_template(error).field(*pointer)
            self._found.add(
                *("errors", ("fact", other), [exchange]),
                seen=f"{'.'.join(pointer)} of errors is their {other}: {value!r}",
                asks=f"it is $error.{fact}",
                place=place,
                edit=setting(place, value=f"$error.{other}"),
            )
            return True
        return False

    def _retry_after(self, exchange: Exchange, errors: list[ErrorAnswer]) -> None:
        sent = exchange.answer_header("Retry-After") is not None
        if any(sent == (each.retry_after or each.retry_after_s is not None) for each in errors):
            return
        error = errors[0]
        place = self._spec.mock.at("errors", error.name)
        made = {key: each for key, each in place.mapping().items() if not key.startswith("retry_after")}
        self._found.add(
            *("errors", ("retry_after", sent), [exchange]),
            seen=f"{error.name} ({error.status}) comes {'with' if sent else 'without'} Retry-After",
            asks=f"it comes {'without' if sent else 'with'} it",
            place=place,
            edit=setting(place, value={**made, "retry_after": True} if sent else made),
        )


def _same(seen: Any, known: Any) -> bool:
    return bool(seen == known and isinstance(seen, bool) == isinstance(known, bool))
