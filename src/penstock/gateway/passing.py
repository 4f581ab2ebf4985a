"""Embeddings and images: requests that are passed on as they are, metered and logged like all others.

The answer is looked at as it goes by: usage is read from it, an error in it is redacted, and a stream that ends without
its last event is broken for the client, too.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec

from penstock.core.errors import ErrorInfo, UpstreamFault, bad_request
from penstock.core.events import Finish
from penstock.core.usage import estimate_tokens
from penstock.gateway.attempt import Attempt, told, traced
from penstock.gateway.call import Call, Client, WholeAnswer
from penstock.gateway.learning import Estimate
from penstock.gateway.opening import ask
from penstock.gateway.record import Record
from penstock.gateway.relay import whole
from penstock.gateway.run import Books, Run
from penstock.gateway.targets import reachable
from penstock.gateway.tries import Tries
from penstock.gateway.watch import FirstOutput
from penstock.protocols.passed import Passed, look_at
from penstock.protocols.registry import PROTOCOLS
from penstock.routing.retries import RetryBudget
from penstock.upstreams.catalog import Candidate, Catalog, Provider, Route
from penstock.upstreams.transport import Transport, UpstreamResponse
from penstock.wire.framing import FrameReader
from penstock.wire.sse import Frame

MAX_ANSWER = 256 * 1024 * 1024
"""Bytes of an answer that is not streamed: ten pictures in base64, or some thousand long vectors."""

_LAST = ".completed"  # the end of the type of a stream's last event

T = TypeVar("T")


class Passing:
    """Passes calls on: to the targets of a name in their order, up to the first that answers."""

    def __init__(self, catalog: Catalog, transport: Transport, books: Books) -> None:
        self._catalog = catalog
        self._transport = transport
        self._books = books
        self._budget = RetryBudget()

    async def answer(self, call: Call, passed: Passed) -> WholeAnswer:
        """Serve a call whose answer is not streamed.

        Raises:
            ClientFault: the request cannot be passed on, or its key may not.
            UpstreamFault: the provider failed.
        """
        run = Run(call, self._books, max_output=0 if passed.offer == "embeddings" else None)
        try:
            attempt, response, body = await self._first_good(run, passed, self._whole)
        except BaseException as error:
            await run.end(error)
            raise
        await run.end()
        await response.close()
        return WholeAnswer(body, attempt.identity() | run.cost_header())

    async def stream(self, call: Call, passed: Passed, client: Client) -> None:
        """Serve a call whose answer is streamed.

        Raises:
            ClientFault: the request cannot be passed on, or its key may not; nothing was sent.
            UpstreamFault: the provider failed before anything was sent.
        """
        run = Run(call, self._books)
        try:
            attempt, response = await self._first_good(run, passed, self._open)
            try:
                headers = attempt.identity() | {"Content-Type": response.content_type or "application/json"}
                await _Relay(run, attempt, client, headers).run(response)
            finally:
                response.abort()
        except ConnectionError as error:
            await run.end(error)  # the client went away
        except BaseException as error:
            await run.end(error)
            raise

    async def _first_good(self, run: Run, passed: Passed, open_: Callable[[Run, Attempt], Awaitable[T]]) -> T:
        """Try the targets that have the endpoint until one does what is asked."""
        route = self._offering(reachable(self._catalog.resolve(run.call.inbound.model), run.call.key), passed)
        self._budget.request()
        tries = Tries(route, self._books.health, self._budget, time.monotonic())
        while (following := tries.next(time.monotonic())) is not None:
            candidate, seconds = following
            if seconds:
                await asyncio.sleep(seconds)
            attempt = _prepared(run.call, candidate, passed)
            await run.begin(attempt, tries.last)
            try:
                return await open_(run, attempt)
            except UpstreamFault as fault:
                tries.failed(candidate, fault)
        raise tries.fault()

    async def _open(self, run: Run, attempt: Attempt) -> tuple[Attempt, UpstreamResponse]:
        with FirstOutput(run.call, attempt):
            return attempt, await ask(self._transport, attempt)

    async def _whole(self, run: Run, attempt: Attempt) -> tuple[Attempt, UpstreamResponse, bytes]:
        _, response = await self._open(run, attempt)
        try:
            return attempt, response, await _read(run, attempt, response)
        except BaseException:
            response.abort()
            raise

    def _offering(self, route: Route, passed: Passed) -> Route:
        """Return a route with those of its targets whose provider has the endpoint.

        Raises:
            ClientFault: none has; the message says who does.
        """
        having = tuple(one for one in route.candidates if _speaking(one.provider, passed) is not None)
        if having:
            return msgspec.structs.replace(route, candidates=having)
        others = [name for name, provider in self._catalog.providers.items() if _speaking(provider, passed)]
        hint = f"these providers have: {', '.join(others)}" if others else "no provider that is set up here has"
        raise bad_request(
            f"The provider {route.provider.name!r} has no {passed.offer} in this protocol; {hint}.", param="model"
        )


def _prepared(call: Call, candidate: Candidate, passed: Passed) -> Attempt:
    provider = _speaking(candidate.provider, passed)
    assert provider is not None, "only those that have the endpoint are tried"  # noqa: S101
    model = candidate.target.model
    outbound = passed.outbound(call.inbound, model)
    estimate = Estimate(lambda: estimate_tokens(len(call.inbound.body)), _unlearned)
    protocol = PROTOCOLS[provider.protocol]
    return traced(Attempt(provider, model, protocol, outbound, True, estimate, limits=candidate.limits), call)


def _speaking(provider: Provider, passed: Passed) -> Provider | None:
    """Return a provider in the protocol in which it has the endpoint; None if it has not."""
    if passed.offer not in provider.offers:
        return None
    ways = (provider, *provider.also.values())
    return next((way for way in ways if way.protocol in passed.spoken), None)


async def _read(run: Run, attempt: Attempt, response: UpstreamResponse) -> bytes:
    """Return a whole answer.

    Raises:
        UpstreamFault: it broke off, or is an error.
    """
    body = await response.read_all(MAX_ANSWER)
    seen = look_at(body)
    run.record.usage = seen.usage
    if seen.failed:
        raise UpstreamFault(told(attempt.protocol.read_error(502, body), attempt.provider))
    run.record.finish = Finish("stop")
    return body


class _Relay:
    """State of one stream: frames are handed on up to the first that breaks it."""

    def __init__(self, run: Run, attempt: Attempt, client: Client, headers: dict[str, str]) -> None:
        self._run = run
        self._call = run.call
        self._attempt = attempt
        self._record = run.record
        self._client = client
        self._headers = headers

    async def run(self, response: UpstreamResponse) -> None:
        """Hand on a response.

        Raises:
            UpstreamFault: it broke before anything could be sent.
            ConnectionError: the client has left.
        """
        reader = FrameReader()
        try:
            while self._record.error is None and (chunk := await response.read()):
                await self._hand_on(reader.feed(chunk))
            if self._record.error is None:
                await self._hand_on(whole(reader.close()))
        except UpstreamFault as fault:
            self._record.error = fault.info
        if self._record.error is None and self._record.finish is None:
            self._record.error = ErrorInfo("stream_incomplete", "The provider's stream ended before it was complete.")
        await self._end(self._record.error)

    async def _hand_on(self, frames: list[Frame]) -> None:
        data = _look(frames, self._attempt, self._record)
        if data and not self._record.first_output:
            self._record.first_output = time.monotonic()
            await self._client.start(self._headers, data)
        elif data and not self._client.push(data):
            await self._client.drained()

    async def _end(self, error: ErrorInfo | None) -> None:
        if error is not None and not self._record.first_output:
            raise UpstreamFault(error)
        await self._run.end()
        if error is None:
            await self._client.end(b"")
        else:
            await self._client.abort(self._call.told(error))


def _look(frames: list[Frame], attempt: Attempt, record: Record) -> bytes:
    """Return the bytes of frames up to the first that is an error, and note what they say."""
    good: list[bytes] = []
    for frame in frames:
        if frame.data is not None and frame.data.strip() != b"[DONE]":
            seen = look_at(frame.data)
            if seen.failed:
                record.error = told(attempt.protocol.read_error(502, frame.data), attempt.provider)
                break
            if seen.usage.known:
                record.usage = seen.usage
            if seen.type.endswith(_LAST) or not seen.type:  # an answer that came whole has no type
                record.finish = Finish("stop")
        good.append(frame.raw)
    return b"".join(good)


def _unlearned(counted: int) -> None:
    """Learn nothing: what embeddings cost says nothing of answers."""
