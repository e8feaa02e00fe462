"""Who may make a session, how tokens are tried, where callbacks go by default."""

from __future__ import annotations

from support.edge import serving
from support.tables import for_each

from mockserver.edge.access import Throttle
from mockserver.edge.runtime import targets_of
from mockserver.settings import Settings


@for_each(
    "headers", [{"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}, {"Host": "evil.example:4010"}]
)
@for_each("path", ["/~made/__admin/health", "/~made/evolink/v1/credits", "/~made/", "/%7Emade/__admin/none"])
async def test_no_page_makes_a_session(headers: dict[str, str], path: str) -> None:
    """A request that a browser sends for another site's page, or under a foreign name, makes no session."""
    async with serving() as edge:
        reply = await edge.call("GET", path, headers=headers)
        assert (reply.status, reply.json["error"]["code"][:7]) == (403, "foreign")
        assert list(edge.mock.server.sessions) == []


@for_each("host", ["localhost:4010", "127.0.0.1:1", "mockserver:4010", "10.0.0.7", "[::1]:4010"])
async def test_clients_make_sessions(host: str) -> None:
    """A client's request makes its session: under this machine's names and addresses, and under a container's name."""
    async with serving() as edge:
        await edge.call("GET", "/~made/evolink/v1/credits", headers={**edge.key_headers("evolink"), "Host": host})
        assert list(edge.mock.server.sessions) == ["made"]


async def test_the_control_plane_makes_a_session_for_the_token_only() -> None:
    """Without the token no session is made; with it, it is."""
    async with serving(admin_token="a-token") as edge:
        for headers in ({}, {"X-Admin-Token": "wrong"}, {"X-Admin-Token": "a-token", "Host": "evil.example"}):
            reply = await edge.call("GET", "/~made/__admin/health", headers=headers)
            assert reply.status in (401, 403)
            assert list(edge.mock.server.sessions) == []
        reply = await edge.call("GET", "/~made/__admin/health", headers={"X-Admin-Token": "a-token"})
        assert (reply.status, list(edge.mock.server.sessions)) == (200, ["made"])


async def test_the_token_works_through_any_address() -> None:
    """With a token, the control plane may be asked under any address of the machine; a name must be its own."""
    async with serving(admin_token="a-token") as edge:
        for host, status in {"192.168.7.7:4010": 200, "[fd00::1]:4010": 200, "evil.example": 403}.items():
            reply = await edge.call("GET", "/__admin/health", headers={"X-Admin-Token": "a-token", "Host": host})
            assert reply.status == status, host


async def test_wrong_tokens_are_throttled() -> None:
    """After ten wrong tokens the next one is not looked at, and the answer says for how long; a missing one is none."""
    async with serving(admin_token="a-token") as edge:
        for _ in range(Throttle.MOST):
            assert (await edge.call("GET", "/__admin/health")).status == 401
        for _ in range(Throttle.MOST):
            assert (await edge.call("GET", "/__admin/health", headers={"X-Admin-Token": "x"})).status == 401
        reply = await edge.call("GET", "/__admin/health", headers={"X-Admin-Token": "a-token"})
        assert (reply.status, reply.json["error"]["code"]) == (429, "too_many_wrong_tokens")
        assert 1 <= int(reply.headers["Retry-After"]) <= 61


def test_a_throttle_lets_go() -> None:
    """It counts for each address by itself, for a minute, and remembers a bounded number of addresses."""
    now_s = 0.0
    throttle = Throttle(lambda: now_s)
    for _ in range(Throttle.MOST):
        throttle.count("10.0.0.1")
    assert (throttle.wait_s("10.0.0.1"), throttle.wait_s("10.0.0.2")) == (61, 0)
    now_s = 61.0
    assert throttle.wait_s("10.0.0.1") == 0
    for number in range(5000):
        throttle.count(f"address {number}")
    assert len(throttle._wrong) == 1000


@for_each(
    ("settings", "mode"),
    [
        (Settings(), "loopback"),
        (Settings(host="localhost"), "loopback"),
        (Settings(host="0.0.0.0"), "documented"),
        (Settings(host="::"), "documented"),
        (Settings(host="0.0.0.0", callback_targets="loopback"), "loopback"),
        (Settings(callback_targets="any"), "any"),
    ],
)
def test_where_callbacks_go_by_default(settings: Settings, mode: str) -> None:
    """Where others can submit, callbacks do not reach this machine unless that is asked for."""
    assert targets_of(settings) == mode
