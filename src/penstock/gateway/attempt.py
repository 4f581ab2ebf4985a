"""One try at one provider: what it is asked, and how its refusals are told to the client."""

from functools import lru_cache
from urllib.parse import quote

import msgspec
from msgspec import Struct

from penstock.core.errors import ClientFault, ErrorInfo, ErrorKind, UpstreamFault, bad_request
from penstock.core.request import Ask
from penstock.gateway.call import Call
from penstock.gateway.learning import Estimate, Learned
from penstock.gateway.wording import reworded, reworded_fault
from penstock.protocols.base import EXTENSIONS, Decoder, Outbound, Target, WireProtocol
from penstock.protocols.registry import PROTOCOLS
from penstock.upstreams.catalog import Candidate, Provider
from penstock.upstreams.redact import redact
from penstock.upstreams.timeouts import TimeLimits
from penstock.upstreams.transport import UpstreamResponse

MAX_ERROR_BODY = 1024 * 1024
"""Bytes of a provider's error body that are looked at."""

PLAIN = "!#$&'()*+./:;<=>?@[]^`{|}"
"""What stands as it is in headers that hold a client's own text, besides letters, digits, `_`, `-` and `~`."""

MAX_NAME = 512
"""Characters of the header that names the upstream: the model in it can be the client's own text."""

MAX_STOPS = 64
"""Stop sequences that the gateway looks for in one answer; providers that look themselves allow 4 or 5."""

MAX_STOP = 1024
"""Characters of each."""

CREDENTIAL = "upstream_credential"
"""The code of an error that only the operator can mend."""

_REFUSALS = {
    "stream_options": "no-stream-options",
    "encrypted content is not supported": "no-encrypted-reasoning",
    "reasoning.encrypted_content": "no-encrypted-reasoning",
}
"""Words in a provider's refusal, and the quirk that they tell of."""

# What a provider says of the credential is between it and the operator: the client's own key was fine.
_OPERATORS_FAULT: frozenset[ErrorKind] = frozenset({"unauthenticated", "forbidden", "billing"})


class Attempt(Struct, frozen=True):
    """A request ready to be sent to a provider.

    Attributes:
        provider: where it goes.
        model: what the provider is asked for, in its own name.
        protocol: what the provider speaks.
        outbound: what it is sent.
        passthrough: whether the answer's bytes are handed on untouched.
        estimate: of its input, for when the provider counts nothing, and for what comes before it counts.
        options: for the decoder of the answer.
        choices: how many answers were asked for, where the gateway has to know.
        may_call: whether the answer is translated, and may hold calls of tools.
        thinks: whether the model may be silent for minutes without being asked to think.
        limits: how long it is waited for.
    """

    provider: Provider
    model: str
    protocol: WireProtocol
    outbound: Outbound
    passthrough: bool
    estimate: Estimate
    options: frozenset[str] = frozenset()
    choices: int = 1
    may_call: bool = False
    thinks: bool = False
    limits: TimeLimits = TimeLimits()

    @property
    def upstream(self) -> str:
        """What `Health` knows the model by."""
        return f"{self.provider.name}/{self.model}"

    def identity(self) -> dict[str, str]:
        """Return the header that tells a client who answered it."""
        return {"x-penstock-upstream": _identified(self.provider.name, self.model)}

    def decoder(self, token: str) -> Decoder:
        """Return a decoder for the answer."""
        return self.protocol.decoder(self.provider.name, token, self.options)


@lru_cache(1024)
def _identified(provider: str, model: str) -> str:
    return quote(f"{provider}/{model}", safe=PLAIN)[:MAX_NAME]


def prepare(call: Call, candidate: Candidate, learned: Learned) -> Attempt:
    """Return the attempt that asks a candidate what a call asks.

    Args:
        call: what is asked.
        candidate: of whom.
        learned: what calls before it taught.

    Raises:
        ClientFault: the request means something that the provider's protocol cannot express.
    """
    provider = candidate.provider.speaking(call.protocol.name)
    target = _as_learned(candidate, learned)
    if provider.protocol == call.protocol.name:
        attempt = _forwarded(call, provider, target, learned)
    else:
        attempt = _translated(call, call.read(), provider, target, learned)
    if attempt.outbound.stop:
        _check_stops(call, attempt.outbound.stop)
    return _finished(attempt, call, candidate)


