"""The request path: plan, attempt, relay, settle. Read this to see how a token flows.

The first byte to the client is the point of no return. Until then a failure is an HTTP error with its own status, and
an SDK may try again by itself; after it, a failure is the client protocol's error event, and then the connection is
cut, so that no SDK can mistake the break for an end.
"""

import asyncio
import time
from collections.abc import Iterable
from urllib.parse import quote

import structlog

from penstock.core.answer import fold
from penstock.core.errors import ErrorInfo, Fault, UpstreamFault
from penstock.core.events import Event, Failure
from penstock.core.outcome import End
from penstock.gateway.adapt import Adaptation, AdaptedDecoder
from penstock.gateway.attempt import PLAIN, Attempt, prepare, quirk_told_by, refusal, told
from penstock.gateway.call import Call, Client, WholeAnswer
from penstock.gateway.call_log import CallLog
from penstock.gateway.counting import TokenCounter
from penstock.gateway.heartbeat import Heartbeat
from penstock.gateway.learning import TokenFits
from penstock.gateway.observer import Ended, Observer
from penstock.gateway.passing import Passing
from penstock.gateway.record import Record
from penstock.gateway.relay import ArrayPassthrough, Passthrough, Relay, Translation, Writer, counted
from penstock.gateway.seals import SealCache
from penstock.protocols.base import Counting
from penstock.upstreams.catalog import Catalog
from penstock.upstreams.transport import Transport, UpstreamResponse
from penstock.wire.framing import FrameReader

MAX_WHOLE_ANSWER = 64 * 1024 * 1024
"""Bytes of an answer that is not streamed."""

MAX_HELD = 64 * 1024
"""Bytes of a provider without any output after which its client is told that something comes: it can go on for ever."""

MAX_DROPPED = 1024
"""Characters of the header that names what was dropped."""

_log = structlog.get_logger("penstock.gateway")


class Gateway:
    """Serves calls; `passing` those for embeddings and images. Holds no state of a call.

    What it learns from one for the next: which providers refuse to report usage in streams, what came before the calls
    of tools, and how models count.
    """

    def __init__(
        self, catalog: Catalog, transport: Transport, heartbeat: float, observers: Iterable[Observer] = ()
    ) -> None:
        """Serve models of `catalog`; let streams be silent for no more than `heartbeat` seconds, or 0 for ever.

        The log and `observers` are told of each call that is over.
        """
        self._catalog = catalog
        self._transport = transport
        self._heartbeat = heartbeat
        self._log = CallLog()
        self._observers = (self._log.observe, *observers)
        self._learned: dict[tuple[str, str], frozenset[str]] = {}  # provider and model -> quirks
        self._seals = SealCache(time.monotonic)
        self._fits = TokenFits()
        self._counter = TokenCounter(catalog, transport, self._fits, self._seals)
        self.passing = Passing(catalog, transport, self._settle)

    def cut(self) -> None:
        """Break off all answers: each client is told in its own protocol."""
        self._transport.cut()

    async def close(self) -> None:
        """Close all connections to providers, and write what is still to be logged."""
        await self._transport.close()
        self._log.flush()

    async def answer(self, call: Call) -> WholeAnswer:
        """Serve a call whose answer is not streamed.

        Raises:
            ClientFault: the request cannot be served as it stands.
            UpstreamFault: the provider failed.
        """
        record = Record()
        attempt, response = await self._open(call, record)
        try:
            body = await response.read_all(MAX_WHOLE_ANSWER)
            written = self._whole(call, attempt, response, record, body)
        except BaseException as error:
            response.abort()
            self._settle(call, attempt, record, error)
            raise
        self._settle(call, attempt, record)
        await response.close()
        return WholeAnswer(written, _headers(call, attempt, response))

    async def count(self, call: Call, counting: Counting) -> WholeAnswer:
        """Say how many tokens a call's request has; raises as `TokenCounter.count`."""
        return await self._counter.count(call, counting)

    async def stream(self, call: Call, client: Client) -> None:
        """Serve a call whose answer is streamed.

        Raises:
            ClientFault: the request cannot be served as it stands; nothing was sent.
            UpstreamFault: the provider failed before anything was sent.
        """
        record = Record()
        attempt, response = await self._open(call, record)
        try:
            await self._relay(call, attempt, response, record, client)
        except BaseException as error:
            response.abort()
            self._settle(call, attempt, record, error)
            if isinstance(error, ConnectionError):
                return  # the client went away, and its provider was told by the abort
            raise
        self._settle(call, attempt, record)
        if record.error is None:
            await response.close()
        else:
            response.abort()

    async def _open(self, call: Call, record: Record) -> tuple[Attempt, UpstreamResponse]:
        """Send the call to its provider; return once the provider has answered with success."""
        route = self._catalog.resolve(call.inbound.model)
        asked = route.provider.name, route.target.model
        learned = self._learned.get(asked, frozenset())
        attempt = prepare(call, route, learned, self._seals, self._fits)
        try:
            response = await self._transport.open(attempt.provider, attempt.outbound)
            if response.status < 300:
                return attempt, response
            try:
                fault = await refusal(attempt, response)
            finally:
                response.abort()
        except UpstreamFault as failed:
            fault = failed
        except BaseException as error:
            self._settle(call, attempt, record, error)
            raise
        quirk = quirk_told_by(fault.info)
        if quirk is not None and quirk not in learned:
            self._learned[asked] = learned | {quirk}
            return await self._open(call, record)
        self._settle(call, attempt, record, fault)
        raise fault

    def _settle(self, call: Call, attempt: Attempt, record: Record, error: BaseException | None = None) -> None:
        """Note what a call came to, once, whatever it was; `error` is what ended it early."""
        if isinstance(error, Fault):
            record.error = error.info
        usage = record.usage_or_estimate(attempt.estimate.tokens)
        if record.finish is not None and record.usage.input:
            attempt.estimate.learn(record.usage.input)
        ended = Ended(
            request=call.id,
            key=call.key.name,
            model=call.inbound.model,
            provider=attempt.provider.name,
            upstream_model=attempt.model,
            client_protocol=call.protocol.name,
            upstream_protocol=attempt.protocol.name,
            stream=call.inbound.stream,
            end=_end(record, error),
            error=record.error.kind if record.error else None,
            finish=record.finish.raw if record.finish else None,
            reason=record.finish.reason if record.finish else None,
            usage=usage,
            usage_source="estimate" if usage.estimated else "provider",
            cost=None,
            first_output=record.first_output - call.started if record.first_output else None,
            seconds=time.monotonic() - call.started,
            gaps=record.gaps,
        )
        for observe in self._observers:
            observe(ended)

    def _whole(self, call: Call, attempt: Attempt, response: UpstreamResponse, record: Record, body: bytes) -> bytes:
        """Return the client's body for a provider's whole answer."""
        events = self._adaptation(call, attempt).feed(_read_events(call, attempt, response, body))
        record.observe(events)
        if events and isinstance(events[-1], Failure):
            raise UpstreamFault(told(events[-1].error, attempt.provider))
        if attempt.passthrough and not response.is_event_stream:
            return body
        answer = fold(counted(events, record, attempt.estimate.tokens))
        return call.protocol.write_response(answer, call.reply(attempt.estimate.tokens))

    async def _relay(
        self, call: Call, attempt: Attempt, response: UpstreamResponse, record: Record, client: Client
    ) -> None:
        """Send the answer on as it comes."""
        relay = self._make_relay(call, attempt, response, record)
        data, over = await _until_shown(relay, response, record)
        record.first_output = time.monotonic()
        if over:
            await client.start(_headers(call, attempt, response), b"")
        else:
            await client.start(_headers(call, attempt, response), data)
            heartbeat = Heartbeat(client, call.protocol.heartbeat, self._heartbeat)
            data = await _to_the_end(relay, response, client, heartbeat)
        if record.cut:
            response.abort()  # what the provider still says is for nobody, and is paid for
        if record.error is None:
            await client.end(data)
        else:
            await client.abort(data)
        if relay.blind:
            _log.warning("stream_not_understood", request_id=call.id, provider=attempt.provider.name, why=relay.blind)

    def _make_relay(self, call: Call, attempt: Attempt, response: UpstreamResponse, record: Record) -> Relay:
        encoder = call.protocol.encoder(call.reply(attempt.estimate.tokens))

        def translation() -> Writer:
            return Translation(encoder, record, attempt.estimate.tokens)

        def redacted(info: ErrorInfo) -> ErrorInfo:
            return told(info, attempt.provider)

        if not attempt.passthrough or not response.is_event_stream:
            writer = translation()
        elif call.inbound.array:
            writer = ArrayPassthrough(encoder)
        else:
            writer = Passthrough(encoder, attempt.protocol.usage_only if attempt.outbound.usage_added else None)
        decoder = attempt.decoder(call.token)
        adaptation = self._adaptation(call, attempt)
        if adaptation.needed:
            decoder = AdaptedDecoder(decoder, adaptation, record, attempt.choices)
        return Relay(decoder, writer, record, redacted, translation)

    def _adaptation(self, call: Call, attempt: Attempt) -> Adaptation:
        watch = self._seals.watch(call.key.id, attempt.provider.name).feed if attempt.may_call else None
        return Adaptation(attempt.outbound, watch)


