"""What many machines have in common in Redis: each operation is one step, nothing outlives its lease, news come at once."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from penstock.accounts import rates
from penstock.core.errors import ConfigError
from penstock.store import shared as shared_module
from penstock.store.errors import StoreUnavailableError
from penstock.store.ledger import Claims, RateClaim, Refusal, Return
from penstock.store.shared import LEASE, SharedStore, check_url
from tests.store.servers import RedisServer

pytestmark = pytest.mark.anyio

START = 1_795_000_000_000_000
"""2026-11-18, in microseconds."""


class Clock:
    """Microseconds that stand."""

    now = START

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def store(redis_url: str, clock: Clock) -> AsyncIterator[SharedStore]:
    opened = await SharedStore.open(redis_url, now=clock)
    yield opened
    await opened.close()


def claims(now: int, streams: int | None = None, requests: int | None = None, key: str = "k") -> Claims:
    """Claim a slot of so many, and one of so many requests per minute."""
    claimed = ()
    if requests is not None:
        charged = rates.charge(1, requests)
        claimed = (RateClaim("requests", charged, rates.latest(now, charged)),)
    return Claims(key, now, streams, claimed, None)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)


Event = tuple[str, int, int, int]

EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["requests", "tokens", "both", "correction"]),
        st.integers(0, 2000),
        st.integers(1, 1000),
        st.integers(0, 2 * rates.MINUTE),
    ),
    max_size=30,
)


class Model:
    """The rule of accounts/rates.py, as SQL applies it."""

    def __init__(self) -> None:
        self.arrivals: dict[str, int] = {}

    def admit(self, claimed: Claims) -> Refusal | None:
        for claim in claimed.rates:
            if self.arrivals.get(claim.kind, 0) > claim.latest:
                return Refusal(claim.kind, self.arrivals[claim.kind])
        for claim in claimed.rates:
            self.arrivals[claim.kind] = max(self.arrivals.get(claim.kind, 0), claimed.now) + claim.charge
        return None

    def correct(self, amount: int) -> None:
        if "tokens" in self.arrivals:
            self.arrivals["tokens"] += amount


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])  # it is emptied for each example
@given(events=EVENTS, per_minute=st.integers(1, 1000))
def test_the_script_admits_what_the_rule_admits_and_finds_the_same_arrivals(
    redis_url: str, events: list[Event], per_minute: int
) -> None:
    async def compare() -> None:
        clock, model = Clock(), Model()
        store = await SharedStore.open(redis_url, now=clock)
        await asyncio.to_thread(_flush, redis_url)
        last = "nobody"
        for number, (kind, amount, other, pause) in enumerate(events):
            clock.now += pause
            if kind == "correction":
                await store.give_back([Return(last, "k", amount - other)])
                if last != "nobody":
                    model.correct(amount - other)
                last = "nobody"
                continue
            kinds = ("requests", "tokens") if kind == "both" else (kind,)
            charges = [rates.charge(amount if kind == "tokens" else 1, per_minute) for kind in kinds]
            claimed = tuple(
                RateClaim(kind, charged, rates.latest(clock.now, charged))  # pyright: ignore[reportArgumentType]
                for kind, charged in zip(kinds, charges, strict=True)
            )
            claim = Claims("k", clock.now, None, claimed, None)
            refused = model.admit(claim)
            assert await store.admit(f"r{number}", claim) == refused
            last = f"r{number}" if refused is None else last
        await store.close()

    asyncio.run(compare())


def _flush(url: str) -> None:
    with redis.Redis.from_url(url) as client:
        client.flushall()


async def test_redis_tells_the_time_whatever_the_callers_clock_says(redis_url: str) -> None:
    store = await SharedStore.open(redis_url)
    ahead, behind = claims(START + 10 * LEASE, requests=1), claims(START, requests=1)
    assert await store.admit("r1", ahead) is None

    refused = await store.admit("r2", behind)

    assert refused is not None
    assert 0 < rates.wait(refused.arrival, behind.now, rates.MINUTE) <= 60
    await store.close()


async def test_many_at_once_have_as_many_slots_as_there_are(
    redis_url: str, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two gateways, each with its own connections."""
    monkeypatch.setattr(shared_module, "PATIENCE", 30.0)
    stores = [await SharedStore.open(redis_url, now=clock) for _ in range(2)]

    refused = await asyncio.gather(
        *(stores[n % 2].admit(f"r{n}", claims(clock.now, streams=10)) for n in range(100)),
    )

    assert refused.count(None) == 10
    assert set(refused) == {None, Refusal("streams")}
    for store in stores:
        await store.close()


