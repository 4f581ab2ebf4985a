"""How many tokens a request has, before it is made: the provider's own count where it offers one, else an estimate.

Every model can be asked about in every protocol that has such a question. An answer that is an estimate says so in a
header, because clients decide by it when to shorten a conversation.
"""

import asyncio

import structlog

from penstock.core.errors import ClientFault, MalformedRequest, UpstreamFault
from penstock.gateway.attempt import Attempt, prepare, refusal
from penstock.gateway.call import Call, WholeAnswer
from penstock.gateway.learning import TokenFits
from penstock.gateway.seals import SealCache
from penstock.gateway.targets import reachable
from penstock.protocols.base import Counting, Target
from penstock.upstreams.catalog import Catalog
from penstock.upstreams.transport import Transport

TIMEOUT = 10.0
"""Seconds that a provider has to count. Clients ask often, and do not wait long."""

MAX_BODY = 64 * 1024
"""Bytes of its answer."""

ESTIMATED = {"x-penstock-estimate": "input_tokens"}
"""The header of an answer that nobody counted."""

_NOT_OFFERED = frozenset({404, 405, 501})
_UNREACHABLE = frozenset({"connect_failed", "connect_timeout", "disconnected", "idle_timeout", "stream_incomplete"})

_log = structlog.get_logger("penstock.gateway")


class TokenCounter:
    """Answers questions for counts."""

    def __init__(self, catalog: Catalog, transport: Transport, fits: TokenFits, seals: SealCache) -> None:
        self._catalog = catalog
        self._transport = transport
        self._fits = fits
        self._seals = seals

    async def count(self, call: Call, counting: Counting) -> WholeAnswer:
        """Return the count of a call's request, as `counting` of the client's protocol spells it.

        Raises:
            ClientFault: the request cannot be served as it stands.
            UpstreamFault: the provider refused to count it.
        """
        candidate = reachable(self._catalog.resolve(call.inbound.model), call.key).candidates[0]
        attempt = prepare(call, candidate, frozenset(), self._seals, self._fits)
        counted = await self._counted(attempt)
        if counted is not None:
            attempt.estimate.learn(counted)
        tokens = self._estimated(call, attempt, candidate.target) if counted is None else counted
        _log.info(
            "counted",
            request_id=call.id,
            key=call.key.name,
            model=call.inbound.model,
            provider=attempt.provider.name,
            input_tokens=tokens,
            usage="estimate" if counted is None else "provider",
        )
        return WholeAnswer(counting.write_response(tokens), ESTIMATED if counted is None else {})

    async def _counted(self, attempt: Attempt) -> int | None:
        """Return the provider's count; None if it does not count, or not in time."""
        counting = attempt.protocol.counting
        if counting is None or "count" not in attempt.provider.offers:
            return None
        try:
            async with asyncio.timeout(TIMEOUT):
                return await self._asked(attempt, counting)
        except TimeoutError:
            return None
        except UpstreamFault as fault:
            if fault.info.code in _UNREACHABLE:
                return None
            raise

    async def _asked(self, attempt: Attempt, counting: Counting) -> int | None:
        response = await self._transport.open(attempt.provider, counting.outbound(attempt.outbound))
        try:
            if response.status in _NOT_OFFERED:
                return None
            if response.status >= 300:
                raise await refusal(attempt, response)
            return counting.read_response(await response.read_all(MAX_BODY))
        finally:
            response.abort()

    def _estimated(self, call: Call, attempt: Attempt, target: Target) -> int:
        if attempt.protocol is not call.protocol:
            return attempt.estimate.tokens()
        try:
            ask = call.read()
        except MalformedRequest:
            raise
        except ClientFault:
            return attempt.estimate.tokens()  # the provider may take what cannot be translated, such as its own tools
        return self._fits.measured(attempt.provider.name, target.model, ask, target.facts.tokens).tokens()
