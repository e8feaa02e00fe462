"""From a method and a path to an operation."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.engine import ALL, providers
from support.tables import for_each

from mockserver.engine.messages import well_formed
from mockserver.engine.routes import NOWHERE, Router, allowed_methods
from mockserver.provider import Operation, Role, Route


def route(path: str, **roles: Role) -> Route:
    """Make a path with operations by method."""
    return Route(
        path, {method: Operation(f"{method} {path}", method, path, role, False) for method, role in roles.items()}
    )


ROUTER = Router(
    [
        route("/jobs", POST="submit", GET="list"),
        route("/jobs/{id}", GET="query", DELETE="cancel"),
        route("/jobs/latest", GET="query"),
        route("/files/{task}/{index}.mp4", GET="result"),
        route("/up/{file}", GET="file"),
        route("/a.b/{x}", GET="query"),
    ]
)


def found(method: str, path: str) -> tuple[str | None, dict[str, str]]:
    """Return the id of the operation that a request leads to, and the values in its path."""
    match = ROUTER.find(method, path)
    return None if match.operation is None else match.operation.id, dict(match.path_values)


@for_each(
    ("method", "path", "expected"),
    [
        ("POST", "/jobs", ("POST /jobs", {})),
        ("GET", "/jobs", ("GET /jobs", {})),
        ("GET", "/jobs/7", ("GET /jobs/{id}", {"id": "7"})),
        ("DELETE", "/jobs/7", ("DELETE /jobs/{id}", {"id": "7"})),
        ("GET", "/jobs/latest", ("GET /jobs/latest", {})),
        ("GET", "/files/t1/0.mp4", ("GET /files/{task}/{index}.mp4", {"task": "t1", "index": "0"})),
        ("GET", "/files/t1/0.mp4.mp4", ("GET /files/{task}/{index}.mp4", {"task": "t1", "index": "0.mp4"})),
        ("GET", "/a.b/c", ("GET /a.b/{x}", {"x": "c"})),
        ("GET", "/jobs/a%2Fb%20c", ("GET /jobs/{id}", {"id": "a/b c"})),
        ("GET", "/jobs/%C3%A9", ("GET /jobs/{id}", {"id": "é"})),
        ("GET", "/jobs/%FF", ("GET /jobs/{id}", {"id": "\N{REPLACEMENT CHARACTER}"})),
        ("GET", "/jobs/%zz%", ("GET /jobs/{id}", {"id": "%zz%"})),
        ("GET", "/jobs/a+b", ("GET /jobs/{id}", {"id": "a+b"})),
    ],
)
def test_a_request_leads_to_its_operation(method: str, path: str, expected: tuple[str, dict[str, str]]) -> None:
    """Plain paths win over templates; values are percent-decoded once, after the path has been taken apart."""
    assert found(method, path) == expected


@for_each(
    "path",
    [
        "",
        "/",
        "jobs",
        "/jobs/",
        "/jobs//",
        "/Jobs",
        "/jobs/7/x",
        "//jobs",
        "/jobs/./7",
        "/jobs?x",
        "/files/t1/0.mp3",
        "/files/t1/.mp4",
        "/files//0.mp4",
        "/files/t1/0xmp4",
        "/aXb/c",
        "/jobs/7\n/",
        "/%6Aobs",
    ],
)
def test_a_path_is_matched_as_a_whole_and_to_the_letter(path: str) -> None:
    """Prefixes, empty segments, other letter case, escaped letters and dots as wildcards all lead nowhere."""
    assert ROUTER.find("GET", path) is NOWHERE


def test_a_known_path_with_another_method_is_known() -> None:
    """The route is found though the method is not, so that the refusal can say what is allowed."""
    match = ROUTER.find("PUT", "/jobs/7")
    assert match.route is not None
    assert (match.operation, allowed_methods(match.route)) == (None, "DELETE, GET")


@pytest.mark.parametrize(
    ("path", "operation"),
    [
        ("/files/t1/0.mp4", "GET /files/{task}/{index}.mp4"),
        ("/up/f1", "GET /up/{file}"),
        ("/jobs/7", None),
        ("/jobs", None),
    ],
)
def test_head_is_taken_where_get_gives_a_file(path: str, operation: str | None) -> None:
    """HEAD asks for a file without its bytes; elsewhere it is a method like any other that is not there."""
    assert found("HEAD", path)[0] == operation
    match = ROUTER.find("GET", path)
    assert match.route is not None
    assert ("HEAD" in allowed_methods(match.route)) == (operation is not None)


@pytest.mark.parametrize("path", ["/jobs/\udcff", "/jobs/%41\udcff", "/jobs/\ud800"])  # noqa: PT014 - they differ
def test_values_are_unicode(path: str) -> None:
    """Bytes that are not UTF-8, which come as lone surrogates, are replaced: a value can always be written again."""
    value = found("GET", path)[1]["id"]
    value.encode()
    assert "\N{REPLACEMENT CHARACTER}" in value


@given(st.text(min_size=1))
def test_what_was_quoted_comes_back(text: str) -> None:
    """Any text that a client percent-encodes into one segment is the value that the operation sees."""
    assert found("GET", f"/jobs/{quote(text, safe='')}") in [
        ("GET /jobs/{id}", {"id": text}),
        ("GET /jobs/latest", {}),
    ]


@given(st.text(st.characters(exclude_categories=())))
def test_well_formed_text_stays_as_it_is(text: str) -> None:
    """Only lone surrogates are replaced, and what comes out can be encoded."""
    out = well_formed(text)
    out.encode()
    if not any("\ud800" <= character <= "\udfff" for character in text):
        assert out == text


@for_each("name", ALL)
def test_every_operation_of_a_spec_is_found_at_its_path(name: str) -> None:
    """With its placeholders filled in, each operation's path leads to that operation."""
    provider = providers()[name]
    router = Router(provider.routes)
    for operation in provider.operations.values():
        path = operation.path.replace("{", "").replace("}", "")
        match = router.find(operation.method, path)
        assert match.operation is operation
        assert all(value == key for key, value in match.path_values.items())
