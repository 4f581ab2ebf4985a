"""Questions for counts: held to the limits of a key as other calls are, and each call of a provider in the ledger."""

import aiohttp
import pytest

from penstock.accounts.keys import Budget, Key, Limits
from penstock.upstreams.settings import AliasSettings
from tests.server.booking import booking
from tests.server.test_counting import COUNTS, HEADER, QUESTIONS, counted, that_counts
from tests.serving import HANG, KEY, RESET, replaying, serving, whole

pytestmark = pytest.mark.anyio

OFFERS = frozenset({"count"})
ONCE = Key("k1", "test", limits=Limits(requests_per_minute=1))


@pytest.mark.parametrize("client", QUESTIONS)
async def test_a_provider_that_counts_is_in_the_ledger_once_and_has_used_nothing(client: str) -> None:
    async with booking(whole(COUNTS["anthropic"]), protocol="anthropic", offers=OFFERS) as desk:
        async with desk.gateway.post(*QUESTIONS[client]) as response:
            assert response.status == 200
            request = response.headers["x-request-id"]
        attempt, of_request = desk.books.one("attempts"), desk.books.one("requests")
    assert (attempt["request"], attempt["provider"], attempt["model"]) == (request, "lab", "lab/m")
    assert (attempt["end"], attempt["usage_source"], attempt["cost"]) == ("completed", "provider", 0)
    assert (of_request["uncached"], of_request["output"], of_request["cost"]) == (0, 0, 0)


@pytest.mark.parametrize(
    ("acts", "end", "error"),
    [
        (whole(b"{}", "404 Not Found"), "failed", "not_found"),
        (whole(b"{}", "400 Bad Request"), "failed", "invalid_request"),
        ((RESET,), "failed", "upstream_error"),
    ],
)
async def test_a_provider_that_does_not_count_is_in_the_ledger_all_the_same(acts: object, end: str, error: str) -> None:
    async with booking(acts, protocol="anthropic", offers=OFFERS) as desk:  # type: ignore[arg-type]
        async with desk.gateway.post(*QUESTIONS["anthropic"]):
            pass
        attempt = desk.books.one("attempts")
    assert (attempt["end"], attempt["error"], attempt["cost"], attempt["output"]) == (end, error, 0, 0)


async def test_a_client_that_leaves_while_it_is_counted_has_used_nothing() -> None:
    async with booking((HANG,), protocol="anthropic", offers=OFFERS) as desk:
        path, body = QUESTIONS["anthropic"]
        with pytest.raises(TimeoutError):
            await desk.gateway.session.post(
                path,
                json=body,
                headers={"authorization": f"Bearer {KEY}"},
                timeout=aiohttp.ClientTimeout(total=0.3),
            )
        (attempt,), _ = await desk.books.settled()
    assert (attempt["end"], attempt["cost"], attempt["uncached"], attempt["output"]) == ("client_gone", 0, 0, 0)


@pytest.mark.parametrize("offers", [OFFERS, frozenset[str]()], ids=["counted", "estimated"])
@pytest.mark.parametrize("client", QUESTIONS)
async def test_a_question_is_one_of_the_keys_requests_per_minute(client: str, offers: frozenset[str]) -> None:
    async with booking(whole(COUNTS["anthropic"]), protocol="anthropic", key=ONCE, offers=offers) as desk:
        async with desk.gateway.post(*QUESTIONS[client]) as response:
            assert response.status == 200
        async with desk.gateway.post(*QUESTIONS[client]) as response:
            assert response.status == 429
            assert 0 < int(response.headers["retry-after"]) <= 60
        assert len(desk.upstream.requests) == len(desk.books.all("attempts")) == len(offers)


async def test_a_question_needs_a_slot_while_a_provider_is_asked() -> None:
    none = Key("k1", "test", limits=Limits(streams=0))
    async with booking(whole(COUNTS["anthropic"]), protocol="anthropic", key=none, offers=OFFERS) as desk:
        async with desk.gateway.post(*QUESTIONS["anthropic"]) as response:
            assert response.status == 429
        assert desk.upstream.requests == []


async def test_a_question_costs_nothing_of_a_budget_and_needs_no_price() -> None:
    key = Key("k1", "test", budget=Budget(1, "usd", "total"), limits=Limits(tokens_per_minute=1))
    async with booking(whole(COUNTS["anthropic"]), protocol="anthropic", key=key, offers=OFFERS, price=None) as desk:
        for _ in range(3):
            async with desk.gateway.post(*QUESTIONS["anthropic"]) as response:
                assert response.status == 200
        budget = desk.books.one("budgets")
    assert (budget["spent"], budget["held"]) == (0, 0)


async def test_a_model_that_a_key_may_not_use_is_not_counted_for_it() -> None:
    key = Key("k1", "test", models=("other/*",))
    async with booking(whole(COUNTS["anthropic"]), protocol="anthropic", key=key, offers=OFFERS) as desk:
        async with desk.gateway.post(*QUESTIONS["anthropic"]) as response:
            assert response.status == 403
        assert desk.upstream.requests == []


@pytest.mark.parametrize("limits", [Limits(), Limits(requests_per_minute=5)], ids=["unlimited", "limited"])
async def test_while_the_store_is_down_no_provider_is_asked_to_count(limits: Limits) -> None:
    key = Key("k1", "test", limits=limits)
    async with booking(whole(COUNTS["anthropic"]), protocol="anthropic", key=key, offers=OFFERS) as desk:
        with desk.books.down():
            async with desk.gateway.post(*QUESTIONS["anthropic"]) as response:
                assert response.status == 529
        assert desk.upstream.requests == []


@pytest.mark.parametrize(
    "acts", [(RESET,), whole(b"{}", "503 Service Unavailable"), whole(b"{}", "429 Too Many Requests")]
)
async def test_where_the_first_target_of_a_name_fails_the_next_counts(acts: object) -> None:
    async with replaying(acts) as broken, replaying(whole(COUNTS["gemini"])) as upstream:  # type: ignore[arg-type]
        providers = {"one": that_counts(broken, "anthropic"), "two": that_counts(upstream, "gemini")}
        async with serving(aliases={"m": AliasSettings(targets=("one/m", "two/m"))}, **providers) as gateway:
            path, body = QUESTIONS["anthropic"]
            async with gateway.post(path, body | {"model": "m"}) as response:
                assert (response.status, counted(await response.json()), HEADER in response.headers) == (
                    200,
                    321,
                    False,
                )
        assert len(broken.requests) == len(upstream.requests) == 1


async def test_where_no_target_can_be_reached_there_is_an_estimate() -> None:
    async with replaying((RESET,)) as one, replaying((RESET,)) as two:
        providers = {"one": that_counts(one, "anthropic"), "two": that_counts(two, "gemini")}
        async with serving(aliases={"m": AliasSettings(targets=("one/m", "two/m"))}, **providers) as gateway:
            path, body = QUESTIONS["anthropic"]
            async with gateway.post(path, body | {"model": "m"}) as response:
                assert (response.status, response.headers[HEADER]) == (200, "input_tokens")
