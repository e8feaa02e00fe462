"""The live page in a real browser: what it shows, that it treats nothing a client sent as markup, and the keyboard.

Screenshots go to the test's own folder, and to .test-output/ at the top of the checkout.
"""

from __future__ import annotations

import itertools
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.chromium import Page, chromium_running, find_chromium, page_at
from support.edge import PROVIDERS, Edge, receiving, request_bytes, serving

from mockserver.edge.live.feed import TASKS_SHOWN

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

PROGRAM = find_chromium()
OUTPUT = Path(__file__).parent.parent.parent / ".test-output"
REQUESTS_SHOWN = 200
#: More stops than the page has for the Tab key.
MOST_STOPS = 150
ON_WIDE = (1440, 900)
ON_PHONE = (360, 740)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(PROGRAM is None, reason="no Chromium is installed: apt-get install chromium"),
]


@pytest.fixture(scope="module")
def devtools() -> Iterator[str]:
    """A browser for the tests of this file."""
    assert PROGRAM is not None
    with chromium_running(PROGRAM) as address:
        yield address


@asynccontextmanager
async def looking(devtools: str, path: str = "/__admin/ui", **settings: Any) -> AsyncIterator[tuple[Edge, Page]]:
    """Run a mock, and open its live page; at the end the browser must have reported no errors."""
    async with serving(**settings) as edge, page_at(devtools) as page:
        await page.size(*ON_WIDE)
        await page.prefer(color_scheme="light")
        await page.goto(edge.root + path)
        await page.until("document.getElementById('link-state').textContent === 'live'")
        yield edge, page
        assert page.complaints == []


async def traffic(edge: Edge, url: str, refusing: str) -> list[str]:
    """Make one job of everything: polls, callbacks that are taken and others, refusals, a fault, a download."""
    await edge.admin("POST", "/faults", {"fault": "error", "where": {"operation": "query"}, "when": {"every": 3}})
    ids = []
    for name in PROVIDERS:
        field = "callbackUrl" if name == "googlegeminiomni" else "callback_url"
        for target in (url, refusing):
            ids.append(await edge.submit(name, **({} if name == "toapis" else {field: target})))
            await edge.advance(4)
            await edge.query(name, ids[-1])
    await edge.admin("POST", f"/tasks/{ids[0]}/fail", {})
    await edge.admin("POST", f"/tasks/{ids[1]}/hold")
    await edge.admin("POST", f"/tasks/{ids[3]}/cancel")
    await edge.advance(75)
    for _ in range(3):  # one of three is struck
        answer = await edge.query("evolink", ids[2])
        for link in answer.json.get("results", ()):
            await edge.call("GET", link)
    await edge.call("GET", "/evolink/v1/nothing")
    ids += [await edge.submit(name) for name in PROVIDERS]
    await edge.advance(20)
    return ids


async def tab_to(page: Page, selector: str, *, back: bool = False) -> None:
    """Press Tab until the focus is on what a selector names."""
    for _ in range(MOST_STOPS):
        await page.press("Tab", shift=back)
        if await page.js(f"document.activeElement.matches({selector!r})"):
            return
    pytest.fail(f"Tab does not lead to {selector}")


async def said(page: Page, text: str) -> None:
    """Wait until the page's line for words says something."""
    await page.until(f"document.getElementById('said').textContent.includes({text!r})")


def keep(folder: Path, name: str, image: bytes) -> None:
    """Put a screenshot into the test's folder, and where it outlives the test."""
    OUTPUT.mkdir(exist_ok=True)
    for place in (folder, OUTPUT):
        (place / name).write_bytes(image)


# -- what is seen ---------------------------------------------------------------------------------


