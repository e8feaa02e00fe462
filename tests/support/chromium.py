"""A headless Chromium, driven over the DevTools protocol: what a user sees, types and presses."""

from __future__ import annotations

import asyncio
import base64
import itertools
import os
import shutil
import signal
import subprocess
import tempfile
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import aiohttp
import orjson

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
#: Frames that are waited for what must come: some twenty seconds, never reached when all is well.
FRAMES = 1200
#: Answers of a page, such as screenshots, are large.
_MAX_MESSAGE_BYTES = 1 << 26
_KEYS = {
    "Tab": (9, ""),
    "Enter": (13, "\r"),
    "Escape": (27, ""),
    "Space": (32, " "),
    "ArrowDown": (40, ""),
}
_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
)


def find_chromium() -> str | None:
    """Where a Chromium is, if there is one."""
    return next((path for name in NAMES if (path := shutil.which(name)) is not None), None)


@contextmanager
def chromium_running(program: str) -> Iterator[str]:
    """Run a browser with a new profile; give the address of its DevTools."""
    with tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True) as profile:
        command = [program, *_FLAGS, f"--user-data-dir={profile}", "about:blank"]
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
        )
        assert process.stderr is not None
        try:
            yield _address(process.stderr)
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            process.stderr.close()


def _address(lines: Iterable[bytes]) -> str:
    said: list[str] = []
    for line in lines:
        text = line.decode(errors="replace")
        said.append(text)
        if text.startswith("DevTools listening on "):
            return text.split()[-1]
    raise RuntimeError("Chromium did not start: " + "".join(said)[-2000:])


@dataclass
class Page:
    """One page of the browser, with all that it complained of."""

    socket: aiohttp.ClientWebSocketResponse
    session: str = ""
    complaints: list[str] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=itertools.count)
    _waiting: dict[int, asyncio.Future[Any]] = field(default_factory=dict)

    async def read(self) -> None:
        """Take in what the browser says, until it says no more."""
        async for message in self.socket:
            said = orjson.loads(message.data)
            if "id" in said:
                waiting = self._waiting.pop(said["id"])
                if "error" in said:
                    waiting.set_exception(RuntimeError(f"DevTools: {said['error']}"))
                else:
                    waiting.set_result(said["result"])
            else:
                self._note(said["method"], said["params"])

    def _note(self, method: str, params: dict[str, Any]) -> None:
        if method == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.complaints.append(details.get("exception", {}).get("description", details["text"]))
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            self.complaints.append(f"console: {[each.get('value') for each in params['args']]}")
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.complaints.append(f"{params['entry']['source']}: {params['entry']['text']}")
        elif method == "Audits.issueAdded":
            issue = params["issue"]
            if issue["code"] in ("ContentSecurityPolicyIssue", "MixedContentIssue"):
                self.complaints.append(f"{issue['code']}: {issue['details']}")

    async def send(self, method: str, **params: Any) -> Any:
        """Give a command; return its result."""
        number = next(self._numbers)
        self._waiting[number] = asyncio.get_running_loop().create_future()
        message = {"id": number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        await self.socket.send_str(orjson.dumps(message).decode())
        return await self._waiting[number]

    async def js(self, expression: str) -> Any:
        """Evaluate an expression in the page, a promise to its end; return its value."""
        result = await self.send(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True, userGesture=True
        )
        if "exceptionDetails" in result:
            details = result["exceptionDetails"]
            raise AssertionError(details.get("exception", {}).get("description", details["text"]))
        return result["result"].get("value")

    async def until(self, expression: str) -> Any:
        """Look at an expression once a frame until it is true, and can be evaluated at all; return its value."""
        what = orjson.dumps(f"never came true: {expression}").decode()
        return await self.js(
            f"""new Promise((resolve, reject) => {{
                let frames = {FRAMES}, value, why = "";
                const look = () => {{
                    try {{
                        value = {expression};
                    }} catch (error) {{
                        value = null;
                        why = ` (${{error}})`;
                    }}
                    if (value) resolve(value);
                    else if (!(frames -= 1)) reject(new Error({what} + why));
                    else requestAnimationFrame(look);
                }};
                look();
            }})"""
        )

    async def goto(self, url: str) -> None:
        """Open an address; the document has been read when this returns."""
        await self.send("Page.navigate", url=url)
        await self.until("location.href !== 'about:blank' && document.readyState === 'complete'")

    async def press(self, key: str, *, shift: bool = False) -> None:
        """Press a key and let it go."""
        code, text = _KEYS[key]
        shared = {
            "key": " " if key == "Space" else key,
            "code": key,
            "windowsVirtualKeyCode": code,
            "modifiers": 8 if shift else 0,
        }
        kind = {"type": "keyDown", "text": text} if text else {"type": "rawKeyDown"}
        await self.send("Input.dispatchKeyEvent", **kind, **shared)
        await self.send("Input.dispatchKeyEvent", type="keyUp", **shared)

    async def write(self, text: str) -> None:
        """Type a text where the focus is."""
        await self.send("Input.insertText", text=text)

    async def size(self, width: int, height: int, *, mobile: bool = False) -> None:
        """Give the window a size."""
        await self.send(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=mobile
        )

    async def prefer(self, **features: str) -> None:
        """Let the user prefer something: `color_scheme="dark"`, `reduced_motion="reduce"`."""
        named = [{"name": f"prefers-{name.replace('_', '-')}", "value": value} for name, value in features.items()]
        await self.send("Emulation.setEmulatedMedia", features=named)

    async def screenshot(self) -> bytes:
        """Take how the window looks, as PNG."""
        return base64.b64decode((await self.send("Page.captureScreenshot", format="png"))["data"])


@asynccontextmanager
async def page_at(devtools: str) -> AsyncIterator[Page]:
    """Open a page in a browser context of its own, which knows nothing of the others."""
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(devtools, max_msg_size=_MAX_MESSAGE_BYTES) as socket,
    ):
        page = Page(socket)
        reading = asyncio.create_task(page.read())
        try:
            context = (await page.send("Target.createBrowserContext"))["browserContextId"]
            target = await page.send("Target.createTarget", url="about:blank", browserContextId=context)
            attached = await page.send("Target.attachToTarget", targetId=target["targetId"], flatten=True)
            page.session = attached["sessionId"]
            for domain in ("Page", "Runtime", "Log", "Audits"):
                await page.send(f"{domain}.enable")
            yield page
            page.session = ""
            await page.send("Target.disposeBrowserContext", browserContextId=context)
        finally:
            await socket.close()
            await reading
