"""A call under way: what is tried for it, what is seen of the answer, and its account. Ended once, whatever ends it.

run = Run(call, books)
await run.begin(attempt)        on the books before the provider is called
...                             run.record sees the answer
await run.end(error)            settled before the client is told that it is over
"""

import asyncio
import time
from collections.abc import Callable, Sequence

from msgspec import Struct, field
from msgspec.structs import replace

from penstock.accounts.account import Account
from penstock.accounts.budgets import STREAM_OUTPUT
from penstock.accounts.entries import Attempt as Entry
from penstock.accounts.entries import Intent, Outcome, Progress, Single, Try
from penstock.accounts.ledger import Ledger
from penstock.accounts.prices import PriceBook
from penstock.core.continuation import counted_back, one_run
from penstock.core.errors import ClientFault, ErrorInfo, Fault
from penstock.core.money import format_dollars
from penstock.core.outcome import End, UsageSource
from penstock.core.usage import BYTES_PER_TOKEN, Usage, estimate_tokens
from penstock.gateway import provider_log
from penstock.gateway.attempt import Attempt
from penstock.gateway.call import Call, CallCancelledError, ClientStalledError
from penstock.gateway.capacity import Capacity
from penstock.gateway.observer import BreakOutcome, Ended, HedgeOutcome, Observer, Purpose
from penstock.gateway.record import Record
from penstock.gateway.tries import blames_provider
from penstock.protocols.written_limit import written_limit
from penstock.protocols.written_tier import NOTHING_SAID, asked_for
from penstock.routing.health import Health

OVER_BUDGET = ErrorInfo(
    "billing", "The budget of this key was used up in the middle of the answer.", code="budget_exceeded"
)

_NOTHING = Usage(uncached=0, output=0)


class Books(Struct, frozen=True):
    """Where calls are written down: the ledger, what tokens cost, who is told of the end, and how upstreams do.

    `capacity` is how many there may be at once. `afterwards` is called a moment after calls have ended, once for all
    that have: for what would delay them.
    """

    ledger: Ledger
    prices: PriceBook
    capacity: Capacity
    observers: Sequence[Observer] = ()
    afterwards: Sequence[Callable[[], None]] = ()
    health: Health = field(default_factory=Health)


class Aside(Struct, frozen=True):
    """An attempt that is made beside the one under way: `record` is what has been seen of its answer, since `began`."""

    attempt: Attempt
    record: Record
    began: float
    entry: Entry
    account: Account