async def test_traffic_is_seen(devtools: str, tmp_path: Path) -> None:
    """Tasks have lanes with their marks, requests rows that open, accounts what they hold; it is kept as images."""
    async with receiving() as good, receiving(503) as bad, looking(devtools) as (edge, page):
        ids = await traffic(edge, good.url(), bad.url())
        await page.until(f"document.querySelectorAll('#lanes > li').length === {len(ids)}")
        last = edge.mock.server.runtime.journal.last_seq
        await page.until(f"document.querySelectorAll('#records > li').length === {last}")
        for mark in ("polls", "refused", "downloads", "faults", "taken", "not-taken", "end"):
            assert await page.js(
                f"[...document.querySelectorAll('#lanes .mark-{mark}')].some((each) => each.getAttribute('d'))"
            )
        words = await page.js("[...document.querySelectorAll('.track')].map((each) => each.getAttribute('aria-label'))")
        assert any("held" in each for each in words)
        assert any("callback refused, then refused" in each for each in words)
        assert any("with a fault" in each for each in words)
        assert await page.js("document.querySelectorAll('#accounts > li').length") == len(PROVIDERS)
        assert "of 5 concurrent tasks left" in await page.js("document.getElementById('accounts').textContent")
        assert await page.js("document.getElementById('faults').textContent.includes('error')")
        await page.js("document.querySelector('#records [data-kind=exchange]').open = true")
        detail = await page.until("document.querySelector('#records .detail')?.textContent")
        for part in ("operation", "Request", "Response", "Authorization", "key of"):
            assert part in detail
        await page.js("document.querySelectorAll('.lane-head')[6].click()")
        await page.until("document.querySelector('.lane-panel .facts').textContent.includes('submitted')")
        await pictures(page, tmp_path)


