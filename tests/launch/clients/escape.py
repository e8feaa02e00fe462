"""Tries to reach other hosts: by name and by address, as its environment says (`by_proxy`), or directly."""

from __future__ import annotations

import contextlib
import socket
import sys
import urllib.request

PLACES = (
    *("https://api.openai.com/v1", "http://api.openai.com/", "https://192.0.2.7/", "http://192.0.2.7:8080/"),
    "http://[2001:db8::7]/",
)
handlers = () if "by_proxy" in sys.argv else (urllib.request.ProxyHandler({}),)
for place in PLACES:
    try:
        urllib.request.build_opener(*handlers).open(place, timeout=20).close()
        print("REACHED", place)
    except OSError as error:
        print(place, error)
if "by_proxy" not in sys.argv:
    # A name server of its own.
    question = b"\0\1\1\0\0\1\0\0\0\0\0\0\7example\3org\0\0\1\0\1"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own, contextlib.suppress(OSError):
        own.settimeout(20)
        own.connect(("198.51.100.53", 53))
        own.send(question)
        print("name server", own.recv(512)[3] & 0x0F)
