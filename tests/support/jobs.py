"""A small provider, `jobs`, for tests of single words of the vocabulary: each test adds the word that it is about."""

from __future__ import annotations

import tempfile
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import yaml
from multidict import CIMultiDict

from mockserver.chance import Chance
from mockserver.engine.messages import Request
from mockserver.engine.world import World, WorldRules
from mockserver.spec.catalog import load_providers
from mockserver.spec.check import check_files
from mockserver.spec.document import merge_patch

if TYPE_CHECKING:
    from mockserver.engine.callbacks import Delivery
    from mockserver.engine.client_time import ClientTime
    from mockserver.engine.messages import Response
    from mockserver.provider import Provider, ProviderRules

RECEIVER = "https://receiver.example/hooks"
START_MS = 1_780_617_600_000
#: The task ends so long after its submit.
LASTS_MS = 10_000
#: Publishes the key that verifies callbacks.
KEYS: dict[str, Any] = {
    "/.well-known/jwks.json": {
        "get": {
            "operationId": "keys",
            "security": [],
            "responses": {"200": {"description": "The keys."}},
            "x-mock": {"role": "keys"},
        }
    }
}
SPEC = Path(__file__).with_name("jobs.yaml").read_text(encoding="utf-8")


def spec_with(callbacks: dict[str, Any] | None = None, **patch: Any) -> str:
    """Return the spec with other callbacks, and with a merge patch of `x-mock` and `paths`."""
    data = deepcopy(yaml.safe_load(SPEC))
    if callbacks is not None:
        data["x-mock"]["callbacks"] |= callbacks
    paths = patch.pop("paths", {})
    data["paths"] = merge_patch(data["paths"], paths)
    data["x-mock"] = merge_patch(data["x-mock"], patch)
    return yaml.safe_dump(data, sort_keys=False)


def provider_of(text: str) -> Provider:
    """Load the provider of a spec."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "jobs.yaml"
        path.write_text(text, encoding="utf-8")
        (provider,) = load_providers([path], builtin=False)
    return provider


def issues_of(text: str) -> list[str]:
    """Return what `mockserver check` says of a spec."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "jobs.yaml"
        path.write_text(text, encoding="utf-8")
        return [str(each).replace(str(path), "jobs.yaml") for each in check_files([path])]


class Jobs:
    """A world with the small provider, and a client with a key."""

    def __init__(
        self,
        callbacks: dict[str, Any] | None = None,
        *,
        rules: ProviderRules | None = None,
        seed: int = 7,
        **patch: Any,
    ) -> None:
        self.provider = provider_of(spec_with(callbacks, **patch))
        chosen = {} if rules is None else {"jobs": rules}
        self.world = World([self.provider], Chance(seed), WorldRules("loopback", chosen), {"jobs": "http://mock.test"})
        self.state = self.world.providers["jobs"]
        #: The client's clock, where it runs differently.
        self.client: ClientTime | None = None

    def send(
        self, method: str, path: str, now_ms: int = START_MS, body: Any = None, *, key: str = "sk-test", **headers: str
    ) -> Response:
        """Send a request with a key."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        sent = CIMultiDict({"Authorization": f"Bearer {key}", "Content-Type": "application/json", **named})
        content = b"" if body is None else orjson.dumps(body)
        request = Request(method, path, sent, content)
        match = self.state.router.find(method, path)
        return self.world.handle(self.state, match, request, now_ms, self.client).response

    def submit(self, now_ms: int = START_MS, *, key: str = "sk-test", headers: Any = None, **fields: Any) -> Response:
        """Submit a task."""
        body = {"model": "film-1", "prompt": "A red kite", **fields}
        return self.send("POST", "/v1/jobs", now_ms, body, key=key, **(headers or {}))

    def callbacks(self, until_ms: int = START_MS + LASTS_MS) -> list[Delivery]:
        """Return the callbacks that are due by an instant."""
        found = []
        while (due := self.world.pop_due(until_ms)) is not None:
            found.append(due[1])
        return found

    def callback(self, **fields: Any) -> Delivery:
        """Submit a task, and return its callback."""
        assert self.submit(**{"webhook": RECEIVER, **fields}).status == 200
        (found,) = self.callbacks()
        return found