class Run:
    """State of one call.

    Attributes:
        call: what is asked.
        record: what has been seen of the answer to the attempt under way.
        cost: nano-dollars, once it has ended and if a price is known.
        abandoned: whether nobody waits for it any more: nothing else is tried for it.
        attempts: how many were begun.
        before: of an answer that is being continued, what it had come to before.
        further: of all attempts but the first, who was asked, and what for.
        hedges: who was slow, each time that a second attempt was made beside one, and which of them answered.
        breaks: whose answer broke off, each time that it might be continued, and what came of that.
    """

    def __init__(self, call: Call, books: Books, *, max_output: int | None = None) -> None:
        """Begin a call. `max_output` is how much can come of it, if that is known otherwise than from its request."""
        self.call = call
        self._max_output = max_output
        self.record = Record()
        self.cost: int | None = None
        self.abandoned = False
        self.attempts = 0
        self.before: Single | None = None
        self.further: list[tuple[str, Purpose]] = []
        self.hedges: list[tuple[str, HedgeOutcome]] = []
        self.breaks: list[tuple[str, BreakOutcome]] = []
        self._first_output = 0.0  # of the whole answer
        self._books = books
        self._attempt: Attempt | None = None
        self._account: Account | None = None
        self._began = 0.0

    @property
    def attempt(self) -> Attempt | None:
        """What is under way, if something is."""
        return self._attempt

    @property
    def covered(self) -> int:
        """UTF-8 bytes of output that the key's budget is known to bear."""
        assert self._account is not None, "only what is on the books is covered"  # noqa: S101
        return self._account.covered * BYTES_PER_TOKEN

    async def begin(self, attempt: Attempt, failed: Fault | None = None) -> None:
        """Put an attempt on the books; it may be made when this returns. `failed` is what ended the one before it.

        Raises:
            ClientFault: the key may not: its budget or a limit is used up.
            Fault: there are too many calls; or the ledger cannot be written, and nothing is done that is not in it.
            ConnectionError: nobody waits for the call any more.
        """
        again = self._attempt is not None and self._attempt.upstream == attempt.upstream
        await self._begin(attempt, failed, "retry" if again else "failover")

    async def _begin(self, attempt: Attempt, failed: Fault | None, purpose: Purpose) -> None:
        if self.abandoned:
            raise ConnectionResetError("the client has left")
        tried = self._try(attempt)
        if self._account is None:
            self._account = await self._opened(tried)
        else:
            assert self._attempt is not None, "an attempt comes before the next"  # noqa: S101
            outcome = self._outcome(failed, self._attempt, self.record, self._began)
            await self._account.retry(outcome, tried)
            self._judge(self._attempt, outcome, self.record)
            self.further.append((attempt.provider.name, purpose))
        self._attempt = attempt
        self.attempts += 1
        self._began = time.monotonic()
        self._books.health.calling(attempt.upstream, self._began)
        self.record = Record()

    async def beside(self, attempt: Attempt) -> Aside:
        """Put an attempt on the books that is made beside the one under way; raises as `begin`."""
        assert self._account is not None, "an attempt comes before one beside it"  # noqa: S101
        if self.abandoned:
            raise ConnectionResetError("the client has left")
        account = self._account
        entry = await account.beside(self._try(attempt))
        self.attempts += 1
        self.further.append((attempt.provider.name, "hedge"))
        began = time.monotonic()
        self._books.health.calling(attempt.upstream, began)
        return Aside(attempt, Record(), began, entry, account)

    def swap(self, aside: Aside) -> Aside:
        """Have an attempt take the place of the one under way, of which there is no output; return that one."""
        assert self._attempt is not None, "an attempt comes before one beside it"  # noqa: S101
        before = Aside(self._attempt, self.record, self._began, aside.account.swap(aside.entry), aside.account)
        self._attempt, self.record, self._began = aside.attempt, aside.record, aside.began
        return before

    def call_off(self, aside: Aside, error: BaseException | None = None) -> None:
        """Settle an attempt that was made beside another, which was quicker; or what ended it was an `error`."""
        outcome = self._outcome(error, aside.attempt, aside.record, aside.began)
        if error is None:
            outcome = replace(outcome, end="hedged")
        aside.account.call_off(aside.entry, outcome)
        self._judge(aside.attempt, outcome, aside.record)

    async def _opened(self, tried: Try) -> Account:
        self._books.capacity.enter()
        try:
            return await self._books.ledger.open(self._intent(), tried, self._progress)
        except BaseException:
            self._books.capacity.leave()
            raise

    async def admit(self) -> None:
        """Let a call through that no provider is asked for: it is one of its key's requests, and not in the ledger.

        Raises:
            ClientFault: a limit of the key does not allow it.
            Fault: nobody knows, for the ledger cannot be reached.
        """
        await self._books.ledger.admit(self._intent())

    async def go_on(self, attempt: Attempt, broken: Fault) -> None:
        """Put an attempt on the books that continues the answer to the one before; raises as `begin`."""
        assert self._attempt is not None, "an answer comes before what continues it"  # noqa: S101
        before = self._so_far(self._attempt, *_usage(self.record, broken, self._attempt))
        first_output = self._first_output or self.record.first_output
        await self._begin(attempt, broken, "continuation")
        self.before, self._first_output = before, first_output

    async def extend(self) -> None:
        """Let the budget bear more output than it does.

        Raises:
            ClientFault: it cannot.
        """
        assert self._account is not None, "only what is on the books can be extended"  # noqa: S101
        seen = estimate_tokens(self.record.output_bytes)
        # Ahead of what comes, so that not every chunk asks; near the end of a budget only what is there.
        if not (await self._account.extend(seen + STREAM_OUTPUT) or await self._account.extend(seen)):
            raise ClientFault(OVER_BUDGET)

    async def end(self, error: BaseException | None = None) -> None:
        """Settle the call, and tell who watches. `error` is what ended it early; only the first time counts."""
        attempt, account = self._attempt, self._account
        if attempt is None or account is None:
            return
        self._attempt = None
        outcome = self._outcome(error, attempt, self.record, self._began)
        if self.record.finish is not None and self.record.usage.input:
            attempt.estimate.learn(self.record.usage.input)
        try:
            single = None if self.before is None else self._so_far(attempt, outcome.usage, outcome.source)
            self.cost = await account.settle(outcome, single)
        finally:
            self._account = None  # it knows this call: both would keep the request until cycles are looked for
            self._books.capacity.leave()
            self._judge(attempt, outcome, self.record)
            self._tell(attempt, outcome)

    def cost_header(self) -> dict[str, str]:
        """Return the header that tells a client what its call cost, in dollars."""
        return {} if self.cost is None else {"x-penstock-cost": format_dollars(self.cost)}

    def _intent(self) -> Intent:
        call = self.call
        return Intent(
            request=call.id,
            key=call.key,
            model=call.inbound.model,
            client_protocol=call.protocol.name,
            stream=call.inbound.stream,
            created_ms=call.created_ms,
        )

    def _try(self, attempt: Attempt) -> Try:
        provider, model, key = attempt.provider.name, attempt.model, self.call.key
        # What a key may use up is weighed with care; for others a crash alone would ask, and its answer is flagged.
        weighed = key.budget is not None or key.limits.tokens_per_minute is not None
        return Try(
            provider=provider,
            upstream_model=model,
            upstream_protocol=attempt.protocol.name,
            input_tokens=attempt.estimate.tokens() if weighed else estimate_tokens(len(attempt.outbound.body)),
            max_output=self._limit(attempt) if weighed else None,
            price=self._books.prices.of(provider, model, self.call.created),
            service_tier=asked_for(self.call.inbound.fields, attempt.outbound.body).service_tier,
        )

    def _limit(self, attempt: Attempt) -> int | None:
        return _max_output(self.call, attempt) if self._max_output is None else self._max_output

    def _progress(self) -> Progress:
        usage = self.record.usage if self._attempt is None else self._with_asked(self.record.usage, self._attempt)
        return Progress(usage=usage, output_tokens=estimate_tokens(self.record.output_bytes))

    def _with_asked(self, usage: Usage, attempt: Attempt) -> Usage:
        """Return usage with what was asked for that has a price of its own, where the provider does not tell."""
        asked = asked_for(self.call.inbound.fields, attempt.outbound.body)
        return usage if asked is NOTHING_SAID else replace(asked.updated(usage), estimated=usage.estimated)

    def _outcome(self, error: BaseException | None, attempt: Attempt, record: Record, began: float) -> Outcome:
        if isinstance(error, Fault):
            record.error = error.info
        usage, source = _usage(record, error, attempt)
        if record.begun:
            usage = self._with_asked(usage, attempt)
        return Outcome(
            end=_end(record, error),
            error=_word(record.error),
            usage=usage,
            source=source,
            first_output_ms=_ms(record.first_output - began) if record.first_output else None,
            duration_ms=_ms(time.monotonic() - began),
            gaps=record.gaps,
        )

    def _judge(self, attempt: Attempt, outcome: Outcome, record: Record) -> None:
        """Note what an attempt says of how well its upstream does: nothing, if its client left or was wrong."""
        health, error = self._books.health, record.error
        if outcome.end == "completed":
            provider_log.succeeded(health, attempt.upstream)
        elif outcome.end in {"failed", "timed_out"} and error is not None and blames_provider(error):
            provider_log.failed(health, attempt.upstream, error, self.call.id)
        else:
            health.undecided(attempt.upstream)

    def one_run(self, usage: Usage, repeated: int) -> Usage:
        """Return the usage of an answer that is being continued, as if it had not been broken off.

        `usage` is of what continues it, where so many tokens are not shown because they are `repeated`.
        """
        assert self.before is not None, "an answer comes before what continues it"  # noqa: S101
        before = self.before.usage
        if self.before.source == "estimate":
            before = counted_back(before, usage)
        return one_run(before, usage, repeated)

    def _so_far(self, attempt: Attempt, usage: Usage, source: UsageSource) -> Single:
        """Return what the answer has come to as its client sees it, with the usage of the attempt under way."""
        record, before = self.record, self.before
        if before is None:
            price = self._books.prices.of(attempt.provider.name, attempt.model, self.call.created)
            return Single(usage, price, source)
        if not record.begun:
            return before
        counted = source if before.source == "estimate" else before.source
        return Single(self.one_run(usage, record.repeated), before.price, counted)

    def _tell(self, attempt: Attempt, outcome: Outcome) -> None:
        call, record = self.call, self.record
        first_output = self._first_output or record.first_output
        ended = Ended(
            request=call.id,
            key=call.key.name,
            model=call.inbound.model,
            provider=attempt.provider.name,
            upstream_model=attempt.model,
            client_protocol=call.protocol.name,
            upstream_protocol=attempt.protocol.name,
            stream=call.inbound.stream,
            end=outcome.end,
            error=record.error.kind if record.error else None,
            finish=record.finish.raw if record.finish else None,
            usage=outcome.usage,
            usage_source=outcome.source,
            cost=self.cost,
            first_output=first_output - call.started if first_output else None,
            seconds=time.monotonic() - call.started,
            gaps=record.gaps,
            reason=record.finish.reason if record.finish else None,
            further=tuple(self.further),
            hedges=tuple(self.hedges),
            breaks=tuple(self.breaks),
        )
        for observe in self._books.observers:
            observe(ended)


