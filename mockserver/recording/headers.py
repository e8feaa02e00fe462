"""Headers that HTTP itself, proxies and hosts send with any answer: they are not the provider's."""

from __future__ import annotations

_NAMES = """
accept-ranges access-control-allow-credentials access-control-allow-headers access-control-allow-methods
access-control-allow-origin access-control-expose-headers access-control-max-age age allow alt-svc cache-control
connection content-disposition content-encoding content-language content-length content-location content-range
content-security-policy content-type cross-origin-embedder-policy cross-origin-opener-policy
cross-origin-resource-policy date etag expect-ct expires keep-alive last-modified location nel origin-agent-cluster
permissions-policy pragma proxy-connection referrer-policy report-to reporting-endpoints server server-timing
set-cookie strict-transport-security timing-allow-origin trailer transfer-encoding upgrade vary via warning
www-authenticate x-cache x-cache-hits x-content-type-options x-dns-prefetch-control x-download-options
x-frame-options x-permitted-cross-domain-policies x-powered-by x-proxy-cache x-robots-tag x-runtime x-served-by
x-timer x-ua-compatible x-xss-protection
"""


def is_common(name: str) -> bool:
    """Tell whether a header, in lower case, may come with any answer."""
    return name in _COMMON or name.startswith(_PREFIXES)


_COMMON = frozenset(_NAMES.split())
_PREFIXES = (":", "cf-", "x-amz-", "x-amzn-", "x-goog-", "x-envoy-", "x-vercel-", "fly-", "x-azure-", "x-ms-", "x-nf-")
