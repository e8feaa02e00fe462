"""Which media types are JSON."""

from __future__ import annotations

JSON = "application/json"


def is_json(media_type: str) -> bool:
    """Tell whether a media type is one of JSON."""
    kind = media_type.partition(";")[0].strip().lower()
    return kind == JSON or (kind.startswith("application/") and kind.endswith("+json"))
