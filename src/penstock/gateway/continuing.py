"""An answer that breaks off in the middle, and is continued by another call: its client sees one answer.

The text that was said is given to a model of the same name, or to another if the operator says so, and what it adds
is joined to it (`core/continuation.py`). What cannot be continued without a risk is not: then the error is told that
would have been told without all this.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import ClassVar

import structlog

from penstock.core.assembly import INCOMPLETE
from penstock.core.continuation import LEAST_LEFT, Seam, left, may_be_mended
from penstock.core.errors import ClientFault, ErrorInfo, Fault, UpstreamFault
from penstock.core.events import Event, Opaque, UsageUpdate
from penstock.gateway.adapt import AdaptedDecoder, adaptation
from penstock.gateway.attempt import Attempt, prepare_rest, told
from penstock.gateway.begun import Begun
from penstock.gateway.call import Client
from penstock.gateway.learning import Learned
from penstock.gateway.opening import ask, until_shown
from penstock.gateway.relay import Relay, Translation, Writer
from penstock.gateway.run import Run
from penstock.gateway.thread import Joining, Listening, Thread
from penstock.gateway.tries import Failover
from penstock.gateway.watch import FirstOutput
from penstock.upstreams.catalog import Candidate
from penstock.upstreams.transport import Transport

MAX_CALLS = 3
"""Calls that are made for the rest of one answer, over all its breaks."""

_log = structlog.get_logger("penstock.gateway")


class Continuing:
    """Continues answers, until it is told to stop."""

    def __init__(self, transport: Transport, learned: Learned, failover: Failover, interval: float) -> None:
        """Let clients hear nothing for no more than `interval` seconds, or 0 for ever."""
        self._transport = transport
        self._learned = learned
        self._failover = failover
        self._interval = interval
        self._stopped = False

    def stop(self) -> None:
        """Continue nothing from now on: the gateway itself breaks its answers off."""
        self._stopped = True

    async def to_the_end(
        self, run: Run, begun: Begun, data: bytes, client: Client, pour: Callable[[Begun], Awaitable[bytes]]
    ) -> tuple[Begun, bytes]:
        """Have an answer go on as often as it breaks off; return what it ended with, and its last bytes.

        Args:
            run: the call.
            begun: the answer, of which all has come.
            data: the bytes that came last.
            client: who gets them.
            pour: hands an answer on, and returns its last bytes.
        """
        thread = begun.thread
        while thread is not None and thread.broken is not None:
            if data:
                client.push(data)
            begun.response.abort()
            broken = UpstreamFault(told(begun.relay.cause or thread.broken, begun.attempt.provider))
            provider, made = begun.attempt.provider.name, run.attempts
            following = await self._first_good(run, begun.attempt, thread, client, broken)
            if isinstance(following, UpstreamFault):
                run.breaks.append((provider, "failed" if run.attempts > made else "not_tried"))
                await run.end(following)
                return begun, thread.fail(broken.info)
            run.breaks.append((provider, "continued"))
            begun = following
            data = await self._poured(begun, client, pour)
        return begun, data

    async def _poured(self, begun: Begun, client: Client, pour: Callable[[Begun], Awaitable[bytes]]) -> bytes:
        if begun.over:
            return begun.data
        client.push(begun.data)
        try:
            return await pour(begun)
        except BaseException:
            begun.response.abort()
            raise

    async def _first_good(
        self, run: Run, attempt: Attempt, thread: Thread, client: Client, fault: UpstreamFault
    ) -> Begun | UpstreamFault:
        """Return the rest of an answer from the first candidate that has it.

        Args:
            run: the call.
            attempt: whose answer broke off.
            thread: of the answer.
            client: who waits for it.
            fault: why it broke off; if nobody goes on, what is returned is how the last attempt ended.
        """
        rest = left(thread.ask, thread.spoken.text)
        if self._stopped or not may_be_mended(fault.info) or (rest is not None and rest < LEAST_LEFT):
            return fault
        with _Beats(client, run.call.protocol.heartbeat, self._interval):
            for candidate in thread.candidates_after(attempt):
                try:
                    taken = thread.taken_up_by(candidate.target.facts)
                    following = prepare_rest(run.call, taken.ask, candidate, self._learned)
                except ClientFault:
                    continue  # it cannot be told what the request means
                if not self._may_call(thread, candidate):
                    break
                try:
                    return await self._go_on(run, thread, following, taken.seam, fault)
                except UpstreamFault as failed:
                    fault = failed
                except Fault:
                    break  # the key may not, or the ledger cannot
        return fault

    def _may_call(self, thread: Thread, candidate: Candidate) -> bool:
        thread.calls += 1
        return thread.calls <= MAX_CALLS and self._failover.further(candidate.upstream, time.monotonic())

    async def _go_on(self, run: Run, thread: Thread, attempt: Attempt, seam: Seam, fault: UpstreamFault) -> Begun:
        """Return the rest of an answer as soon as it has begun.

        Raises:
            UpstreamFault: the provider failed, or did not go on where it should.
            Fault: it cannot be asked.
        """
        await run.go_on(attempt, fault)
        thread.broken = None
        with FirstOutput(run.call, attempt):
            response = await ask(self._transport, attempt)
            try:
                joining = Joining(attempt.decoder(run.call.token), seam, thread.spoken)
                relay = self._relay(run, thread, attempt, joining)
                data, over = await until_shown(relay, response, run.record)
                if not run.record.begun:
                    raise UpstreamFault(relay.cause or thread.broken or INCOMPLETE)
            except BaseException:
                response.abort()
                raise
        run.record.first_output = time.monotonic()
        run.record.repeated = joining.repeated
        _log.info("stream_continued", request_id=run.call.id, by=attempt.upstream, attempts=thread.pieces)
        return Begun(attempt, response, relay, data, over, thread)

    def _relay(self, run: Run, thread: Thread, attempt: Attempt, joining: Joining) -> Relay:
        encoder, record = _Continued(run, thread, joining), run.record
        adapted = adaptation(run.call, attempt, self._learned.seals, thread.stops)
        decoder = AdaptedDecoder(Listening(joining, thread), adapted, record, 1)

        def translation() -> Writer:
            return Translation(encoder, record, attempt.estimate.tokens)

        def redacted(info: ErrorInfo) -> ErrorInfo:
            return told(info, attempt.provider)

        return Relay(decoder, translation(), record, redacted, translation)


class _Continued:
    """The client's encoder: it says first that the answer goes on, and tells usage as if it had not been broken off."""

    last_word: ClassVar[bytes] = b""

    def __init__(self, run: Run, thread: Thread, joining: Joining) -> None:
        self._run = run
        self._thread = thread
        self._joining = joining
        self._goes_on = False

    def encode(self, event: Event) -> bytes:
        """Return the bytes that tell the client of an event."""
        if isinstance(event, UsageUpdate):
            return self._thread.encode(UsageUpdate(self._run.one_run(event.usage, self._joining.repeated)))
        if self._goes_on:
            return self._thread.encode(event)
        self._goes_on = True
        self._thread.pieces += 1
        protocol = self._run.call.protocol
        notice = Opaque(protocol.name, protocol.continued % self._thread.pieces)
        return self._thread.encode(notice) + self._thread.encode(event)


class _Beats:
    """Signs of life for a client while its answer is between two providers."""

    def __init__(self, client: Client, beat: bytes, interval: float) -> None:
        self._client = client
        self._sign = beat
        self._interval = interval
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> None:
        self._wait()

    def __exit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _wait(self) -> None:
        if self._interval:
            self._timer = asyncio.get_running_loop().call_later(self._interval, self._beat)

    def _beat(self) -> None:
        self._client.push(self._sign)
        self._wait()
