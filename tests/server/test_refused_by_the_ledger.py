"""What clients are told that may not, before a provider is called or in the middle; and what happens without a store."""

import json
from typing import Any

import pytest

from penstock.accounts.account import Account
from penstock.accounts.keys import Budget, Key, Limits
from penstock.protocols.registry import PROTOCOLS
from penstock.upstreams.connection import HIGH_WATER, READ_SIZE
from tests.server.booking import Desk, booking, whole_call
from tests.server.canned import STREAMS, WHOLE
from tests.server.reading import SUCCESS_MARKS, Reading, failure_of, read
from tests.serving import CALLS, HANG, STREAM_HEAD, chunk, stream, whole

pytestmark = pytest.mark.anyio

NAMES = tuple(PROTOCOLS)
ANSWER = whole(WHOLE["openai-chat"])


def piece(text: str) -> bytes:
    return chunk(
        b'data: {"id":"c1","object":"chat.completion.chunk","created":1,"model":"up","choices":[{"index":0,'
        b'"delta":{"content":%b},"finish_reason":null}]}\n\n' % json.dumps(text).encode()
    )


def budgeted(limit: int, unit: Any = "usd") -> Key:
    return Key("k1", "test", budget=Budget(limit, unit, "total"))


def said(got: Reading) -> str:
    return json.dumps(json.loads(got.body))


# ---- before a provider is called -------------------------------------------------------------------------------------


async def refused(client: str, key: Key, **more: Any) -> Reading:
    """Return what a client is told; no provider was called, and nothing is in the books."""
    async with booking(ANSWER, key=key, **more) as desk:
        got = await read(desk.gateway.post(*CALLS[client]))
        assert desk.upstream.requests == []
        assert desk.books.all("attempts") == desk.books.all("requests") == []
        assert all(row["held"] == row["spent"] == 0 for row in desk.books.all("budgets"))
        assert all(row["value"] == 0 for row in desk.books.all("rates"))
    return got


@pytest.mark.parametrize("client", NAMES)
async def test_a_budget_that_is_used_up_is_a_403_that_says_so(client: str) -> None:
    got = await refused(client, budgeted(100))
    assert got.status == 403
    assert "budget of this key" in said(got)
    if client.startswith("openai"):
        assert json.loads(got.body)["error"]["code"] == "budget_exceeded"


@pytest.mark.parametrize("client", NAMES)
async def test_a_price_that_nobody_knows_is_a_403_for_a_key_with_a_budget_in_money(client: str) -> None:
    got = await refused(client, budgeted(10**12), price=None)
    assert got.status == 403
    assert "no price is known" in said(got)
    if client.startswith("openai"):
        assert json.loads(got.body)["error"]["code"] == "price_unknown"


@pytest.mark.parametrize(
    "limits",
    [
        {"max_tokens": 10**6},
        {"max_tokens": 1, "max_completion_tokens": 10**6},
        {"max_tokens": 10**5, "n": 10},
    ],
)
async def test_a_request_that_only_its_provider_understands_holds_what_it_allows(limits: dict[str, int]) -> None:
    path, body = whole_call("openai-chat")
    async with booking(ANSWER, key=budgeted(20_000, "tokens")) as desk:
        got = await read(desk.gateway.post(path, body | {"logit_bias": {"1": 1}} | limits))
        assert desk.upstream.requests == []
    assert (got.status, "budget of this key" in said(got)) == (403, True)


TWICE = {"max_tokens": 10**6, "max_completion_tokens": 1}


async def test_a_request_that_says_two_limits_holds_the_larger_where_both_reach_the_provider() -> None:
    path, body = whole_call("openai-chat")
    async with booking(ANSWER, key=budgeted(20_000, "tokens")) as desk:
        got = await read(desk.gateway.post(path, body | TWICE))
        assert desk.upstream.requests == []
    assert (got.status, "budget of this key" in said(got)) == (403, True)


async def test_a_request_that_says_two_limits_holds_the_one_that_its_provider_is_told() -> None:
    path, body = whole_call("openai-chat")
    async with booking(whole(WHOLE["anthropic"]), protocol="anthropic", key=budgeted(20_000, "tokens")) as desk:
        got = await read(desk.gateway.post(path, body | TWICE))
        assert json.loads(desk.upstream.requests[0][2])["max_tokens"] == 1
    assert got.status == 200


async def test_embeddings_hold_and_claim_no_output() -> None:
    key = Key("k1", "test", budget=Budget(100, "tokens", "total"), limits=Limits(tokens_per_minute=100))
    vectors = whole(b'{"object":"list","data":[],"usage":{"prompt_tokens":2,"total_tokens":2}}')
    async with booking(vectors, key=key, offers=frozenset({"embeddings"})) as desk:
        assert (await read(desk.gateway.post("/v1/embeddings", {"model": "lab/m", "input": "hi"}))).status == 200
        assert desk.books.one("budgets")["spent"] == 2


async def test_a_budget_in_tokens_needs_no_price() -> None:
    async with booking(ANSWER, key=budgeted(10**6, "tokens"), price=None) as desk:
        assert (await read(desk.gateway.post(*whole_call("openai-chat")))).status == 200
        budget = desk.books.one("budgets")
    assert (budget["spent"], budget["held"]) == (7, 0)


