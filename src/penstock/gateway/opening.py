"""From a call to an answer that has begun: up to the first bytes that a client must be shown.

Until then no output has been sent, so a failure is invisible as long as another target, or another try, does better.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

from msgspec import Struct

from penstock.core.answer import fold
from penstock.core.errors import ClientFault, ErrorInfo, UpstreamFault
from penstock.core.events import Event, Failure
from penstock.gateway.adapt import AdaptedDecoder, adaptation
from penstock.gateway.attempt import Attempt, prepare, quirk_told_by, refusal, told
from penstock.gateway.begun import Begun
from penstock.gateway.call import Call, with_way_back
from penstock.gateway.hedging import Hedging
from penstock.gateway.learning import Learned
from penstock.gateway.record import Record
from penstock.gateway.relay import ArrayPassthrough, Passthrough, Relay, Translation, Writer, counted
from penstock.gateway.run import Run
from penstock.gateway.targets import reachable
from penstock.gateway.thread import Listening, Thread, followed, thread_of
from penstock.gateway.tries import Failover, Tries
from penstock.gateway.watch import FirstOutput
from penstock.protocols.base import Encoder
from penstock.upstreams.catalog import Candidate, Catalog, Route
from penstock.upstreams.transport import Transport, UpstreamResponse
from penstock.wire.framing import FrameReader

MAX_WHOLE_ANSWER = 64 * 1024 * 1024
"""Bytes of an answer that is not streamed."""

MAX_HELD = 64 * 1024
"""Bytes of a provider without any output after which its client is told that something comes: it can go on for ever."""

T = TypeVar("T")


class Whole(Struct, frozen=True):
    """An answer that is complete, as the client is to get it."""

    attempt: Attempt
    response: UpstreamResponse
    body: bytes


class Opener:
    """Opens answers."""

    def __init__(
        self, catalog: Catalog, transport: Transport, learned: Learned, failover: Failover, hedging: Hedging
    ) -> None:
        self._catalog = catalog
        self._transport = transport
        self._learned = learned
        self._failover = failover
        self._hedging = hedging

    def whole(self, run: Run) -> Awaitable[Whole]:
        """Return the whole answer to a call, once it is there.

        Raises:
            ClientFault: the request cannot be served as it stands, or its key may not.
            UpstreamFault: the providers failed.
        """
        return self._first_good(run, self._whole)

    def stream(self, run: Run) -> Awaitable[Begun]:
        """Return the answer to a call as soon as it has begun; raises as `whole`."""
        return self._first_good(run, self._stream)

    async def _first_good(self, run: Run, open_: Callable[[Run, Attempt, Tries], Awaitable[T]]) -> T:
        """Try the targets of a call until one does what is asked."""
        route = reachable(self._catalog.resolve(run.call.inbound.model), run.call.key)
        tries = Tries(route, self._failover, time.monotonic())
        while (following := tries.next(time.monotonic())) is not None:
            candidate, seconds = following
            if seconds:
                await asyncio.sleep(seconds)
            try:
                attempt = prepare(run.call, candidate, self._learned)
            except ClientFault as fault:
                tries.skip(fault)
                continue
            try:
                return await self._attempted(run, candidate, attempt, open_, tries)
            except UpstreamFault as fault:
                tries.failed(_asked_last(route, run, candidate), fault)
        raise tries.fault()

    async def _attempted(  # noqa: PLR0917
        self,
        run: Run,
        candidate: Candidate,
        attempt: Attempt,
        open_: Callable[[Run, Attempt, Tries], Awaitable[T]],
        tries: Tries,
        failed: UpstreamFault | None = None,
    ) -> T:
        """Make an attempt; and another, if its provider did not know something that only the gateway asks for."""
        await run.begin(attempt, failed or tries.last)
        try:
            return await open_(run, attempt, tries)
        except UpstreamFault as fault:
            quirk = quirk_told_by(fault.info)
            if quirk is None or quirk in attempt.options:
                raise
            # Another call may have learned it while this one was under way: then it is not tried for nothing either.
            self._learned.quirks.learn(candidate.upstream, quirk)
            again = prepare(run.call, candidate, self._learned)
            return await self._attempted(run, candidate, again, open_, tries, fault)

    async def _whole(self, run: Run, attempt: Attempt, _: Tries) -> Whole:
        with FirstOutput(run.call, attempt):
            response = await ask(self._transport, attempt)
            try:
                body = await response.read_all(MAX_WHOLE_ANSWER)
                return Whole(attempt, response, self._written(run, attempt, response, body))
            except BaseException:
                response.abort()
                raise

    def _stream(self, run: Run, attempt: Attempt, tries: Tries) -> Awaitable[Begun]:
        if not tries.route.hedged:
            return self._begun(tries.route, run, attempt, run.record)

        def other() -> Attempt | None:
            while (candidate := tries.beside(time.monotonic())) is not None:
                try:
                    return prepare(run.call, candidate, self._learned)
                except ClientFault as fault:
                    tries.skip(fault)
            return None

        return self._hedging.begun(run, partial(self._begun, tries.route), other)

    async def _begun(self, route: Route, run: Run, attempt: Attempt, record: Record) -> Begun:
        thread = thread_of(run.call, route, attempt)
        if thread is not None:
            attempt = followed(attempt, run.call)
        with FirstOutput(run.call, attempt):
            response = await ask(self._transport, attempt)
            try:
                relay = self._make_relay(run.call, attempt, record, response, thread)
                data, over = await until_shown(relay, response, record)
            except BaseException:
                response.abort()
                raise
        return Begun(attempt, response, relay, data, over, thread)

    def _written(self, run: Run, attempt: Attempt, response: UpstreamResponse, body: bytes) -> bytes:
        """Return the client's body for a provider's whole answer."""
        call, record = run.call, run.record
        events = adaptation(call, attempt, self._learned.seals).feed(_read_events(call, attempt, response, body))
        record.observe(events)
        if events and isinstance(events[-1], Failure):
            raise UpstreamFault(told(events[-1].error, attempt.provider))
        if attempt.passthrough and not response.is_event_stream:
            return body
        answer = fold(counted(events, record, attempt.estimate.tokens))
        return call.protocol.write_response(answer, call.reply(attempt.estimate.tokens))

    def _make_relay(
        self, call: Call, attempt: Attempt, record: Record, response: UpstreamResponse, thread: Thread | None
    ) -> Relay:
        def encoder() -> Encoder:
            made = call.protocol.encoder(call.reply(attempt.estimate.tokens))
            if thread is not None:
                thread.encoder = made
            return made

        def translation() -> Writer:
            return Translation(encoder(), record, attempt.estimate.tokens)

        def redacted(info: ErrorInfo) -> ErrorInfo:
            return with_way_back(call, told(info, attempt.provider))

        if not attempt.passthrough or not response.is_event_stream:
            writer = translation()
        elif call.inbound.array:
            writer = ArrayPassthrough(encoder)
        else:
            writer = Passthrough(encoder, attempt.protocol.usage_only if attempt.outbound.usage_added else None)
        decoder = attempt.decoder(call.token)
        if thread is not None:
            decoder = Listening(decoder, thread)
        adapted = adaptation(call, attempt, self._learned.seals, None if thread is None else thread.stops)
        if adapted.needed:
            decoder = AdaptedDecoder(decoder, adapted, record, attempt.choices)
        return Relay(decoder, writer, record, redacted, translation)


def _asked_last(route: Route, run: Run, candidate: Candidate) -> Candidate:
    """Return the candidate whose attempt is under way: another can have taken the place of one that was slow."""
    asked = candidate.upstream if run.attempt is None else run.attempt.upstream
    return next((one for one in route.candidates if one.upstream == asked), candidate)


async def ask(transport: Transport, attempt: Attempt) -> UpstreamResponse:
    """Make an attempt, and return the provider's answer.

    Raises:
        UpstreamFault: there is none, or it is a refusal.
    """
    response = await transport.open(attempt.provider, attempt.outbound, attempt.limits.connect)
    if response.status < 300:
        return response
    try:
        raise await refusal(attempt, response)
    finally:
        response.abort()


def _read_events(call: Call, attempt: Attempt, response: UpstreamResponse, body: bytes) -> list[Event]:
    """Return the events of a body that should be one JSON object, and may be a stream all the same."""
    if not response.is_event_stream:
        return attempt.protocol.read_response(body, attempt.provider.name, call.token, attempt.options)
    events: list[Event] = []
    decoder = attempt.decoder(call.token)
    reader = FrameReader()
    for frame in (*reader.feed(body), *reader.close()):
        events.extend(decoder.decode(frame))
    events.extend(decoder.close())
    return events


async def until_shown(relay: Relay, response: UpstreamResponse, record: Record) -> tuple[bytes, bool]:
    """Return the bytes up to the first that a client must be shown, and whether they are all.

    Raises:
        UpstreamFault: the answer broke before there were any.
    """
    held, received = b"", 0
    while True:
        try:
            chunk = await response.read()
            received += len(chunk)
            held += relay.feed(chunk) if chunk else relay.close()
        except UpstreamFault as fault:
            chunk = b""
            held += relay.close(broken=fault.info)
        if record.error is not None and not record.begun:
            raise UpstreamFault(record.error)
        if not chunk or relay.ended:
            return held, True
        if held and (record.begun or relay.blind or received > MAX_HELD):
            return held, False
