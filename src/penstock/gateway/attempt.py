"""One try at one provider: what it is asked, and how its refusals are told to the client."""

import msgspec
from msgspec import Struct

from penstock.core.errors import ErrorInfo, ErrorKind, UpstreamFault
from penstock.core.estimate import input_tokens
from penstock.core.usage import estimate_tokens
from penstock.gateway.call import Call
from penstock.protocols.base import Outbound, WireProtocol
from penstock.protocols.registry import PROTOCOLS
from penstock.upstreams.catalog import Provider, Route
from penstock.upstreams.redact import redact
from penstock.upstreams.transport import UpstreamResponse

MAX_ERROR_BODY = 1024 * 1024
"""Bytes of a provider's error body that are looked at."""

NO_STREAM_OPTIONS = "no-stream-options"
"""Quirk of servers that refuse a request which asks for usage in the stream."""

# What a provider says of the credential is between it and the operator: the client's own key was fine.
_OPERATORS_FAULT: frozenset[ErrorKind] = frozenset({"unauthenticated", "forbidden", "billing"})


class Attempt(Struct, frozen=True):
    """A request ready to be sent to a provider.

    Attributes:
        provider: where it goes.
        protocol: what the provider speaks.
        outbound: what it is sent.
        passthrough: whether the answer's bytes are handed on untouched.
        input_tokens: an estimate, for when the provider counts nothing.
    """

    provider: Provider
    protocol: WireProtocol
    outbound: Outbound
    passthrough: bool
    input_tokens: int


def prepare(call: Call, route: Route, learned: frozenset[str]) -> Attempt:
    """Return the attempt that asks a route's provider what a call asks; `learned` are quirks found out so far.

    Raises:
        ClientFault: the request means something that the provider's protocol cannot express.
    """
    provider = route.provider
    protocol = PROTOCOLS[provider.protocol]
    target = route.target
    if learned:
        target = msgspec.structs.replace(target, quirks=target.quirks | learned)
    if protocol is call.protocol:
        outbound = protocol.forward_request(call.inbound, target)
        estimate = estimate_tokens(len(call.inbound.body))
        return Attempt(provider, protocol, outbound, provider.relay == "passthrough", estimate)
    ask = call.read()
    outbound = protocol.write_request(ask, target)
    dropped = tuple(dict.fromkeys(ask.dropped + outbound.dropped))
    return Attempt(provider, protocol, msgspec.structs.replace(outbound, dropped=dropped), False, input_tokens(ask))


async def refusal(attempt: Attempt, response: UpstreamResponse) -> UpstreamFault:
    """Return what a provider's error status means for the client."""
    body = await response.read_all(MAX_ERROR_BODY)
    info = attempt.protocol.read_error(response.status, body)
    after = seconds(response.headers.get("retry-after"))
    if after is not None and info.retry_after is None:
        info = msgspec.structs.replace(info, retry_after=after)
    return UpstreamFault(told(info, attempt.provider))


def told(info: ErrorInfo, provider: Provider) -> ErrorInfo:
    """Return a provider's error as a client may see it: redacted, and without blame for what is not its fault."""
    message = redact(info.message)
    if info.kind in _OPERATORS_FAULT:
        return ErrorInfo(
            "upstream_error",
            f"The provider {provider.name!r} refused the credential that this gateway uses: {message}",
            code="upstream_credential",
            should_retry=False,
        )
    return msgspec.structs.replace(info, message=message, param=info.param and redact(info.param))


def refuses_usage_option(info: ErrorInfo) -> bool:
    """Whether an error is a server's way to say that it knows no `stream_options` (case T5)."""
    return info.kind == "invalid_request" and "stream_options" in f"{info.message} {info.param}"


def seconds(retry_after: str | None) -> float | None:
    """Return a Retry-After header in seconds; None for dates and nonsense, after which nobody should wait."""
    try:
        return max(0.0, float(retry_after)) if retry_after else None
    except ValueError:
        return None
