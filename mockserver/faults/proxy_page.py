"""An HTML page of a proxy that stands in front of the provider."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, ClassVar

from mockserver.engine.faults import Fault
from mockserver.engine.operations import Reply
from mockserver.faults.tools.parameters import parameter

if TYPE_CHECKING:
    from mockserver.engine.faults import Strike
    from mockserver.engine.scope import Scope


@dataclass(frozen=True)
class ProxyPage(Fault):
    """An HTML page of a proxy that stands in front of the provider."""

    family: ClassVar[str] = "answers"
    breaks: ClassVar[str] = "The request never reaches the provider; an HTML page comes back."
    notice: ClassVar[str] = "Reading the answer as JSON fails."

    status: int = parameter(502, "Status of the page.", least=400, most=599)

    def instead(self, strike: Strike, scope: Scope) -> Reply | None:
        """Answer with the page."""
        words = HTTPStatus(self.status).phrase if self.status in set(HTTPStatus) else "Error"
        title = f"{self.status} {words}"
        page = f"<html><head><title>{title}</title></head><body><h1>{title}</h1><hr>gateway</body></html>"
        return Reply(self.status, page.encode(), "text/html", gate="fault", error="proxy_page")
