"""Clients that leave in the middle of an answer: their provider is told at once, or read to the count of what it bills."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import openai
import pytest
import structlog

from penstock.config import StreamsSettings
from penstock.gateway import leaving
from tests.server.booking import whole_call
from tests.server.canned import STREAMS, WHOLE
from tests.server.reading import calls_told
from tests.serving import (
    CALLS,
    CLOSE,
    END,
    HANG,
    KEY,
    STREAM_HEAD,
    Act,
    Gateway,
    Upstream,
    chunk,
    replaying,
    serving,
    whole,
)

pytestmark = pytest.mark.anyio

FIRST, *REST = (chunk(piece) for piece in STREAMS["openai-chat"][:-1])
SLOWLY: tuple[Act, ...] = (STREAM_HEAD, FIRST, REST[0], 0.2, *REST[1:], chunk(STREAMS["openai-chat"][-1]), END)


@contextlib.asynccontextmanager
async def billing(*acts: Act, grace: float = 5.0) -> AsyncIterator[tuple[Gateway, Upstream, list[Any]]]:
    """Run a gateway before a provider that bills what nobody reads; the list is of the calls that were logged."""
    calls: list[Any] = []
    with structlog.testing.capture_logs() as lines:
        async with replaying(acts) as upstream:
            provider = msgspec.structs.replace(upstream.openai, bills_aborted=True)
            async with serving(lab=provider, streams=StreamsSettings(grace=grace)) as gateway:
                yield gateway, upstream, calls
    calls += calls_told(lines)


async def begin_and_leave(gateway: Gateway) -> None:
    async with gateway.post(*CALLS["openai-chat"]) as response:
        seen = b""
        while b"Hello" not in seen:
            seen += await response.content.readany()
        response.close()


@pytest.mark.promise("3.5")
async def test_who_bills_all_of_it_anyway_is_read_to_the_count() -> None:
    async with billing(*SLOWLY) as (gateway, upstream, calls):
        await begin_and_leave(gateway)
        await asyncio.sleep(0.4)
        assert not upstream.left.is_set()
    assert [(call["end"], call["usage"], call["output_tokens"]) for call in calls] == [("client_gone", "provider", 2)]


async def test_a_provider_that_breaks_while_it_is_read_for_nobody_concerns_nobody() -> None:
    async with billing(STREAM_HEAD, FIRST, REST[0], 0.1, CLOSE) as (gateway, _, calls):
        await begin_and_leave(gateway)
        await asyncio.sleep(0.2)
    assert [(call["end"], call["usage"]) for call in calls] == [("client_gone", "estimate")]


@pytest.mark.parametrize("limit", [{"MAX_DRAINS": 0}, {"DRAIN_SECONDS": 0.1}])
async def test_no_more_is_read_for_nobody_than_the_limits_allow(
    limit: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in limit.items():
        monkeypatch.setattr(leaving, name, value)
    async with billing(STREAM_HEAD, FIRST, REST[0], HANG) as (gateway, upstream, calls):
        await begin_and_leave(gateway)
        await asyncio.wait_for(upstream.left.wait(), 1)
    assert [(call["end"], call["usage"]) for call in calls] == [("client_gone", "estimate")]


async def test_no_larger_answer_is_read_for_nobody_than_the_limit_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaving, "DRAIN_BYTES", 100)
    async with billing(STREAM_HEAD, FIRST, REST[0], 0.2, *REST[1:], HANG) as (gateway, upstream, calls):
        await begin_and_leave(gateway)
        await asyncio.wait_for(upstream.left.wait(), 1)
    assert [call["end"] for call in calls] == ["client_gone"]


async def test_a_place_among_those_read_for_nobody_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaving, "MAX_DRAINS", 1)
    async with billing(*SLOWLY) as (gateway, _, calls):
        for _ in range(2):
            await begin_and_leave(gateway)
            await asyncio.sleep(0.4)
    assert [call["usage"] for call in calls] == ["provider", "provider"]


async def test_a_silent_provider_that_bills_nothing_is_told_at_once() -> None:
    async with replaying((STREAM_HEAD, FIRST, REST[0], HANG)) as upstream, serving(lab=upstream.openai) as gateway:
        await begin_and_leave(gateway)
        await asyncio.wait_for(upstream.left.wait(), 1)


# ---- answers that are not streamed -----------------------------------------------------------------------------------


async def ask_and_leave(gateway: Gateway, upstream: Upstream) -> None:
    async def ask() -> None:
        async with gateway.post(*whole_call("openai-chat")):
            raise AssertionError("it came too soon")

    asking = asyncio.ensure_future(ask())
    while not upstream.requests:
        await asyncio.sleep(0.01)
    asking.cancel()
    await asyncio.wait([asking])


@pytest.mark.promise("3.5")
async def test_a_whole_answer_that_is_billed_anyway_is_read_to_its_count() -> None:
    async with billing(0.4, *whole(WHOLE["openai-chat"])) as (gateway, upstream, calls):
        await ask_and_leave(gateway, upstream)
        await asyncio.sleep(0.5)
        assert not upstream.left.is_set()
    assert [(call["end"], call["usage"], call["output_tokens"]) for call in calls] == [("client_gone", "provider", 2)]


@pytest.mark.parametrize("limit", [{"MAX_DRAINS": 0}, {"DRAIN_SECONDS": 0.1}])
async def test_no_more_whole_answers_are_waited_for_than_the_limits_allow(
    limit: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in limit.items():
        monkeypatch.setattr(leaving, name, value)
    async with billing(HANG) as (gateway, upstream, calls):
        await ask_and_leave(gateway, upstream)
        await asyncio.wait_for(upstream.left.wait(), 1)
    assert [(call["end"], call["usage"]) for call in calls] == [("client_gone", "estimate")]


async def test_nothing_else_is_tried_for_nobody() -> None:
    async with billing(0.4, *whole(b"{}", "503 Service Unavailable")) as (gateway, upstream, calls):
        await ask_and_leave(gateway, upstream)
        await asyncio.sleep(0.6)
        assert len(upstream.requests) == 1
    assert [call["end"] for call in calls] == ["client_gone"]


async def test_who_bills_no_whole_answer_that_nobody_waits_for_is_told_at_once() -> None:
    async with replaying((HANG,)) as upstream, serving(lab=upstream.openai) as gateway:
        await ask_and_leave(gateway, upstream)
        await asyncio.wait_for(upstream.left.wait(), 1)


async def test_an_sdk_that_gives_up_on_a_whole_answer_leaves_its_count_in_the_books() -> None:
    """It might ask again, for some seconds; then its provider is read to the count all the same."""
    async with billing(1.5, *whole(WHOLE["openai-chat"]), grace=0.1) as (gateway, upstream, calls):
        async with openai.AsyncOpenAI(api_key=KEY, base_url=f"{gateway.address}/v1", max_retries=0) as client:
            with pytest.raises(openai.APITimeoutError):
                await client.chat.completions.create(
                    model="lab/m", messages=[{"role": "user", "content": "hi"}], timeout=1
                )
            await asyncio.sleep(0.8)
            assert len(upstream.requests) == 1
    assert [(call["end"], call["usage"], call["output_tokens"]) for call in calls] == [("client_gone", "provider", 2)]
