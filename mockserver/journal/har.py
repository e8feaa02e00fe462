"""Exchange records as an HTTP archive (HAR 1.2)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

_OWN = ("wall", "faults", "served_as", "hint", "commanded", "own_plan", "replayed", "transfer_s", "upstream")


def har(records: Iterable[Mapping[str, Any]], version: str, speed: float = 0.0) -> dict[str, Any]:
    """Write exchange records as an HTTP archive; its times are mock time.

    What HAR has no field for is in fields of our own, which begin with an underscore: the wall time, the faults and the
    remarks of each entry, and the clock's speed (0 is unknown).
    """
    entries = []
    for record in records:
        if record["kind"] != "exchange":
            continue
        request, response = record["request"], record["response"]
        if response is None:
            continue
        query = f"?{request['query']}" if request["query"] else ""
        root = "http://mockserver.invalid" if request["path"].startswith("/") else ""
        entries.append(
            {
                "startedDateTime": record["at"],
                **{f"_{name}": record[name] for name in _OWN if record.get(name)},
                "time": 0,
                "request": {
                    "method": request["method"],
                    "url": f"{root}{request['path']}{query}",
                    "httpVersion": "HTTP/1.1",
                    "cookies": [],
                    "headers": _har_pairs(request["headers"]),
                    "queryString": _har_pairs(
                        [pair.partition("=")[::2] for pair in request["query"].split("&") if pair]
                    ),
                    "headersSize": -1,
                    "bodySize": request["body_bytes"],
                    **(
                        {"postData": {"mimeType": _type_of(request["headers"]), "text": request["body"]}}
                        if request["body"]
                        else {}
                    ),
                },
                "response": {
                    "status": response["status"],
                    "statusText": "",
                    "httpVersion": "HTTP/1.1",
                    "cookies": [],
                    "headers": _har_pairs(response["headers"]),
                    "content": {
                        "size": response["body_bytes"],
                        "mimeType": _type_of(response["headers"]),
                        **(
                            {"text": response["body_base64"], "encoding": "base64"}
                            if "body_base64" in response
                            else {"text": response["body"] or ""}
                        ),
                    },
                    "redirectURL": "",
                    "headersSize": -1,
                    "bodySize": response["body_bytes"],
                },
                "cache": {},
                "timings": {"send": 0, "wait": 0, "receive": 0},
                "comment": " ".join(record[name] for name in ("provider", "operation", "task") if record[name]),
            }
        )
    log = {"version": "1.2", "creator": {"name": "mockserver", "version": version}, "entries": entries}
    return {"log": {**log, "_speed": speed} if speed else log}


def _har_pairs(pairs: Iterable[Any]) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in pairs]


def _type_of(headers: Iterable[Any]) -> str:
    return next((value for name, value in headers if name.lower() == "content-type"), "")
