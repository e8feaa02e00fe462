"""An offline stand-in for asynchronous generative-video APIs.

The map of the house, in the direction in which things flow:

    specs/*.yaml ─► spec ─► provider ─► engine ─► edge ─► journal
                    YAML to  frozen     pure:     sockets, what went
                    values   values     decides   performs over the wire

    spec/       reading, checking and compiling specs
    provider    what a provider is, once compiled
    engine/     lifecycles, gates, limits, credits, callbacks: state, request and now in, outcome out
    clock, chance, journal    one clock, one seed, one truth
    edge/       the server, callback deliveries, files, the control plane
    mock        the server in your own process; pytest_plugin has it as fixtures
    cli, demo, config         the command line
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["MockServer", "__version__"]

if TYPE_CHECKING:
    from mockserver.testing.running import MockServer


def __getattr__(name: str) -> Any:
    if name == "MockServer":
        from mockserver.testing.running import MockServer  # noqa: PLC0415 - imported when wanted: the CLI starts faster

        return MockServer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
