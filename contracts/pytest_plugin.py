"""The pytest fixture `contract`: at the end of a test, it judges the client's traffic by the documented rules.

    def test_a_job(mock_server, contract):
        MyClient(mock_server.url("evolink"), mock_server.key("evolink")).generate("a red kite")

The test fails if a `must` was violated (`--contracts-fail-on should`: a `should`, too);
``contract.allow("results.without-key")`` ignores a clause.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator

    from contracts.clause import Severity, Verdict
    from mockserver.testing.running import RunningServer

# Everything else is imported in functions: pytest loads this module in every run, also where no test uses it.


class Contract:
    """Judges the traffic of one test."""

    def __init__(self, server: RunningServer) -> None:
        self._server = server
        self._allowed: set[str] = set()

    def allow(self, *clauses: str) -> None:
        """Ignore violations of these clauses.

        Raises:
            ValueError: unknown clause.
        """
        from contracts.clause import current_id  # noqa: PLC0415

        self._allowed.update([current_id(name) for name in clauses])

    def verdicts(self) -> list[Verdict]:
        """Judge the traffic so far."""
        from contracts.journal import of_records  # noqa: PLC0415
        from contracts.judge import judge_journal  # noqa: PLC0415

        journals = of_records(self._server.journal, self._server.server.providers)
        return [verdict for journal in journals for verdict in judge_journal(journal)]

    def failure(self, fail_on: Severity) -> str:
        """Return the report of the violations that fail the test; empty if there are none."""
        from contracts.judge import fails  # noqa: PLC0415

        broken = [each for each in self.violated() if fails(each, fail_on)]
        if not broken:
            return ""
        from contracts.report import text  # noqa: PLC0415

        return text(broken)

    def violated(self) -> list[Verdict]:
        """Return the violations that are not allowed; a `must` among them fails the test at its end."""
        return [
            each for each in self.verdicts() if each.judgement == "violated" and each.clause.id not in self._allowed
        ]


def pytest_assertrepr_compare(op: str, left: object, right: object) -> list[str] | None:
    """Explain verdicts in a failed assertion, in the format of a report."""
    if op != "==" or not (isinstance(left, list) and isinstance(right, list)):
        return None
    shown = [each for each in (*left, *right) if type(each).__module__ == "contracts.clause"]
    if not shown:
        return None
    from contracts.report import text  # noqa: PLC0415

    return [f"{len(left)} verdicts == {len(right)}", *text(shown).splitlines()]


@pytest.fixture
def contract(mock_server: RunningServer) -> Contract:
    """Judge this test's client: the test fails if a rule that it must keep is broken."""
    return Contract(mock_server)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--contracts-fail-on`."""
    parser.addoption(
        "--contracts-fail-on",
        choices=["must", "should"],
        default="must",
        help="the least severity of a violation that fails a test with the fixture `contract`",
    )


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """Judge at the end of the test itself, so that a violation is a failure and not an error at teardown."""
    result = yield
    judge = pyfuncitem.funcargs.get("contract")
    if isinstance(judge, Contract):
        failure = judge.failure(pyfuncitem.config.getoption("contracts_fail_on"))
        if failure:
            pytest.fail(failure, pytrace=False)
    return result
