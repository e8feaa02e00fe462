"""Run a Python client in one situation, in virtual time.

Client, server and callback receiver live in one event loop whose seconds cost nothing. The same client,
situation and seed give the same traffic.

    alarm         stop a client that hangs
    digest_spy    whether signatures are compared in constant time
    session       one run: server, client, jobs, callbacks
    runner        start a session in a virtual loop, and clean up
"""

from __future__ import annotations

from contracts.client.in_process.runner import run_scenario, run_situation

__all__ = ["run_scenario", "run_situation"]