async def test_a_slot_that_nobody_renews_is_free_after_a_minute(store: SharedStore, clock: Clock) -> None:
    await store.admit("of a process that was killed", claims(clock.now, streams=1))
    clock.now += LEASE - 1
    assert await store.admit("r2", claims(clock.now, streams=1)) == Refusal("streams")

    clock.now += 1

    assert await store.admit("r2", claims(clock.now, streams=1)) is None


async def test_a_slot_that_is_renewed_is_kept(store: SharedStore, clock: Clock) -> None:
    await store.admit("r1", claims(clock.now, streams=1))
    clock.now += LEASE - 1
    await store.renew([("k", "r1"), ("another key", "r3")])
    clock.now += LEASE - 1

    assert await store.admit("r2", claims(clock.now, streams=1)) == Refusal("streams")


async def test_a_slot_is_given_back_once(store: SharedStore, clock: Clock) -> None:
    for request in ("r1", "r2"):
        await store.admit(request, claims(clock.now, streams=2))
    for _ in range(2):
        await store.give_back([Return("r1", "k", 0)])

    assert await store.admit("r3", claims(clock.now, streams=2)) is None
    assert await store.admit("r4", claims(clock.now, streams=2)) == Refusal("streams")


async def test_a_slot_that_is_given_back_while_leases_are_renewed_is_free(store: SharedStore, clock: Clock) -> None:
    await store.admit("r1", claims(clock.now, streams=1))

    await asyncio.gather(store.renew([("k", "r1")]), store.give_back([Return("r1", "k", 0)]))

    assert await store.admit("r2", claims(clock.now, streams=1)) is None


async def test_who_is_refused_has_taken_nothing(store: SharedStore, clock: Clock) -> None:
    both = claims(clock.now, streams=5, requests=1)
    await store.admit("r1", both)

    for request in ("r2", "r3", "r4", "r5", "r6"):
        refused = await store.admit(request, both)
        assert refused is not None
        assert refused.limit == "requests"

    for request in ("r7", "r8", "r9", "r10"):
        assert await store.admit(request, claims(clock.now, streams=5)) is None


async def test_what_is_retracted_was_never_taken(store: SharedStore, clock: Clock) -> None:
    both = claims(clock.now, streams=1, requests=1)
    await store.admit("r1", both)

    await store.give_back([Return("r1", "k", None)])

    assert await store.admit("r2", both) is None


async def test_what_is_retracted_twice_is_given_back_once(store: SharedStore, clock: Clock) -> None:
    for request in ("r1", "r2"):
        await store.admit(request, claims(clock.now, requests=2))

    for _ in range(2):
        await store.give_back([Return("r1", "k", None)])

    assert await store.admit("r3", claims(clock.now, requests=2)) is None
    assert await store.admit("r4", claims(clock.now, requests=2)) is not None


