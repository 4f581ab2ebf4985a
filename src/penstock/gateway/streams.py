"""The request path: plan, attempt, relay, settle. Read this to see how a token flows.

The first output to the client is the point of no return. Until then another target may do better, and a failure is an
HTTP error with its own status unless that went out meanwhile, to show a client that waits long that its stream lives;
after it, a failure is the client protocol's error event, and then the connection is
cut, so that no SDK can mistake the break for an end. The last byte waits until the ledger has what it cost.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from urllib.parse import quote

import msgspec
import structlog

from penstock.core.errors import Fault
from penstock.gateway.attempt import PLAIN, Attempt
from penstock.gateway.begun import Begun
from penstock.gateway.call import CANCELLED, Call, CallCancelledError, Client, OnGone, WholeAnswer, with_way_back
from penstock.gateway.call_log import CallLog
from penstock.gateway.continuing import Continuing
from penstock.gateway.counting import TokenCounter
from penstock.gateway.hedging import Hedging
from penstock.gateway.learning import Learned, Quirks, TokenFits
from penstock.gateway.leaving import Drains, Leaving, Outlet, Waiter
from penstock.gateway.opening import Opener
from penstock.gateway.passing import Passing
from penstock.gateway.pouring import Pouring
from penstock.gateway.run import Books, Run
from penstock.gateway.seals import SealCache
from penstock.gateway.tries import Failover
from penstock.gateway.watch import Held, Watch
from penstock.protocols.base import Counting
from penstock.routing.retries import RetryBudget
from penstock.upstreams.catalog import Catalog
from penstock.upstreams.transport import Transport, UpstreamResponse

MAX_DROPPED = 1024
"""Characters of the header that names what was dropped."""

_log = structlog.get_logger("penstock.gateway")


class Gateway:
    """Serves calls; `passing` those for embeddings and images. Holds no state of a call.

    What it learns from one for the next: which providers refuse to report usage in streams, what came before the calls
    of tools, and how models count.
    """

    def __init__(
        self,
        catalog: Catalog,
        transport: Transport,
        books: Books,
        heartbeat: float,
    ) -> None:
        """Serve models of `catalog`; let streams be silent for no more than `heartbeat` seconds, or 0 for ever.

        The log is told of each call that is over, and so are the observers in `books`.
        """
        self._transport = transport
        self._heartbeat = heartbeat
        self._log = CallLog(books.afterwards)
        self._books = msgspec.structs.replace(books, observers=(self._log.observe, *books.observers))
        learned = Learned(SealCache(time.monotonic), TokenFits(), Quirks())
        failover = Failover(books.health, RetryBudget())
        self._drains = Drains()
        self._hedging = Hedging(self._drains)
        self._opener = Opener(catalog, transport, learned, failover, self._hedging)
        self._continuing = Continuing(transport, learned, failover, heartbeat)
        self._counter = TokenCounter(catalog, transport, learned, books)
        self.passing = Passing(catalog, transport, self._books, failover, heartbeat)

    @property
    def under_way(self) -> int:
        """How many calls are being served."""
        return self._books.capacity.taken

    def cut(self) -> None:
        """Break off all answers: each client is told in its own protocol."""
        self._continuing.stop()
        self._transport.cut()

    async def close(self) -> None:
        """Close all connections to providers, and write what is still to be logged."""
        await self._transport.close()
        await self._hedging.close()
        self._log.flush()

    async def answer(self, call: Call, on_gone: Callable[[OnGone], object]) -> WholeAnswer:
        """Serve a call whose answer is not streamed; `on_gone` is told whom to call when nobody waits for it any more.

        Raises:
            ClientFault: the request cannot be served as it stands, or its key may not.
            UpstreamFault: the provider failed.
            CancelledError: nobody waits for the answer.
        """
        run = Run(call, self._books)
        leaving = Leaving(run, Waiter(on_gone), self._drains)
        try:
            whole = await self._opener.whole(run)
        except BaseException as error:
            leaving.over()
            await run.end(leaving.why or error)
            if leaving.why:
                raise asyncio.CancelledError from None
            raise
        leaving.over()
        await run.end(leaving.why)
        await whole.response.close()
        if leaving.why:
            raise asyncio.CancelledError
        return WholeAnswer(whole.body, _headers(run, whole.attempt, whole.response) | run.cost_header())

    async def count(self, call: Call, counting: Counting) -> WholeAnswer:
        """Say how many tokens a call's request has; raises as `TokenCounter.count`."""
        return await self._counter.count(call, counting)

    async def stream(self, call: Call, client: Client) -> None:
        """Serve a call whose answer is streamed.

        Raises:
            ClientFault: the request cannot be served as it stands, or its key may not; nothing was sent.
            UpstreamFault: the provider failed before anything was sent.
        """
        run = Run(call, self._books)
        outlet = Outlet(client)
        leaving = Leaving(run, outlet, self._drains)
        begun: Begun | None = None
        held = Held(outlet, self._heartbeat)
        try:
            begun = await self._opener.stream(run)
            try:
                begun = await self._relay(run, begun, held, outlet, leaving)
            except BaseException:
                begun.response.abort()
                raise
        except BaseException as error:
            held.stop()
            leaving.over()
            await run.end(leaving.why or error)
            if begun is not None and isinstance(leaving.why, CallCancelledError):
                await client.abort(_cancelled(run, begun))
            if leaving.why or isinstance(error, ConnectionError):
                return  # the client went away, and its provider was told by the abort
            if held.begun and isinstance(error, Fault):
                await held.fail(call.told(with_way_back(call, error.info)))
                return
            raise
        if run.record.error is None:
            await begun.response.close()
        else:
            begun.response.abort()

    async def _relay(self, run: Run, begun: Begun, held: Held, client: Outlet, leaving: Leaving) -> Begun:
        """Send an answer on as it comes; return what it ended with, if it was continued."""
        call, data = run.call, begun.data
        headers = _headers(run, begun.attempt, begun.response)

        def pour(begun: Begun) -> Awaitable[bytes]:
            watch = Watch(call, begun.attempt, run.record, client, self._heartbeat)
            return Pouring(run, begun.relay, client, watch, begun.attempt.limits.write).to_the_end(begun.response)

        run.record.first_output = time.monotonic()
        if begun.over and not begun.broken:
            await held.start(headers, b"")
        else:
            await held.start(headers, data)
            data = b"" if begun.over else await pour(begun)
        begun, data = await self._continuing.to_the_end(run, begun, data, client, pour)
        record = run.record
        if record.cut:
            begun.response.abort()  # what the provider still says is for nobody, and is paid for
        leaving.over()
        await run.end(leaving.why)
        if record.error is None:
            await client.end(data)
        else:
            await client.abort(data)
        if begun.relay.blind:
            provider, why = begun.attempt.provider.name, begun.relay.blind
            _log.warning("stream_not_understood", request_id=call.id, provider=provider, why=why)
        return begun


