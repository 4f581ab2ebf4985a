"""The clock of an answer: limits of time, and signs of life for a client whose provider is silent.

Proxies and SDKs give up connections on which nothing comes. Between two events every SDK bears a bare line end, and
some bear nothing else (section 2 of docs/protocols.md); whole events are all that a client is ever sent, so any moment
is between two. A heartbeat is no output, and neither are a provider's comments and pings: the limits go on as if there
were none.

    with FirstOutput(call, attempt): ...            until there is something to show
    held = Held(client, interval)                   meanwhile: the status goes out at last, and then heartbeats
    watch = Watch(...)                              from then on: one timer, which looks at what is counted anyway
"""

import asyncio
import time
from types import TracebackType

from penstock.core.errors import ClientFault, ErrorInfo, UpstreamFault
from penstock.gateway.attempt import Attempt
from penstock.gateway.call import Call, Client
from penstock.gateway.record import Record
from penstock.upstreams.transport import UpstreamResponse

LINE = b"\n"
"""What says that a stream is alive before it has begun; a protocol's own heartbeat may stand only behind that."""


def timed_out(code: str, attempt: Attempt, why: str) -> ErrorInfo:
    """Return what a client is told when a limit has passed; `{}` in `why` stands for the provider."""
    return ErrorInfo("timeout", why.replace("{}", f'The provider "{attempt.provider.name}"'), code=code)


class FirstOutput:
    """Bounds the wait for the first output of an attempt: `first_event`, and what is left of `total`.

    Raises:
        UpstreamFault: `first_event_timeout` or `total_timeout`.
    """

    __slots__ = ("_attempt", "_call", "_cancelling", "_left", "_passed", "_task", "_timer", "_total")

    def __init__(self, call: Call, attempt: Attempt) -> None:
        self._call = call
        self._attempt = attempt

    def __enter__(self) -> None:
        """Start the clock. It is what `asyncio.timeout` is, but that what the request asks for moves its limit."""
        call, limits = self._call, self._attempt.limits
        task = asyncio.current_task()
        assert task is not None, "whoever waits is a task"  # noqa: S101
        self._task, self._cancelling, self._passed = task, task.cancelling(), False
        left = max(0.0, call.started + limits.total - time.monotonic())
        self._total = left < limits.thinking
        longest = min(left, limits.thinking)
        # Whether it is asked to think is found out only when somebody needs to know: few wait so long.
        first = min(longest, limits.first_event if call.inbound.stream else longest)
        self._left = longest - first
        self._timer = asyncio.get_running_loop().call_later(first, self._look)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the clock."""
        self._timer.cancel()
        if self._passed and self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise UpstreamFault(self._fault()) from None

    def _look(self) -> None:
        if self._left and (self._attempt.thinks or _asks_for_thoughts(self._call)):
            self._timer = asyncio.get_running_loop().call_later(self._left, self._look)
            self._left = 0.0
        else:
            self._total = self._total and not self._left
            self._passed = True
            self._task.cancel()

    def _fault(self) -> ErrorInfo:
        if self._total:
            return timed_out("total_timeout", self._attempt, "{} took too long for its answer.")
        return timed_out("first_event_timeout", self._attempt, "{} did not begin its answer in time.")


def _asks_for_thoughts(call: Call) -> bool:
    try:
        asked = call.read().reasoning
    except ClientFault:  # only its provider knows what it means
        return True
    return asked is not None and asked.effort != "none" and asked.budget != 0


class Held:
    """Holds the status of a stream back until there is output, so that a failure can have its own: but not for ever.

    Attributes:
        begun: whether the status is on its way.
    """

    __slots__ = ("_client", "_interval", "_loop", "_starting", "_timer", "begun")

    def __init__(self, client: Client, interval: float) -> None:
        """Let no more than `interval` seconds pass in silence; 0 lets any."""
        self.begun = False
        self._client = client
        self._interval = interval
        self._loop = asyncio.get_running_loop()
        self._starting: asyncio.Task[None] | None = None
        self._timer = self._loop.call_later(interval, self._beat) if interval else None

    def stop(self) -> None:
        """Stop: there is output, or there will be none."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def start(self, headers: dict[str, str], data: bytes) -> None:
        """Send the first bytes of the answer, and the status if it is still to be sent."""
        self.stop()
        if self._starting is None:
            self.begun = True
            await self._client.start(headers, data)
        else:
            await self._starting
            if data:
                self._client.push(data)

    async def fail(self, data: bytes) -> None:
        """Send the bytes that tell of a failure behind a status that told of none, and cut the connection."""
        if self._starting is not None:
            await self._starting
        await self._client.abort(data)

    def _beat(self) -> None:
        if self._starting is None:
            self.begun = True
            self._starting = self._loop.create_task(self._client.start({}, LINE))
        elif self._starting.done():
            self._client.push(LINE)
        self._timer = self._loop.call_later(self._interval, self._beat)


class Watch:
    """Looks at a stream that has begun: writes heartbeats into its silence, and ends it when a limit has passed.

    Attributes:
        pushes: how often something was written; whoever writes counts it here.
        passed: which limit has, once one has.
    """

    __slots__ = (
        "_attempt",
        "_beat",
        "_beat_at",
        "_client",
        "_end",
        "_loop",
        "_period",
        "_record",
        "_response",
        "_seen",
        "_since",
        "_timer",
        "passed",
        "pushes",
    )

    def __init__(self, call: Call, attempt: Attempt, record: Record, client: Client, interval: float) -> None:
        """Watch the answer to an attempt; let no more than `interval` seconds pass in silence, or 0 for any."""
        self.pushes = 0
        self.passed: ErrorInfo | None = None
        self._attempt = attempt
        self._record = record
        self._client = client
        self._beat = call.protocol.heartbeat
        self._period = interval / 2  # a look at each half: silence is noticed after one, at the latest after both
        self._end = call.started + attempt.limits.total
        self._seen = -1
        self._since = self._beat_at = 0.0
        self._response: UpstreamResponse | None = None
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    def start(self, response: UpstreamResponse) -> None:
        """Begin to watch: all that has come was written, and the rest is waited for."""
        now = time.monotonic()
        self._response = response
        self._since = now
        self._beat_at = now + self._period if self._period else float("inf")
        self._wait(now)

    def stop(self) -> None:
        """Stop watching: the answer is over, or the client has enough to read."""
        if self._timer is not None:
            self._timer.cancel()

    def _wait(self, now: float) -> None:
        soonest = min(self._beat_at, self._silent_until(), self._end)
        self._timer = self._loop.call_later(max(0.0, soonest - now), self._look)

    def _silent_until(self) -> float:
        """Return when the silence has been too long, if it goes on."""
        record, limits = self._record, self._attempt.limits
        # A part that has begun without output is one of thoughts that are not shown.
        longest = limits.gap if record.output_bytes else limits.thinking
        return max(record.last_output, self._since) + longest

    def _look(self) -> None:
        now = time.monotonic()
        if now >= self._end:
            self._cut(timed_out("total_timeout", self._attempt, "{} took too long for its answer."))
        elif now >= self._silent_until():
            self._cut(timed_out("gap_timeout", self._attempt, "{} went silent in the middle of its answer."))
        else:
            if now >= self._beat_at:
                if self.pushes == self._seen:
                    self._client.push(self._beat)
                self._seen = self.pushes
                self._beat_at = now + self._period
            self._wait(now)

    def _cut(self, passed: ErrorInfo) -> None:
        self.passed = passed
        if self._response is not None:
            self._response.abort()
