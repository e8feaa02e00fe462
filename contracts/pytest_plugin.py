"""pytest fixture `contract`: at the end of a test, the client's traffic is judged by the documents' rules.

    def test_a_job(mock_server, contract):
        MyClient(mock_server.url("evolink"), mock_server.key("evolink")).generate("a red kite")

The test fails where a `must` was violated; ``contract.allow("results.without-key")`` lets a clause be.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from contracts.clause import Verdict
    from mockserver.testing.running import RunningServer


class Contract:
    """The judge of one test."""

    def __init__(self, mock: RunningServer) -> None:
        self._mock = mock
        self._allowed: set[str] = set()

    def allow(self, *clauses: str) -> None:
        """Let these clauses be, whatever becomes of them.

        Raises:
            ValueError: there is no clause of this id.
        """
        from contracts.clause import all_clauses  # noqa: PLC0415 - only tests that use it pay for it

        known = {each.id for each in all_clauses()}
        for name in clauses:
            if name not in known:
                raise ValueError(f"there is no clause {name!r}; `contracts list` lists them")
        self._allowed.update(clauses)

    def verdicts(self) -> list[Verdict]:
        """Judge what went over the wire so far."""
        from contracts.journal import of_records  # noqa: PLC0415
        from contracts.judge import judge_journal  # noqa: PLC0415

        journals = of_records(self._mock.journal, self._mock.server.providers)
        return [verdict for journal in journals for verdict in judge_journal(journal)]

    def violated(self) -> list[Verdict]:
        """Return what was violated and not allowed; a `must` fails the test."""
        return [
            each for each in self.verdicts() if each.judgement == "violated" and each.clause.id not in self._allowed
        ]


def pytest_assertrepr_compare(op: str, left: object, right: object) -> list[str] | None:
    """Say of verdicts in an assertion what a report says of them."""
    if op != "==" or not (isinstance(left, list) and isinstance(right, list)):
        return None
    shown = [each for each in (*left, *right) if type(each).__module__ == "contracts.clause"]
    if not shown:
        return None
    from contracts.report import text  # noqa: PLC0415

    return [f"{len(left)} verdicts == {len(right)}", *text(shown).splitlines()]


@pytest.fixture
def contract(mock_server: RunningServer) -> Iterator[Contract]:
    """A judge of this test's client: the test fails if it broke a rule that it must keep."""
    judge = Contract(mock_server)
    yield judge
    broken = [each for each in judge.violated() if each.clause.severity == "must"]
    if broken:
        from contracts.report import text  # noqa: PLC0415

        pytest.fail(text(broken), pytrace=False)