def _word(error: ErrorInfo | None) -> str | None:
    """Return an error in a word: of a limit of time its code, which says which."""
    if error is None:
        return None
    return error.code or error.kind if error.kind == "timeout" else error.kind


def _end(record: Record, error: BaseException | None) -> End:
    """Return in a word how an attempt ended."""
    if isinstance(error, ConnectionError):  # also where the rest was read for nobody, whatever that came to
        return "timed_out" if isinstance(error, ClientStalledError) else "client_gone"
    if record.error is not None:
        if record.error.kind == "timeout":
            return "timed_out"
        return "over_budget" if record.error.code == OVER_BUDGET.code else "failed"
    if error is None:
        return "completed"
    if isinstance(error, CallCancelledError):
        return "cancelled"
    return "client_gone" if isinstance(error, asyncio.CancelledError) else "defect"


def _usage(record: Record, error: BaseException | None, attempt: Attempt) -> tuple[Usage, UsageSource]:
    """Return what an attempt used up, and who says so."""
    if isinstance(error, Fault) and not record.begun and not record.usage.known:
        return _NOTHING, "estimate"  # it was refused, or broke before there was anything: nobody bills error texts
    usage = record.usage_or_estimate(attempt.estimate.tokens)
    if not record.usage.known:
        return usage, "estimate"
    # Some count as they go: what they said before the end is not their last word.
    return usage, "provider" if record.finish is not None and not record.cut else "partial"


def _max_output(call: Call, attempt: Attempt) -> int | None:
    """Return how much output an attempt allows, over all the answers that are asked for; None if nobody says."""
    try:
        ask = call.read()
    except ClientFault:  # its provider may understand what nobody else would
        return written_limit(call.inbound.fields)
    meant = ask.max_output and ask.max_output * ask.choices
    if not meant or attempt.protocol is not call.protocol:
        return meant or None
    # What the client wrote goes to the provider as it stands. If it says two limits, nobody knows which one counts.
    return max(meant, written_limit(call.inbound.fields) or 0)


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
