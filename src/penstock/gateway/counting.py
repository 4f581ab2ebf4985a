"""How many tokens a request has, before it is made: the provider's own count where it offers one, else an estimate.

Every model can be asked about in every protocol that has such a question. An answer that is an estimate says so in a
header, because clients decide by it when to shorten a conversation.
"""

import asyncio
import random
import time
from collections.abc import Generator, Sequence

import msgspec
import structlog
from msgspec import Struct

from penstock.accounts.prices import free_of_charge
from penstock.core.errors import ClientFault, ErrorInfo, MalformedRequest, UpstreamFault
from penstock.core.events import Finish
from penstock.core.usage import Usage
from penstock.gateway.attempt import Attempt, prepare, refusal
from penstock.gateway.call import Call, WholeAnswer
from penstock.gateway.learning import Estimate, Learned
from penstock.gateway.run import Books, Run
from penstock.gateway.targets import reachable
from penstock.gateway.tries import may_succeed_elsewhere
from penstock.protocols.base import Counting, Target
from penstock.routing.health import Health
from penstock.routing.plan import plan
from penstock.upstreams.catalog import Candidate, Catalog
from penstock.upstreams.transport import Transport

TIMEOUT = 10.0
"""Seconds that providers have to count. Clients ask often, and do not wait long."""

MAX_BODY = 64 * 1024
"""Bytes of an answer."""

ESTIMATED = {"x-penstock-estimate": "input_tokens"}
"""The header of an answer that nobody counted."""

_NOT_OFFERED = frozenset({404, 405, 501})
_UNREACHABLE = frozenset({"connect_failed", "connect_timeout", "disconnected", "idle_timeout", "stream_incomplete"})
_TOO_LATE = ErrorInfo("timeout", "The provider did not count in time.", code="total_timeout")

_NO_TOKENS = Usage(uncached=0, output=0)
_NO_INPUT = Estimate(lambda: 0, lambda counted: None)
"""What is on the books: no model reads a request that is only counted."""

_log = structlog.get_logger("penstock.gateway")


class _NotCountedError(UpstreamFault):
    """A provider turns out not to count, or not in time: there is an estimate instead."""


class _Asked(Struct, frozen=True):
    """Whose count it is, or whose estimate because it did not count; `failure` is what ended the last attempt."""

    candidate: Candidate
    attempt: Attempt
    counted: int | None = None
    failure: UpstreamFault | None = None


class TokenCounter:
    """Answers questions for counts. Each call of a provider is in the ledger, where it has used nothing."""

    def __init__(self, catalog: Catalog, transport: Transport, learned: Learned, books: Books) -> None:
        self._catalog = catalog
        self._transport = transport
        self._learned = learned
        self._health = books.health
        # A count is no answer: it is in no metric of answers, and says nothing of how a provider does with them.
        self._books = msgspec.structs.replace(books, prices=free_of_charge(), observers=(), health=Health())

    async def count(self, call: Call, counting: Counting) -> WholeAnswer:
        """Return the count of a call's request, as `counting` of the client's protocol spells it.

        Raises:
            ClientFault: the request cannot be served as it stands, or its key may not.
            UpstreamFault: the provider refused to count it.
        """
        route = reachable(self._catalog.resolve(call.inbound.model), call.key)
        order = plan(route.candidates, route.strategy, self._health, time.monotonic(), random.random)
        run = Run(call, self._books, max_output=0)
        try:
            asked = await self._ask(run, order)
        except BaseException as error:
            await run.end(error)
            raise
        await run.end(asked.failure)
        if not run.attempts:
            await run.admit()
        return self._answer(call, counting, asked)

    def _answer(self, call: Call, counting: Counting, asked: _Asked) -> WholeAnswer:
        attempt, counted = asked.attempt, asked.counted
        if counted is not None:
            attempt.estimate.learn(counted)
        tokens = self._estimated(call, attempt, asked.candidate.target) if counted is None else counted
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

    async def _ask(self, run: Run, order: Sequence[Candidate]) -> _Asked:
        """Ask those who would get the call, in their order, up to the first that counts or has never done so."""
        deadline = asyncio.get_running_loop().time() + TIMEOUT
        failed: _Asked | None = None
        for candidate, attempt in self._prepared(run.call, order):
            failure = failed and failed.failure
            counting = attempt.protocol.counting
            if counting is None or "count" not in attempt.provider.offers:
                return _Asked(candidate, attempt, None, failure)
            try:
                await run.begin(msgspec.structs.replace(attempt, estimate=_NO_INPUT), failure)
                return _Asked(candidate, attempt, await self._counted(run, attempt, counting, deadline))
            except _NotCountedError as fault:
                return _Asked(candidate, attempt, None, fault)
            except UpstreamFault as fault:
                failed = _Asked(candidate, attempt, None, fault)
                if not may_succeed_elsewhere(fault.info):
                    raise
        assert failed is not None and failed.failure is not None, "something was tried"  # noqa: S101, PT018
        if failed.failure.info.code not in _UNREACHABLE:
            raise failed.failure
        return failed

    def _prepared(self, call: Call, order: Sequence[Candidate]) -> Generator[tuple[Candidate, Attempt]]:
        """Yield attempts at those of the candidates that can be told what is asked.

        Raises:
            ClientFault: none can.
        """
        inexpressible: ClientFault | None = None
        expressed = False
        for candidate in order:
            try:
                attempt = prepare(call, candidate, self._learned)
            except ClientFault as fault:
                inexpressible = inexpressible or fault
            else:
                expressed = True
                yield candidate, attempt
        if inexpressible is not None and not expressed:
            raise inexpressible

    async def _counted(self, run: Run, attempt: Attempt, counting: Counting, deadline: float) -> int:
        """Return a provider's count.

        Raises:
            UpstreamFault: it does not count, cannot be reached, or refuses.
        """
        run.record.usage = _NO_TOKENS
        try:
            async with asyncio.timeout_at(deadline):
                response = await self._transport.open(attempt.provider, counting.outbound(attempt.outbound))
                try:
                    if response.status >= 300:
                        fault = await refusal(attempt, response)
                        raise _NotCountedError(fault.info) if response.status in _NOT_OFFERED else fault
                    counted = counting.read_response(await response.read_all(MAX_BODY))
                finally:
                    response.abort()
        except TimeoutError:
            raise _NotCountedError(_TOO_LATE) from None
        run.record.finish = Finish("stop")
        return counted

    def _estimated(self, call: Call, attempt: Attempt, target: Target) -> int:
        if attempt.protocol is not call.protocol:
            return attempt.estimate.tokens()
        try:
            ask = call.read()
        except MalformedRequest:
            raise
        except ClientFault:
            return attempt.estimate.tokens()  # the provider may take what cannot be translated, such as its own tools
        return self._learned.fits.measured(attempt.provider.name, target.model, ask, target.facts.tokens).tokens()