def prepare_rest(call: Call, rest: Ask, candidate: Candidate, learned: Learned) -> Attempt:
    """Return the attempt that asks a candidate for the rest of the answer to a call; raises as `prepare`."""
    provider = candidate.provider.speaking(call.protocol.name)
    return _finished(_translated(call, rest, provider, _as_learned(candidate, learned), learned), call, candidate)


def _as_learned(candidate: Candidate, learned: Learned) -> Target:
    target = candidate.target
    quirks = learned.quirks.of(candidate.upstream)
    return msgspec.structs.replace(target, quirks=target.quirks | quirks) if quirks else target


def _finished(attempt: Attempt, call: Call, candidate: Candidate) -> Attempt:
    thinks = candidate.target.facts.thinks
    return traced(msgspec.structs.replace(attempt, thinks=thinks, limits=candidate.limits), call)


def traced(attempt: Attempt, call: Call) -> Attempt:
    """Return an attempt that tells the provider of the trace that a call is part of, if it is part of one."""
    if not call.trace:
        return attempt
    outbound = msgspec.structs.replace(attempt.outbound, headers={**attempt.outbound.headers, **call.trace})
    return msgspec.structs.replace(attempt, outbound=outbound)


def _forwarded(call: Call, provider: Provider, target: Target, learned: Learned) -> Attempt:
    outbound = call.protocol.forward_request(call.inbound, target)
    passthrough = provider.relay == "passthrough" and not outbound.stop and not outbound.custom_tools
    return Attempt(
        provider,
        target.model,
        call.protocol,
        outbound,
        passthrough,
        learned.fits.by_length(provider.name, target.model, len(call.inbound.body)),
        options=target.quirks if passthrough else target.quirks | {EXTENSIONS},
        choices=call.read().choices if outbound.stop else 1,
    )


def _translated(call: Call, ask: Ask, provider: Provider, target: Target, learned: Learned) -> Attempt:
    ask = learned.seals.restore(ask, call.key.id, provider.name)
    protocol = PROTOCOLS[provider.protocol]
    try:
        outbound = protocol.write_request(ask, target)
    except ClientFault as fault:
        raise reworded_fault(fault, call.protocol.params) from None
    if ask.dropped or outbound.dropped:
        dropped = (*ask.dropped, *(reworded(name, call.protocol.params) for name in outbound.dropped))
        outbound = msgspec.structs.replace(outbound, dropped=tuple(dict.fromkeys(dropped)))
    return Attempt(
        provider,
        target.model,
        protocol,
        outbound,
        False,
        learned.fits.measured(provider.name, target.model, ask, target.facts.tokens),
        options=target.quirks,
        choices=ask.choices,
        may_call=bool(ask.tools),
    )


def _check_stops(call: Call, stop: tuple[str, ...]) -> None:
    if len(stop) > MAX_STOPS or any(len(sequence) > MAX_STOP for sequence in stop):
        param = reworded("stop", call.protocol.params)
        limit = f"at most {MAX_STOPS} stop sequences of at most {MAX_STOP} characters can be looked for"
        raise bad_request(f"`{param}`: {limit}.", param=param)


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
    secrets = (provider.credential, *provider.headers.values())
    known = [secret.reveal() for secret in secrets if secret is not None]
    message = redact(info.message, known)
    if info.kind in _OPERATORS_FAULT:
        return ErrorInfo(
            "upstream_error",
            f"The provider {provider.name!r} refused the credential that this gateway uses: {message}",
            code=CREDENTIAL,
            should_retry=False,
        )
    param, code = info.param and redact(info.param, known), info.code and redact(info.code, known)
    return msgspec.structs.replace(info, message=message, param=param, code=code)


def quirk_told_by(info: ErrorInfo) -> str | None:
    """Return the quirk that a refusal tells of: that something is not known which only the gateway asks for (T5)."""
    said = f"{info.message} {info.param}".lower() if info.kind == "invalid_request" else ""
    return next((quirk for words, quirk in _REFUSALS.items() if words in said), None)


def seconds(retry_after: str | None) -> float | None:
    """Return a Retry-After header in seconds; None for dates and nonsense, after which nobody should wait."""
    try:
        return max(0.0, float(retry_after)) if retry_after else None
    except ValueError:
        return None
