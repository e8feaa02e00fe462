"""The server in your own process, for tests.

provider_handle    injects faults at one provider: `mock.evolink.fail_next()`
views              journal, accounts, tasks and clock of a running server
running            `MockServer`, which starts one, and `RunningServer`
pytest_plugin      the fixtures `mock_server` and `clock`
"""
