"""The server in your own process, for tests.

journal_lines      the journal in a failing test's report
assertions         what a test demands of a client: `mock.evolink.submitted(times=1)`
given              the settings of `MockServer`, for type checkers
provider_handle    one provider: assertions, and verbs that inject faults: `mock.evolink.fail_next()`
views              journal, accounts, tasks and clock of a running server
running            `MockServer`, which starts one, and `RunningServer`
mixin              `MockServerMixin`, for unittest
pytest_plugin      the fixtures `mock_server`, `async_mock_server`, `mock_server_intercepted` and `clock`
"""