@pytest.mark.parametrize("client", NAMES)
@pytest.mark.parametrize(
    "limits", [Limits(requests_per_minute=1), Limits(tokens_per_minute=600)], ids=["requests", "tokens"]
)
async def test_a_rate_is_a_429_with_the_seconds_to_wait(client: str, limits: Limits) -> None:
    key = Key("k1", "test", limits=limits)
    async with booking(stream(*STREAMS["openai-chat"]), key=key) as desk:
        assert (await read(desk.gateway.post(*CALLS[client]))).status == 200
        got = await read(desk.gateway.post(*CALLS[client]))
        while got.status == 200:  # tokens are put right by what was really used
            got = await read(desk.gateway.post(*CALLS[client]))
        assert len(desk.upstream.requests) == len(desk.books.all("attempts"))
    assert got.status == 429
    assert 0 < int(got.headers["retry-after"]) <= 60
    assert "per minute" in said(got)
    if client.startswith("openai"):
        assert json.loads(got.body)["error"]["code"] == "rate_limit_exceeded"
    if client == "gemini":
        assert f'"retryDelay":"{got.headers["retry-after"]}s"' in got.body.decode()


async def test_a_slot_is_given_back_when_its_stream_is_over() -> None:
    key = Key("k1", "test", limits=Limits(streams=1))
    async with booking((STREAM_HEAD, piece("Hello"), HANG), key=key) as desk:
        async with desk.gateway.post(*CALLS["anthropic"]) as response:
            await response.content.readany()
            second = await read(desk.gateway.post(*CALLS["anthropic"]))
            response.close()
        await desk.books.settled()
        assert (second.status, len(desk.upstream.requests)) == (429, 1)
        assert desk.books.one("rates")["value"] == 0


# ---- in the middle ---------------------------------------------------------------------------------------------------


TOKENS_AT_ONCE = 64

MOST_AT_ONCE = READ_SIZE + HIGH_WATER
"""Bytes of a provider that are read before the budget is asked again: under load, all that had to wait."""


async def over_budget(desk: Desk, client: str) -> Reading:
    path, body = CALLS[client]
    return await read(desk.gateway.post(path, body | ({"max_tokens": 100_000} if client == "anthropic" else {})))


@pytest.mark.parametrize("client", NAMES)
async def test_a_budget_that_ends_in_the_middle_ends_the_stream_with_an_error(client: str) -> None:
    limit = 40_000 * 5000  # forty thousand tokens of output, which is more than is held at first
    acts = (STREAM_HEAD, *[piece("four" * 1024), 0.002] * 100, HANG)
    async with booking(acts, key=budgeted(limit)) as desk:
        got = await over_budget(desk, client)
        (attempt,), request = await desk.books.settled()
        budget = desk.books.one("budgets")
    failure = failure_of(client, got.body)
    assert (got.status, got.broken) == (200, True)
    assert failure is not None
    assert "used up in the middle" in failure.error.message
    assert not any(mark in got.body for mark in SUCCESS_MARKS[client])
    assert (attempt["end"], request["end"], request["error"]) == ("over_budget", "over_budget", "billing")
    assert (budget["held"], budget["spent"]) == (0, request["cost"])
    # What came with the last read was produced, and is owed; more of the budget was not used than that.
    assert limit - 1024 * 5000 < budget["spent"] < limit + MOST_AT_ONCE // 4 * 5000


async def test_a_stream_holds_more_before_it_needs_it_and_not_for_each_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    extend = Account.extend

    async def counted(self: Account, output_tokens: int) -> bool:
        asked.append(output_tokens)
        return await extend(self, output_tokens)

    monkeypatch.setattr(Account, "extend", counted)
    acts = (
        STREAM_HEAD,
        *[piece("four" * TOKENS_AT_ONCE), 0.002] * 100,
        chunk(b"".join(STREAMS["openai-chat"][-3:])),
        b"0\r\n\r\n",
    )
    async with booking(acts, key=budgeted(10**12)) as desk:
        got = await over_budget(desk, "openai-responses")
        assert desk.books.one("requests")["end"] == "completed"
    assert b"response.completed" in got.body
    assert 1 <= len(asked) <= 3  # 6400 tokens, 2048 of them held at first; fewer if much came at once


# ---- without a store -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("client", NAMES)
async def test_while_the_store_is_down_nothing_reaches_a_provider(client: str) -> None:
    async with booking(ANSWER) as desk:
        with desk.books.down():
            got = await read(desk.gateway.post(*CALLS[client]))
        assert got.status == (529 if client == "anthropic" else 503)
        assert got.headers["retry-after"] == "1"
        assert desk.upstream.requests == []
        assert desk.books.all("attempts") == []
        assert (await read(desk.gateway.post(*whole_call(client)))).status == 200


async def test_a_store_that_goes_down_in_the_middle_lets_the_answer_end_and_is_told_of_it_later() -> None:
    pieces = STREAMS["openai-chat"]
    acts = (STREAM_HEAD, chunk(pieces[0]), chunk(pieces[1]), 0.2, *map(chunk, pieces[2:]), b"0\r\n\r\n")
    async with booking(acts) as desk:
        async with desk.gateway.post(*CALLS["openai-chat"]) as response:
            body = await response.content.readany()
            with desk.books.down():
                body += await response.read()
                assert b"[DONE]" in body
                assert desk.books.all("requests") == []
        (attempt,), request = await desk.books.settled()
    assert (attempt["end"], request["output"], request["usage_source"]) == ("completed", 2, "provider")
