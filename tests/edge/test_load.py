"""What comes from outside takes time in proportion to its size, and no more."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from support.edge import serving
from support.engine import KILN, START_MS, Client

from mockserver.chance import Chance
from mockserver.edge.active_scenario import check_scenario
from mockserver.edge.multipart import MOST_PARTS, MalformedError, parts_of
from mockserver.engine.rules import Match, RuleTable, Schedule
from mockserver.engine.world import World, WorldRules
from mockserver.faults import build
from mockserver.patterns import LinearPattern
from mockserver.scenarios.read import of_data
from mockserver.settings import ConfigError, read_config
from mockserver.spec.catalog import load_providers
from mockserver.spec.check import check_files
from mockserver.spec.document import Document, SpecError

#: Seconds of CPU that no case below comes near; each took minutes, or never ended.
SOON_S = 5.0
MULTIPART = "multipart/form-data; boundary=edge"


def one(name: str, content: bytes, *lines: bytes) -> bytes:
    """Return a part."""
    head = b"".join(b"\r\n" + line for line in (b'Content-Disposition: form-data; name="%b"' % name.encode(), *lines))
    return b"--edge" + head + b"\r\n\r\n" + content + b"\r\n"


def test_the_parts_of_a_body() -> None:
    """Parts have names, headers and exact contents; what stands before the first and after the end is not read."""
    body = (
        b"before\r\n" + one("a", b"\r\n--edg\r\n") + one("b", b"", b"Content-Type: text/plain") + b"--edge--\r\nafter"
    )
    found = [(part.name, part.headers.get("Content-Type"), part.content) for part in parts_of(body, MULTIPART)]
    assert found == [("a", None, b"\r\n--edg\r\n"), ("b", "text/plain", b"")]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--edge",
        one("a", b"no end"),
        b"--edge\r\n\r\n" * 100_000,
        one("x", b"") * 100_000 + b"--edge--",
        one("a", b"", *[b"X-%d: y" % number for number in range(10_000)]) + b"--edge--",
        b"\r\n" * 1_000_000,
        b"--edge junk\r\n\r\n\r\n--edge--",
    ],
    ids=["empty", "begun", "no end", "empty parts", "parts", "headers", "preamble", "junk"],
)
def test_malformed_bodies_are_refused_soon(body: bytes) -> None:
    """Too many parts, long heads, missing ends: each is refused in time linear in the body."""
    began_s = time.process_time()
    with pytest.raises(MalformedError):
        list(parts_of(body, MULTIPART))
    assert time.process_time() - began_s < SOON_S


def test_as_many_parts_as_may_be() -> None:
    """The limit itself is allowed."""
    assert len(list(parts_of(one("a", b"x") * MOST_PARTS + b"--edge--", MULTIPART))) == MOST_PARTS


async def test_a_hostile_upload_holds_nobody_up() -> None:
    """An upload of a hundred thousand empty parts is refused at once."""
    async with serving() as edge:
        name = next(name for name, state in edge.mock.runtime.world.providers.items() if state.provider.uploads)
        body = one("x", b"") * 100_000 + b"--edge--"
        headers = {**edge.key_headers(name), "Content-Type": MULTIPART}
        began_s = time.process_time()
        reply = await edge.call("POST", edge.path_of(name, "upload"), headers=headers, data=body)
        assert 400 <= reply.status < 500
        assert time.process_time() - began_s < SOON_S


async def test_a_hostile_pattern_holds_nobody_up() -> None:
    """A pattern that backtracking never ends is searched in linear time."""
    async with serving() as edge:
        rule = {"fault": "error", "where": {"prompt": "^(a+)+$"}}
        assert (await edge.admin("POST", "/faults", rule)).status == 200
        began_s = time.process_time()
        reply = await edge.try_submit("evolink", prompt="a" * 1500 + "b")
        assert reply.status == 200
        assert time.process_time() - began_s < SOON_S


def test_patterns_see_characters() -> None:
    """A pattern is about characters, not bytes; a lone surrogate in a prompt is no error."""
    assert LinearPattern("k.te").search("kéte")
    assert not LinearPattern("^k.te$").search("kéxte")
    assert not LinearPattern("x").search("\ud800")
    assert LinearPattern("é").pattern == "é"


def test_ten_thousand_events() -> None:
    """The time that a scenario takes grows with its events, not with their square: names are numbered at once."""
    table = RuleTable(Chance(0))
    began_s = time.process_time()
    rules = [table.add(build("error", {}), Match(), Schedule(), 0) for _ in range(20_000)]
    assert rules[-1].chance_name.endswith("/19999")
    for rule in rules[:10_000]:
        table.remove(rule.id)
    assert table.add(build("error", {}), Match(), Schedule(), 0).chance_name.endswith("/0")
    table.clear()
    assert time.process_time() - began_s < SOON_S
    assert table.add(build("error", {}), Match(), Schedule(), 0).chance_name.endswith("/0")


async def test_a_scenario_of_ten_thousand_events() -> None:
    """It is checked soon."""
    event = {"fault": "latency", "with": {"seconds": 1}, "where": {"operation": "submit"}, "when": {"times": 1}}
    scenario = of_data({"scenario": "long", "timeline": [{**event, "at_s": number} for number in range(2_000)]})
    async with serving() as edge:
        began_s = time.process_time()
        check_scenario(edge.mock.runtime.world, scenario)
        assert time.process_time() - began_s < SOON_S


@pytest.mark.parametrize("tail", ["", "z: {a: *i, b: [*i]}\n"])
def test_alias_bombs_are_refused(tail: str) -> None:
    """A short text whose aliases stand for billions of values is refused, not expanded."""
    lines = ["a: &a [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"{new}: &{new} [{', '.join([f'*{old}'] * 10)}]" for old, new in zip("abcdefgh", "bcdefghi", strict=True)]
    with pytest.raises(SpecError, match="its aliases repeat more than"):
        Document.parse("bomb.yaml", "\n".join(lines) + "\n" + tail)


def test_repeated_aliases_are_bounded_long_before_they_are_slow() -> None:
    """Every value that an alias repeats is checked: some ten thousand schemas would take minutes."""
    lines = ["a0: &a0 {type: string}"]
    lines += [
        f"a{n}: &a{n} {{properties: {{{', '.join(f'p{i}: *a{n - 1}' for i in range(10))}}}}}" for n in range(1, 5)
    ]
    with pytest.raises(SpecError, match="its aliases repeat more than"):
        Document.parse("bomb.yaml", "\n".join(lines))


def of_spec(tmp_path: Path, *changes: tuple[str, str]) -> Path:
    """Write the tests' own spec with some changes."""
    text = KILN.read_text(encoding="utf-8")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    path = tmp_path / "spec.yaml"
    path.write_text(text, encoding="utf-8")
    return path