async def pictures(page: Page, folder: Path) -> None:
    """Keep how the page looks: wide in both schemes, and on a phone."""
    for name, scheme, size in (
        ("live-desktop-light", "light", ON_WIDE),
        ("live-desktop-dark", "dark", ON_WIDE),
        ("live-phone", "light", ON_PHONE),
        ("live-phone-dark", "dark", ON_PHONE),
    ):
        await page.prefer(color_scheme=scheme)
        await page.size(*size, mobile=size == ON_PHONE)
        await page.js("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        keep(folder, f"{name}.png", await page.screenshot())


async def test_a_course_is_drawn_to_scale(devtools: str) -> None:
    """A state's stretch is as long as the state lasted, and what is expected is drawn otherwise than what was."""
    async with looking(devtools) as (edge, page):
        task_id = await edge.submit("evolink")
        task = edge.state("evolink").tasks[task_id]
        await edge.advance(30)
        await page.until("document.querySelector('.bar-working')?.getAttribute('width') > 0")
        width = "Number(document.querySelector('{}').getAttribute('width'))"
        waited = task.entered_ms[0] - task.submitted_ms
        worked = task.submitted_ms + 30_000 - task.entered_ms[0]
        bars = [await page.js(width.format(each)) for each in (".bar-waiting", ".bar-working", ".expected")]
        assert bars[0] / bars[1] == pytest.approx(waited / worked, rel=0.02)
        assert bars[2] / bars[1] == pytest.approx((task.ends_ms - task.submitted_ms - 30_000) / worked, rel=0.02)
        await edge.advance(600)
        await page.until("document.querySelector('#lanes .mark-end').getAttribute('data-kind') === 'success'")
        assert await page.js(width.format(".expected")) == 0


async def test_filters(devtools: str) -> None:
    """Requests can be chosen by provider, status and text, and what is shown can be kept from moving."""
    async with receiving(500) as receiver, looking(devtools) as (edge, page):
        task_id = await edge.submit("evolink", prompt="a very particular kite", callback_url=receiver.url())
        await edge.submit("crun")
        await edge.call("GET", "/evolink/v1/nothing")
        await edge.admin("POST", f"/tasks/{task_id}/complete")
        rows = "document.querySelectorAll('#records > li').length"
        await page.until(f"{rows} === 4")
        for field, value, left in (
            ("requests-provider", "crun", 1),
            ("requests-provider", "", 4),
            ("status", "4", 1),
            ("status", "undelivered", 1),
            ("status", "2", 2),
            ("status", "", 4),
            ("text", "PARTICULAR kite", 1),
            ("text", "no such thing", 0),
            ("text", "", 4),
        ):
            await page.js(
                f"(() => {{ const field = document.getElementById({field!r}); field.value = {value!r};"
                " field.dispatchEvent(new Event('input', {bubbles: true})); })()"
            )
            await page.until(f"{rows} === {left}")
        await page.js("document.getElementById('freeze').click()")
        await edge.submit("crun")
        await page.until("document.getElementById('requests-count').textContent.includes('1 newer')")
        assert await page.js(rows) == 4
        await page.js("document.getElementById('freeze').click()")
        await page.until(f"{rows} === 5")


async def test_much_traffic(devtools: str) -> None:
    """However much happens, the page stays as large as it may get, and shows the newest."""
    async with looking(devtools) as (edge, page):
        for _ in range(TASKS_SHOWN + 30):
            await edge.submit("evolink")
        for _ in range(600):
            await edge.call("GET", "/evolink/v1/credits", headers=edge.key_headers("evolink"))
        newest = await edge.submit("crun", callback_url="http://127.0.0.1:9/")
        await page.until(f"document.querySelector('#lanes > li')?.dataset.id === {newest!r}")
        assert await page.js("document.querySelectorAll('#lanes > li').length") == TASKS_SHOWN
        assert await page.js("document.querySelectorAll('#records > li').length") == REQUESTS_SHOWN
        assert await page.js("document.querySelectorAll('*').length") < 8000


async def test_reset(devtools: str) -> None:
    """A reset empties the page, and is said."""
    async with looking(devtools) as (edge, page):
        await edge.submit("evolink")
        await page.until("document.querySelectorAll('#lanes > li').length === 1")
        await edge.admin("POST", "/reset", {"what": "all"})
        await said(page, "was reset")
        await page.until("document.querySelectorAll('#lanes > li, #records > li, #accounts > li').length === 0")
        await edge.submit("crun")
        await page.until("document.querySelectorAll('#lanes > li').length === 1")


async def test_the_servers_end(devtools: str) -> None:
    """When the server has gone the page says so, and goes on when there is one again."""
    async with serving() as edge, page_at(devtools) as page:
        await page.goto(f"{edge.root}/__admin/ui")
        await page.until("document.getElementById('link-state').textContent === 'live'")
        await edge.mock.server.close()
        await page.until("document.getElementById('link-state').textContent.includes('connection lost')")
        async with serving(port=edge.port) as again:
            await again.submit("evolink")
            await page.until("document.getElementById('link-state').textContent === 'live'")
            await page.until("document.querySelectorAll('#lanes > li').length === 1")


# -- what a client sent is text -------------------------------------------------------------------

MARKUP = '<img src=x onerror="window.hit=1"><script>window.hit=2</script><svg onload=window.hit=3>\'"`{{7*7}}'


async def test_markup_is_shown_as_text(devtools: str) -> None:
    """Prompts, paths, headers, bodies, ids and addresses with markup in them are read as they are; nothing runs."""
    async with receiving() as receiver, looking(devtools) as (edge, page):
        url = receiver.url(f"/hook?{MARKUP.replace(' ', '%20')}")
        task_id = await edge.submit("evolink", prompt=MARKUP, callback_url=url)
        async with edge.raw() as wire:
            target = "/evolink/v1/<img/src=x/onerror=window.hit=4>?<script>window.hit=5</script>"
            headers = {"X-Markup": MARKUP, "User-Agent": MARKUP, **edge.key_headers("evolink")}
            await wire.send(request_bytes("GET", target, headers=headers))
            assert await wire.answer() is not None
        await edge.call(
            "POST", "/crun/api/v1/client/job/CreateTask", data=MARKUP.encode(), headers={"X-API-Key": MARKUP}
        )
        await edge.admin("POST", f"/tasks/{task_id}/complete")
        await edge.admin("POST", "/faults", {"fault": "error", "where": {"text": MARKUP}})
        await page.until(
            "document.querySelectorAll('#records > li').length === 4 && document.querySelector('#faults > li')"
        )
        await page.js("document.querySelector('.lane-head').click()")
        await page.js("[...document.querySelectorAll('.record')].forEach((each) => { each.open = true; })")
        await page.until("document.querySelector('.lane-panel')")
        await page.js("document.querySelector('.actions > :last-child').click()")
        await page.until("document.querySelectorAll('#records .detail').length === 4")
        await page.until("document.querySelector('.lane-panel pre')")
        assert await page.js("document.querySelector('.prompt').textContent") == MARKUP
        assert MARKUP in await page.js("JSON.parse(document.querySelector('.lane-panel pre').textContent).prompt")
        shown = await page.js("document.getElementById('records').textContent")
        assert shown.count("<script>window.hit=2</script>") >= 4
        assert MARKUP in await page.js("document.getElementById('faults').textContent")
        assert await page.js("document.querySelectorAll('main img, main script, main iframe, main a').length") == 0
        assert await page.js("document.scripts.length") == 1
        assert await page.js("window.hit") is None


async def test_the_policy_holds(devtools: str) -> None:
    """What did get in as markup would not run: the browser is told by the policy."""
    async with serving() as edge, page_at(devtools) as page:
        await page.goto(f"{edge.root}/__admin/ui")
        await page.js("document.body.insertAdjacentHTML('beforeend', '<img src=x: onerror=\"window.hit=1\">')")
        await page.js("document.body.append(Object.assign(document.createElement('script'), {text: 'window.hit=2'}))")
        await page.js("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        assert await page.js("window.hit") is None
        assert any("ContentSecurityPolicyIssue" in each for each in page.complaints)


# -- by keyboard ----------------------------------------------------------------------------------


async def test_tasks_by_keyboard(devtools: str) -> None:
    """Hold, release, fail with a chosen reason, complete, cancel and redeliver, with Tab and Enter alone."""
    async with receiving() as receiver, looking(devtools) as (edge, page):
        ids = [await edge.submit("evolink", callback_url=receiver.url()) for _ in range(3)]
        tasks = edge.state("evolink").tasks
        lane = "li[data-id='{}'] {}".format
        await page.until("document.querySelectorAll('#lanes > li').length === 3")
        await tab_to(page, lane(ids[2], ".lane-head"))
        await page.press("Enter")
        await page.until("document.querySelector('.lane-panel') && document.activeElement.ariaExpanded === 'true'")
        await page.press("Tab")
        assert await page.js("document.activeElement.textContent") == "Hold"
        await page.press("Enter")
        await page.until("document.activeElement.textContent === 'Release'")
        assert tasks[ids[2]].held_ms is not None
        await page.press("Enter")
        await page.until("document.activeElement.textContent === 'Hold'")
        assert tasks[ids[2]].held_ms is None
        await tab_to(page, lane(ids[2], ".actions select"))
        await page.press("ArrowDown")
        reason = await page.js("document.activeElement.value")
        await page.press("Tab")
        assert await page.js("document.activeElement.textContent") == "Fail"
        await page.press("Enter")
        await said(page, "is failed")
        failed = tasks[ids[2]]
        assert failed.reason is not None
        assert failed.reason.code == reason != next(iter(failed.end.reasons))
        assert await page.js("document.activeElement.textContent") == "Fail", "the focus stays where it was"
        await tab_to(page, lane(ids[2], ".callbacks button"))
        await page.until("document.activeElement.ariaDisabled !== 'true'")  # once the page shows the first attempt
        await page.press("Enter")
        await said(page, "Sent again")
        assert len(receiver.got) == 2
        for task_id, button, word in ((ids[1], "Complete", "completed"), (ids[0], "Cancel", "cancelled")):
            await tab_to(page, lane(task_id, ".lane-head"))
            await page.press("Enter")
            await page.until("document.activeElement.ariaExpanded === 'true'")
            for _ in range(MOST_STOPS):
                await page.press("Tab")
                if await page.js("document.activeElement.textContent") == button:
                    break
            await page.press("Enter")
            await said(page, f"is {word}")
            assert tasks[task_id].end.name == word


async def test_clock_by_keyboard(devtools: str) -> None:
    """The clock is stepped, by the buttons and by a number, set going and stopped, with the keyboard alone."""
    async with looking(devtools) as (edge, page):
        time = "document.getElementById('now-time').textContent"
        usable = "!document.querySelector('#steps [aria-disabled]')"  # not while the clock is being advanced
        await page.until(f"{time} === '00:00:00.000'")
        await tab_to(page, "[data-seconds='10']")
        await page.press("Enter")
        await page.until(f"{time} === '00:00:10.000' && {usable}")
        await page.press("Space")
        await page.until(f"{time} === '00:00:20.000' && {usable}")
        await tab_to(page, "#step")
        await page.js("document.activeElement.select()")
        await page.write("0.5")
        await page.press("Enter")
        await page.until(f"{time} === '00:00:20.500'")
        await said(page, "advanced by 0.5 s")
        await tab_to(page, "#speed", back=True)
        await page.js("document.activeElement.select()")
        await page.write("5000")
        await page.press("Enter")
        await page.until("document.getElementById('run').textContent === 'Pause'")
        assert edge.mock.server.runtime.clock.speed == 5000
        await page.until(f"{time} > '00:01'")
        await page.press("Tab")
        await page.press("Enter")
        await page.until("document.getElementById('run').textContent === 'Run'")
        assert edge.mock.server.runtime.clock.speed == 0


async def test_faults_by_keyboard(devtools: str) -> None:
    """A fault is put in force from the form that the catalogue makes, its hits are counted, and it is removed."""
    async with looking(devtools) as (edge, page):
        await page.until("!document.getElementById('faults-panel').hidden")
        catalog = (await edge.admin("GET", "/faults/catalog")).json["faults"]
        names = await page.js("[...document.getElementById('fault-kind').options].map((each) => each.value)")
        assert names == [each["name"] for each in catalog]
        await tab_to(page, "#fault-kind")
        for _ in names:
            if await page.js("document.activeElement.value") == "error":
                break
            await page.press("ArrowDown")
        await page.until("document.getElementById('fault-about').textContent.includes('refused')")
        await tab_to(page, "#fault-form input[type=number]")
        await page.js("document.activeElement.select()")
        await page.write("502")
        await tab_to(page, "#fault-form button[type=submit]")
        await page.press("Enter")
        await said(page, "Added error")
        await page.until("document.querySelectorAll('#faults > li').length === 1")
        assert (await edge.admin("GET", "/faults")).json["faults"][0]["with"]["status"] == 502
        reply = await edge.call("GET", "/evolink/v1/credits", headers=edge.key_headers("evolink"))
        assert reply.status == 502
        await page.until("document.getElementById('faults').textContent.includes('1 hit')")
        await page.until("document.querySelector('#records .tag.fault')?.textContent === 'error'")
        await tab_to(page, "#faults button", back=True)
        await page.press("Enter")
        await page.until("document.querySelectorAll('#faults > li').length === 0")


async def test_a_fault_that_means_nothing(devtools: str) -> None:
    """What the server says against a fault stands at the form."""
    async with looking(devtools) as (_, page):
        await page.until("document.getElementById('fault-kind')")
        await page.js("document.querySelectorAll('#fault-form details').forEach((each) => { each.open = true; })")
        await page.js("document.querySelector('#fault-form [list]').value = 'nobody'")
        await page.js("document.querySelector('#fault-form button[type=submit]').click()")
        assert "nobody" in await page.until("document.querySelector('.problem').textContent")
        page.complaints = [each for each in page.complaints if "400 (Bad Request)" not in each]


async def test_every_stop_is_seen_and_named(devtools: str) -> None:
    """Wherever Tab leads the focus is seen, and what has it has a name."""
    async with receiving() as receiver, looking(devtools) as (edge, page):
        await traffic(edge, receiver.url(), receiver.url())
        await page.until("document.querySelectorAll('#lanes > li').length === 12")
        await page.js("document.querySelector('.lane-head').click()")
        await page.js("document.querySelectorAll('#fault-form details').forEach((each) => { each.open = true; })")
        stops = 0
        for _ in range(MOST_STOPS):
            await page.press("Tab")
            found = await page.js(
                """(() => {
                        const node = document.activeElement;
                        const style = getComputedStyle(node);
                        const labels = [...(node.labels ?? [])].map((each) => each.textContent);
                        const name = node.ariaLabel || node.textContent || labels.join("");
                        const width = parseFloat(style.outlineWidth);
                        return {tag: node.tagName, outline: style.outlineStyle, width, name};
                    })()"""
            )
            if found["tag"] == "BODY":
                break
            stops += 1
            assert found["outline"] != "none", found
            assert found["width"] >= 2, found
            assert found["tag"] == "OL" or found["name"].strip(), found
        assert 40 < stops < MOST_STOPS


# -- how it is read -------------------------------------------------------------------------------

CONTRASTS = """(() => {
    const channel = (value) => (value /= 255) <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
    const parse = (text) => text.match(/[\\d.]+/g).map(Number);
    const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
    const behind = (node) => {
        for (let each = node; each; each = each.parentElement) {
            const [r, g, b, a = 1] = parse(getComputedStyle(each).backgroundColor);
            if (a === 1) return [r, g, b];
            if (a > 0) throw new Error("a background that one sees through");
        }
        throw new Error("nothing is behind it");
    };
    const low = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    let seen = 0;
    for (let text = walker.nextNode(); text; text = walker.nextNode()) {
        const node = text.parentElement;
        if (!text.data.trim() || !node.checkVisibility() || node.closest("svg, option, optgroup")) continue;
        seen += 1;
        const pair = [light(parse(getComputedStyle(node).color)), light(behind(node))].sort((a, b) => b - a);
        const ratio = (pair[0] + 0.05) / (pair[1] + 0.05);
        if (ratio < 4.5) low.push(`${node.className}: ${text.data.trim().slice(0, 30)} ${ratio.toFixed(2)}`);
    }
    const colour = (name) => {
        const probe = document.createElement("i");
        probe.style.color = `var(--${name})`;
        document.body.append(probe);
        const value = light(parse(getComputedStyle(probe).color));
        probe.remove();
        return value;
    };
    const against = (name, ground, least) => {
        const pair = [colour(name), colour(ground)].sort((a, b) => b - a);
        const ratio = (pair[0] + 0.05) / (pair[1] + 0.05);
        if (ratio < least) low.push(`${name} on ${ground} ${ratio.toFixed(2)}`);
    };
    for (const name of ["waiting-edge", "working-edge", "held-edge", "good", "bad", "fault", "tick", "edge", "accent"])
        for (const ground of ["panel", "sunken"]) against(name, ground, 3);
    for (const name of ["waiting", "working", "held"]) against(`on-${name}`, name, 4.5);
    return {seen, low};
})()"""


async def test_contrast(devtools: str) -> None:
    """Every text stands out from its ground by 4.5 to 1, and every mark by 3 to 1, in both schemes."""
    async with receiving() as good, receiving(503) as bad, looking(devtools) as (edge, page):
        await traffic(edge, good.url(), bad.url())
        await page.until("document.querySelectorAll('#lanes > li').length === 12")
        await page.js("document.querySelectorAll('.lane-head').forEach((each) => each.click())")
        await page.js("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
        await page.until("document.querySelectorAll('.lane-panel').length === 12 && document.querySelector('.detail')")
        for scheme in ("light", "dark"):
            await page.prefer(color_scheme=scheme, reduced_motion="reduce")
            await page.until("document.getAnimations().length === 0")
            found = await page.js(CONTRASTS)
            assert found["low"] == [], scheme
            assert found["seen"] > 300


async def test_no_width_is_too_narrow(devtools: str) -> None:
    """Nothing sticks out at the side, with everything open, in both schemes."""
    async with receiving() as good, receiving(503) as bad, looking(devtools) as (edge, page):
        await traffic(edge, good.url("/" + "long" * 60), bad.url())
        await page.until("document.querySelectorAll('#lanes > li').length === 12")
        await page.js("document.querySelectorAll('.lane-head').forEach((each) => each.click())")
        await page.js("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
        await page.until("document.querySelectorAll('.lane-panel').length === 12 && document.querySelector('.detail')")
        for width, scheme in itertools.product((320, 360, 760, 1024, 1100, 1440), ("light", "dark")):
            await page.size(width, 740, mobile=width < 760)
            await page.prefer(color_scheme=scheme)
            await page.js("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
            widths = await page.js("[document.scrollingElement.scrollWidth, innerWidth]")
            assert widths[0] <= widths[1] == width
            wide = await page.js(
                "[...document.querySelectorAll('.lanes-box, .records, .side, .panel, .detail, .lane-panel')]"
                ".filter((each) => each.scrollWidth > each.clientWidth).map((each) => each.className)"
            )
            assert wide == [], width


async def test_reduced_motion(devtools: str) -> None:
    """For who wants it so nothing moves but what happens."""
    async with looking(devtools) as (_, page):
        duration = "getComputedStyle(document.getElementById('run')).transitionDuration"
        await page.prefer(reduced_motion="no-preference")
        assert await page.js(duration) != "0s"
        await page.prefer(reduced_motion="reduce")
        assert await page.js(duration) == "0s"
        assert await page.js("document.getAnimations().length") == 0


# -- token and session ----------------------------------------------------------------------------


async def test_token(devtools: str) -> None:
    """A token in the address goes out of it and is kept; without one the page asks, and a wrong one does not do."""
    async with serving(host="0.0.0.0", admin_token="open sesame") as edge, page_at(devtools) as page:
        live = "document.getElementById('link-state')?.textContent === 'live'"
        await page.goto(f"{edge.root}/__admin/ui?token=open%20sesame")
        await page.until(live)
        assert await page.js("location.search") == ""
        await edge.submit("evolink")
        await page.until("document.querySelector('.lane-head')")
        await page.js("document.querySelector('[data-seconds]').click()")
        await said(page, "advanced")
        await page.send("Page.reload")
        await page.until(f"performance.getEntriesByType('navigation')[0].type === 'reload' && {live}")
        assert page.complaints == [each for each in page.complaints if "401" in each]
    async with serving(host="0.0.0.0", admin_token="open sesame") as edge, page_at(devtools) as page:
        await page.goto(f"{edge.root}/__admin/ui")
        await page.until("document.activeElement.id === 'token'")
        await page.write("open barley")
        await page.press("Enter")
        await said(page, "Failed")
        await page.js("document.activeElement.select()")
        await page.write("open sesame")
        await page.press("Enter")
        await page.until(live)
        assert await page.js("document.getElementById('token-form').hidden")


@pytest.mark.parametrize("path", ["/__admin/ui?session=mine", "/~mine/__admin/ui/"])
async def test_session(devtools: str, path: str) -> None:
    """A page that names a session shows it and steers it, and leaves the others alone."""
    async with looking(devtools, path) as (edge, page):
        await edge.submit("crun")
        body = {"model": "gemini-omni-flash-text-to-video", "prompt": "a kite of my own", "duration": 6}
        headers = {**edge.key_headers("evolink"), "X-Mock-Session": "mine"}
        await edge.call("POST", edge.path_of("evolink", "submit"), headers=headers, json=body)
        await page.until("document.querySelector('.prompt')?.textContent === 'a kite of my own'")
        assert await page.js("document.querySelectorAll('#lanes > li').length") == 1
        assert await page.js("document.getElementById('session').textContent") == "session mine"
        before_ms = edge.mock.clock.now_ms
        await page.js("document.querySelector('[data-seconds=\"60\"]').click()")
        await page.until("document.getElementById('now-time').textContent === '00:01:00.000'")
        assert edge.mock.clock.now_ms == before_ms