async def test_a_rate_is_put_right_once(store: SharedStore, clock: Clock) -> None:
    charged = RateClaim("tokens", rates.MINUTE, rates.latest(clock.now, rates.MINUTE))
    claim = Claims("k", clock.now, None, (charged,), None)
    for request in ("r1", "r2"):
        clock.now += rates.MINUTE
        await store.admit(request, claim)

    for _ in range(2):
        await store.give_back([Return("r2", "k", -rates.MINUTE // 2)])

    refused = await store.admit("r3", claim)
    assert refused is not None
    assert refused.arrival - claim.now == rates.MINUTE // 2


async def test_what_is_retracted_before_it_arrives_is_never_taken(store: SharedStore, clock: Clock) -> None:
    """Of two connections nobody knows which is heard first."""
    both = claims(clock.now, streams=1, requests=1)

    await store.give_back([Return("r1", "k", None)])
    await store.admit("r1", both)

    assert await store.admit("r2", both) is None


async def test_keys_have_nothing_in_common(store: SharedStore, clock: Clock) -> None:
    assert await store.admit("r1", claims(clock.now, streams=1, requests=1)) is None
    assert await store.admit("r2", claims(clock.now, streams=1, requests=1, key="l")) is None


async def test_nothing_stays_in_redis_for_ever(store: SharedStore, clock: Clock, redis_url: str) -> None:
    await store.admit("r1", claims(clock.now, streams=1, requests=1))
    await store.give_back([Return("r1", "k", 5), Return("r2", "k", None)])

    with redis.Redis.from_url(redis_url) as client:
        assert all(client.ttl(name) > 0 for name in client.scan_iter())


async def test_nothing_is_admitted_while_redis_is_down_and_all_is_when_it_is_back(
    store: SharedStore, clock: Clock, redis_server: RedisServer
) -> None:
    await store.admit("r1", claims(clock.now, streams=5))
    redis_server.stop()
    for _ in range(2):
        with pytest.raises(StoreUnavailableError):
            await store.admit("r2", claims(clock.now, streams=5))

    redis_server.start()

    assert await store.admit("r2", claims(clock.now, streams=5)) is None


async def test_leases_that_redis_has_lost_are_there_again_when_they_are_renewed(
    store: SharedStore, clock: Clock, redis_server: RedisServer
) -> None:
    await store.admit("r1", claims(clock.now, streams=1))
    redis_server.stop()
    await asyncio.sleep(0.01)  # the loop sees that the connection is closed
    redis_server.start()

    await store.renew([("k", "r1")])

    assert await store.admit("r2", claims(clock.now, streams=1)) == Refusal("streams")


async def test_whoever_does_not_answer_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_module, "PATIENCE", 0.1)
    silent = await asyncio.start_unix_server(lambda reader, _: reader.read(), tmp_path / "silent.sock")

    with pytest.raises(ConfigError, match=r"silent\.sock: cannot be used: no answer within 0\.1 s"):
        await SharedStore.open(f"unix://{tmp_path}/silent.sock")

    silent.close()


async def test_news_of_keys_are_heard_at_once_also_after_redis_was_down(
    redis_url: str, redis_server: RedisServer
) -> None:
    heard: list[None] = []
    listening, telling = await SharedStore.open(redis_url), await SharedStore.open(redis_url)
    listening.listen(lambda: heard.append(None))
    await until(lambda: len(heard) == 1)  # it listens

    await telling.tell_of_keys()
    await until(lambda: len(heard) == 2)
    redis_server.stop()
    with capture_logs() as logs:
        await telling.tell_of_keys()
    assert [line["event"] for line in logs if line["event"] == "shared.untold"]
    redis_server.start()
    await until(lambda: len(heard) == 3)  # something may have been missed
    await telling.tell_of_keys()
    await until(lambda: len(heard) == 4)

    await listening.close()
    await telling.close()


@pytest.mark.parametrize("url", ["redis://:s3cret@host:6379/0", "rediss://user:s3cret@host", "unix:///run/redis.sock"])
async def test_addresses(url: str) -> None:
    check_url(url)


@pytest.mark.parametrize("url", ["", "host:6379", "http://:s3cret@host", "redis://:s3cret@host:port", "unix://"])
async def test_what_is_no_address_is_not_repeated(url: str) -> None:
    with pytest.raises(ConfigError, match="expected redis://") as refused:
        check_url(url)
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("redis://:s3cret@127.0.0.1:1", "the Redis at 127.0.0.1: cannot be used: "),
        ("redis://:s3cret@127.0.0.1:1/0?health_check_interval=s3cret", "what stands behind the"),
    ],
)
async def test_what_cannot_be_used_is_said_at_the_start_without_the_password(url: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told) as refused:
        await SharedStore.open(url)
    assert "s3cret" not in str(refused.value)
