"""The server in your own process, for tests: `MockServer`, its handles, and the pytest plugin."""
