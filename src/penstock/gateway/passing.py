"""Embeddings and images: requests that are passed on as they are, metered and logged like all others.

The answer is looked at as it goes by: usage is read from it, an error in it is redacted, and a stream that ends without
its last event is broken for the client, too.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec

from penstock.core.assembly import INCOMPLETE
from penstock.core.errors import UpstreamFault, bad_request
from penstock.core.events import Finish
from penstock.core.usage import estimate_tokens
from penstock.gateway.attempt import Attempt, told, traced
from penstock.gateway.call import STALLED, Call, Client, WholeAnswer
from penstock.gateway.learning import Estimate
from penstock.gateway.opening import ask
from penstock.gateway.record import Record
from penstock.gateway.relay import whole
from penstock.gateway.run import Books, Run
from penstock.gateway.targets import reachable
from penstock.gateway.tries import Failover, Tries
from penstock.gateway.watch import FirstOutput, Watch
from penstock.protocols.passed import Passed, look_at
from penstock.protocols.registry import PROTOCOLS
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

    def __init__(
        self, catalog: Catalog, transport: Transport, books: Books, failover: Failover, heartbeat: float
    ) -> None:
        """Let streams be silent for no more than `heartbeat` seconds, or 0 for ever."""
        self._catalog = catalog
        self._transport = transport
        self._books = books
        self._heartbeat = heartbeat
        self._failover = failover

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
            relay = await self._first_good(run, passed, self._stream)
            try:
                await relay.to_the_end(client, self._heartbeat)
            finally:
                relay.response.abort()
        except ConnectionError as error:
            await run.end(error)  # the client went away
        except BaseException as error:
            await run.end(error)
            raise

    async def _first_good(self, run: Run, passed: Passed, open_: Callable[[Run, Attempt], Awaitable[T]]) -> T:
        """Try the targets that have the endpoint until one does what is asked."""
        route = self._offering(reachable(self._catalog.resolve(run.call.inbound.model), run.call.key), passed)
        tries = Tries(route, self._failover, time.monotonic())
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

    async def _stream(self, run: Run, attempt: Attempt) -> "_Relay":
        with FirstOutput(run.call, attempt):
            response = await ask(self._transport, attempt)
            try:
                relay = _Relay(run, attempt, response)
                await relay.begin()
            except BaseException:
                response.abort()
                raise
        return relay

    async def _whole(self, run: Run, attempt: Attempt) -> tuple[Attempt, UpstreamResponse, bytes]:
        with FirstOutput(run.call, attempt):
            response = await ask(self._transport, attempt)
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

    def __init__(self, run: Run, attempt: Attempt, response: UpstreamResponse) -> None:
        self.response = response
        self._run = run
        self._attempt = attempt
        self._record = run.record
        self._reader = FrameReader()
        self._over = False
        self._data = b""

    async def begin(self) -> None:
        """Wait for the first output.

        Raises:
            UpstreamFault: it broke before there was any.
        """
        self._data = await self._next()
        if not self._data:
            raise UpstreamFault(self._record.error or INCOMPLETE)

    async def to_the_end(self, client: Client, heartbeat: float) -> None:
        """Hand on what has come, and what still comes.

        Raises:
            ConnectionError: the client has left.
        """
        run, attempt, record = self._run, self._attempt, self._record
        record.first_output = time.monotonic()
        headers = attempt.identity() | {"Content-Type": self.response.content_type or "application/json"}
        await client.start(headers, self._data)
        watch = Watch(run.call, attempt, record, client, heartbeat)
        try:
            while data := await self._watched(watch):
                watch.pushes += 1
                if not client.push(data):
                    async with asyncio.timeout(attempt.limits.write):
                        await client.drained()
        except UpstreamFault as fault:
            record.error = watch.passed or fault.info
        except TimeoutError:
            record.error = STALLED
        if record.error is None and record.finish is None:
            record.error = INCOMPLETE
        await run.end()
        if record.error is None:
            await client.end(b"")
        else:
            await client.abort(run.call.told(record.error))

    async def _watched(self, watch: Watch) -> bytes:
        watch.start(self.response)
        try:
            return await self._next()
        finally:
            watch.stop()

    async def _next(self) -> bytes:
        """Return the next bytes for the client; none when there will be no more.

        Raises:
            UpstreamFault: the provider broke off.
        """
        while not self._over:
            chunk = await self.response.read()
            frames = self._reader.feed(chunk) if chunk else whole(self._reader.close())
            data = _look(frames, self._attempt, self._record)
            self._over = not chunk or self._record.error is not None
            if data:
                return data
        return b""


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
