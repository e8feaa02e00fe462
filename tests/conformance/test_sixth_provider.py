"""A sixth provider, with other words for everything, is one YAML file and no Python: here, driven over HTTP."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Any

import aiohttp
from support.edge import receiving
from support.engine import KILN, spec_of

from mockserver.spec.check import check_files
from mockserver.testing.running import MockServer

PASS = {"X-Kiln-Pass": "pass-0000"}


async def ask(session: aiohttp.ClientSession, method: str, url: str, **how: Any) -> tuple[int, Any]:
    """Ask with the pass, and return the status and the JSON of the answer."""
    async with session.request(method, url, headers=PASS, **how) as answer:
        return answer.status, await answer.json()


async def drive() -> None:
    """Lead a piece from the clay to the shelf, and another out of the kiln half way."""
    async with (
        MockServer(specs=(KILN,)) as mock,
        receiving() as receiver,
        aiohttp.ClientSession() as session,
    ):
        base = mock.url("kiln")
        piece = {"glaze": "celadon", "wish": "a bowl", "copies": 2, "notify": {"address": receiver.url()}}
        assert await ask(session, "POST", f"{base}/quotes", json=piece) == (200, {"price": 10})
        status, brought = await ask(session, "POST", f"{base}/pieces", json=piece)
        assert (status, brought["stage"], brought["price"]) == (201, "drying", 10)
        _, purse = await ask(session, "GET", f"{base}/purse")
        assert purse == {"left": 490, "held": 10, "gone": 0}

        stages = []
        for _ in range(13):
            _, shown = await ask(session, "GET", f"{base}/pieces/{brought['ticket']}")
            stages.append(shown["stage"])
            await mock.clock.advance(10)
        assert list(dict.fromkeys(stages)) == ["drying", "firing", "cooling", "glazed"]
        _, shown = await ask(session, "GET", f"{base}/pieces/{brought['ticket']}")
        assert (shown["percent"], shown["paid"], len(shown["files"])) == (100, 7, 2)
        for url in shown["files"]:
            async with session.get(url) as file:
                assert (file.status, file.content_type) == (200, "video/mp4")
                assert len(await file.read()) == file.content_length

        (callback,) = receiver.got
        rule = spec_of("kiln")["x-mock"]["callbacks"]["signature"]
        digest = hmac.new(rule["default_secret"].encode(), callback.body, hashlib.sha512).digest()
        assert callback.headers[rule["header"]] == rule.get("prefix", "") + base64.b64encode(digest).decode()
        assert brought["ticket"] in callback.body.decode()

        _, other = await ask(session, "POST", f"{base}/pieces", json={"glaze": "celadon", "wish": "a cup"})
        await mock.clock.advance(30)
        _, withdrawn = await ask(session, "DELETE", f"{base}/pieces/{other['ticket']}")
        assert (withdrawn["stage"], withdrawn["why"]) == ("withdrawn", "asked")
        _, listed = await ask(session, "GET", f"{base}/pieces?size=1")
        assert (listed["total"], [each["ticket"] for each in listed["pieces"]]) == (2, [other["ticket"]])
        _, purse = await ask(session, "GET", f"{base}/purse")
        assert purse == {"left": 493, "held": 0, "gone": 7}

        # The others are served beside it.
        assert mock.url("evolink") != base


def test_it_checks() -> None:
    """`mockserver check` finds nothing wrong with it."""
    assert check_files([KILN]) == []


async def test_it_is_driven_from_submit_to_file_and_callback() -> None:
    """Quote, submit, states, files, signed callback, cancel, list and balance work from its YAML alone."""
    await drive()
