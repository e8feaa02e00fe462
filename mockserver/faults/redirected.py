"""A redirect to another host."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from mockserver.engine.context import RequestContext
from mockserver.engine.faults import Exercise, Fault, Injection
from mockserver.engine.messages import REAL_HOST, Response
from mockserver.faults.support.parameters import parameter


@dataclass(frozen=True)
class Redirected(Fault):
    family = "answers"
    effect = "The request is redirected to the same path at another host name of this server."
    symptom = "A client that follows with all its headers sends the key to another host."
    redirects = True
    exercised_with = (
        Exercise("query redirected to another host", operation="query", times=1),
        Exercise("download redirected to another host", operation="result"),
    )

    status: int = parameter(307, "Status of the redirect.", least=301, most=308)
    host: str = parameter("", "The other host, with its port; empty: localhost, or 127.0.0.1 for localhost.")

    def replace_response(self, injection: Injection, context: RequestContext) -> Response | None:
        """Redirect, unless the request has already followed."""
        here = urlsplit(f"//{context.header('Host') or ''}")
        known: set[str] = injection.record.memory.setdefault("hosts", set())
        if here.netloc in known:
            return None
        base = context.request.base or ""
        if REAL_HOST in base:  # only names of this machine lead here for sure
            here = urlsplit(context.state.server_url)
        name = "127.0.0.1" if here.hostname == "localhost" else "localhost"
        there = self.host or (name if here.port is None else f"{name}:{here.port}")
        known.add(there)
        request = context.request
        query = f"?{request.query_string}" if request.query_string else ""
        target = f"{urlsplit(context.state.server_url).path}{request.path}{query}"
        return Response(
            self.status,
            b"",
            "text/plain",
            headers=(("Location", f"{'https' if base.startswith('https') else 'http'}://{there}{target}"),),
            gate="fault",
            error="redirected",
        )