def _end(record: Record, error: BaseException | None) -> End:
    """Return in a word how a call ended."""
    if record.error is not None:
        return "failed"
    if error is None:
        return "completed"
    return "client_gone" if isinstance(error, asyncio.CancelledError | ConnectionError) else "defect"


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


async def _until_shown(relay: Relay, response: UpstreamResponse, record: Record) -> tuple[bytes, bool]:
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


async def _to_the_end(relay: Relay, response: UpstreamResponse, client: Client, heartbeat: Heartbeat) -> bytes:
    """Hand on the rest of the answer as it comes; return its last bytes."""
    last = b""

    def hand_on(chunk: bytes) -> bool:
        nonlocal last
        data = relay.feed(chunk)
        if relay.ended:
            last = data
            return False
        heartbeat.pushes += 1
        return client.push(data) if data else True

    while True:
        heartbeat.start()
        try:
            more = await response.pour(hand_on)
        except UpstreamFault as fault:
            return relay.close(broken=fault.info)
        finally:
            heartbeat.stop()
        if relay.ended:
            return last
        if not more:
            return relay.close()
        await client.drained()


def _headers(call: Call, attempt: Attempt, response: UpstreamResponse) -> dict[str, str]:
    """Return the headers of an answer: ours, and those of the provider that mean something to this client."""
    headers = attempt.identity()
    if attempt.protocol is call.protocol and (prefixes := call.protocol.response_headers):
        headers.update((name, value) for name, value in response.headers.items() if name.startswith(prefixes))
    if attempt.outbound.dropped:
        # Names of fields are the client's own text: they may hold line ends, and be as long as a body.
        dropped = ", ".join(quote(name, safe=PLAIN) for name in attempt.outbound.dropped)
        headers["x-penstock-dropped"] = dropped if len(dropped) <= MAX_DROPPED else f"{dropped[:MAX_DROPPED]} ..."
    return headers