#: Backtracking never ends for these.
BAD = "^(a+)+$"
ENDLESS = "a" * 1500 + "!"
PATTERNS = {
    "of keys": ("'^pass-[0-9a-f]{4}$'", f"'^pass-[0-9a-f]{{4}}$|{BAD}'"),
    "of ids": ("pattern: '^piece-'", f"pattern: '^piece-|{BAD}'"),
    "of prompts": ("refuses: nsfw", f"refuses: '{BAD}'"),
    "of bodies": ("wish: {type: string,", f"wish: {{type: string, pattern: '^A bowl|{BAD}',"),
    "of parameters": (
        "name: size, in: query, schema: {type: string",
        f"name: size, in: query, schema: {{pattern: '{BAD}'",
    ),
}


@pytest.mark.parametrize("place", PATTERNS)
def test_a_hostile_pattern_in_a_spec_holds_nobody_up(place: str, tmp_path: Path) -> None:
    """Every pattern of a spec is searched in linear time."""
    provider = load_providers([of_spec(tmp_path, PATTERNS[place])], builtin=False)[0]
    world = World([provider], Chance(0), WorldRules(), {"kiln": "http://mock.test/kiln"})
    client = Client(world, "kiln")
    began_s = time.process_time()
    client.submit(START_MS, client.body() | {"wish": ENDLESS})
    client.query(ENDLESS, START_MS)
    client.ask("list", START_MS, query=f"size={ENDLESS}")
    client.send("GET", "/purse", START_MS, headers={"X-Kiln-Pass": ENDLESS})
    assert time.process_time() - began_s < SOON_S


def test_a_hostile_default_holds_no_check_up(tmp_path: Path) -> None:
    """`check` does not try a spec's patterns on its own defaults with a backtracking engine."""
    more = f"        more: {{type: string, pattern: '{BAD}', default: {'a' * 60}!}}\n        copies:"
    began_s = time.process_time()
    check_files([of_spec(tmp_path, ("        copies:", more))])
    assert time.process_time() - began_s < 2 * SOON_S


def test_schemas_that_refer_to_each_other_many_times(tmp_path: Path) -> None:
    """A schema that is reached along millions of paths is compiled once."""
    refs = [", ".join(f"p{i}: {{$ref: '#/components/schemas/A{n}'}}" for i in range(10)) for n in range(20)]
    more = "    A0: {type: string}\n" + "".join(f"    A{n + 1}: {{properties: {{{refs[n]}}}}}\n" for n in range(20))
    top = "        more: {$ref: '#/components/schemas/A20'}\n        copies:"
    began_s = time.process_time()
    load_providers(
        [of_spec(tmp_path, ("  schemas:\n", f"  schemas:\n{more}"), ("        copies:", top))], builtin=False
    )
    assert time.process_time() - began_s < 2 * SOON_S


def test_an_alias_is_allowed() -> None:
    """Aliases of a bounded size are read."""
    assert Document.parse("x.yaml", "a: &a {b: [1, 2]}\nc: [*a, *a]\n").data["c"] == [{"b": [1, 2]}] * 2


def test_an_alias_within_itself_is_refused() -> None:
    """A value that contains itself has no end."""
    with pytest.raises(SpecError):
        Document.parse("x.yaml", "a: &a [*a]\n")


@pytest.mark.parametrize("text", ["x = " + "[" * 100_000, "x = " + "[" * 900 + "]" * 900, "port = " + "{a=" * 5000])
def test_deep_toml(text: str, tmp_path: Path) -> None:
    """TOML that is nested too deep is refused with the file's name."""
    path = tmp_path / "deep.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"deep\.toml: "):
        read_config(path)
