"""Compile idempotency keys: where a submit has one, and for how long it counts."""

from __future__ import annotations

from mockserver.provider import Idempotency
from mockserver.spec.compile.context import Context
from mockserver.spec.pointer import keys_of

_HEADER = "$request.header."
_BODY = "$request.body#/"


def compile_idempotency(context: Context) -> Idempotency | None:
    """Compile idempotency keys, if the provider has them."""
    entry, path = context.mock.get("idempotency"), ("x-mock", "idempotency")
    if entry is None:
        return None
    key: str = entry["key"]
    if not key.startswith((_HEADER, _BODY)):
        fix = f"write {_HEADER}Idempotency-Key, or {_BODY} and the field's name"
        context.report((*path, "key"), f"{key} is no header and no field of the submit body", fix)
    return Idempotency(
        key=context.value(key, *path, "key"),
        header=key.removeprefix(_HEADER) if key.startswith(_HEADER) else "",
        body_keys=keys_of(key.partition("#")[2]) if key.startswith(_BODY) else (),
        lifetime_ms=round(entry.get("lifetime_s", 86_400) * 1000),
        replay_headers=context.headers(entry.get("replay_headers", {}), *path, "replay_headers"),
    )