def _cancelled(run: Run, begun: Begun) -> bytes:
    """Return the last bytes of an answer that its client has cancelled, whoever told the beginning of it."""
    if begun.thread is None or begun.thread.pieces == 1:
        return begun.relay.fail(CANCELLED)
    return begun.thread.fail(CANCELLED) if run.record.finish is None else b""


def _headers(run: Run, attempt: Attempt, response: UpstreamResponse) -> dict[str, str]:
    """Return the headers of an answer: ours, and those of the provider that mean something to this client."""
    call, headers = run.call, attempt.identity()
    if run.attempts > 1:
        headers["x-penstock-attempts"] = str(run.attempts)
    if run.hedges:
        headers["x-penstock-hedged"] = "true"
    if attempt.protocol is call.protocol and (prefixes := call.protocol.response_headers):
        headers.update((name, value) for name, value in response.headers.items() if name.startswith(prefixes))
    if attempt.outbound.dropped:
        # Names of fields are the client's own text: they may hold line ends, and be as long as a body.
        dropped = ", ".join(quote(name, safe=PLAIN) for name in attempt.outbound.dropped)
        headers["x-penstock-dropped"] = dropped if len(dropped) <= MAX_DROPPED else f"{dropped[:MAX_DROPPED]} ..."
    return headers
