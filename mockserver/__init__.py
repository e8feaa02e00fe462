"""An offline mock server for asynchronous generative-video APIs.

Data flows one way, and each line imports only from the lines above it:

    clock, chance    one clock, one seeded source of randomness
    patterns         regular expressions from outside, in linear time
    provider         a provider, compiled from its specs: frozen values
    settings         what a user can set
    certificates     the local CA, and certificates for TLS
    spec             reads, checks and compiles specs: YAML to provider
    engine           decides: state, request and now in, outcome out; no I/O
    faults           one fault a file
    scenarios        scripted sequences of faults
    media            result files: video and audio
    journal          what went over the wire
    recording        recorded traffic, from journals and HAR files
    edge             performs: the HTTP server, callbacks, the control plane, the live page
    interception     the providers' real hosts lead to a server, in this process
    testing          the server in your own process; pytest fixtures
    launch           runs a command, as it is, against the mock
    terminal, demo   what the command line prints; the demo
    cli              the command line
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
#: What is installed: `pip install …`.
DISTRIBUTION = "mockserver-genvideo"
__all__ = [
    "AsyncClock",
    "AsyncRunningServer",
    "AsyncTask",
    "Clock",
    "MockServer",
    "MockServerMixin",
    "RunningServer",
    "Task",
    "__version__",
]

if TYPE_CHECKING:
    from mockserver.testing.mixin import MockServerMixin
    from mockserver.testing.running import AsyncRunningServer, MockServer, RunningServer
    from mockserver.testing.views import AsyncClock, AsyncTask, Clock, Task

_PLACES = {"MockServerMixin": "mixin", **dict.fromkeys(("AsyncClock", "AsyncTask", "Clock", "Task"), "views")}


def __getattr__(name: str) -> Any:
    if name in __all__:  # loaded on demand: the CLI starts faster
        return getattr(import_module(f"mockserver.testing.{_PLACES.get(name, 'running')}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
