"""An HTML page from a proxy in front of the provider."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus

from mockserver.engine.context import RequestContext
from mockserver.engine.faults import Exercise, Fault, Injection
from mockserver.engine.messages import Response
from mockserver.faults.support.parameters import parameter


@dataclass(frozen=True)
class ProxyPage(Fault):
    family = "answers"
    effect = "The request does not reach the provider; the response is an HTML page."
    symptom = "JSON parsing fails."
    exercised_with = (
        Exercise("submit answered by a proxy", operation="submit", times=1),
        Exercise("query answered by a proxy", operation="query", times=1),
    )

    status: int = parameter(502, "Status of the page.", least=400, most=599)

    def replace_response(self, injection: Injection, context: RequestContext) -> Response | None:
        words = HTTPStatus(self.status).phrase if self.status in set(HTTPStatus) else "Error"
        title = f"{self.status} {words}"
        page = f"<html><head><title>{title}</title></head><body><h1>{title}</h1><hr>gateway</body></html>"
        return Response(self.status, page.encode(), "text/html", gate="fault", error="proxy_page")
