"""Nothing on the way holds events back: each leaves when it comes, and every proxy is told to do likewise."""

import asyncio
import itertools
import json
import statistics
from collections.abc import AsyncIterator

import pytest

from tests.serving import CALLS, Act, chunk, replaying, serving
from tests.serving import END as LAST
from tests.serving import STREAM_HEAD as HEAD

pytestmark = [pytest.mark.anyio, pytest.mark.promise("4.17")]

GAP = 0.05
EVENTS = 30
HELD = 0.01
"""Seconds that half of all events may take through the gateway; on a machine of its own it is a hundredth of that."""


def event(text: str, **more: object) -> bytes:
    choice = {"index": 0, "delta": {"content": text}} | more
    return (
        b"data: " + json.dumps({"id": "c", "object": "chat.completion.chunk", "choices": [choice]}).encode() + b"\n\n"
    )


def steadily() -> tuple[Act, ...]:
    """Return the acts of a provider that sends an event at a time, with gaps."""
    acts: list[Act] = [HEAD]
    for number in range(EVENTS):
        acts += [chunk(event(f"<{number}>")), GAP]
    return (*acts, chunk(event("", finish_reason="stop")), chunk(b"data: [DONE]\n\n"), LAST)


async def arrivals(pieces: AsyncIterator[bytes]) -> tuple[list[float], int]:
    """Return when each event came, and how many came together with another."""
    times: list[float] = []
    together = 0
    async for piece in pieces:
        count = piece.count(b">")
        times += [asyncio.get_running_loop().time()] * count
        together += max(0, count - 1)
    return times, together


@pytest.mark.parametrize("client", ["openai-chat", "anthropic"])
async def test_each_event_leaves_when_it_comes(client: str) -> None:
    async with replaying(steadily()) as upstream, serving(lab=upstream.openai) as gateway:
        body = {"model": "m", "stream": True, "messages": []}
        async with gateway.session.post(f"{upstream.address}/v1/chat/completions", json=body) as response:
            direct, _ = await arrivals(response.content.iter_any())
        async with gateway.post(*CALLS[client]) as response:
            through, together = await arrivals(response.content.iter_any())
    assert len(direct) == len(through) == EVENTS
    assert together <= 2  # a slow machine may be late for one
    usual, here = ([later - time for time, later in itertools.pairwise(times)] for times in (direct, through))
    assert statistics.median(here) <= statistics.median(usual) + HELD
    assert min(here) < 2 * GAP


async def test_proxies_are_told_to_hold_nothing_back_and_to_change_nothing() -> None:
    async with replaying(steadily()) as upstream, serving(lab=upstream.openai) as gateway:
        path, body = CALLS["openai-chat"]
        async with gateway.post(path, body, accept_encoding="gzip, br, zstd, deflate") as response:
            headers = response.headers
            assert "no-transform" in headers["cache-control"]
            assert headers["x-accel-buffering"] == "no"
            assert "content-encoding" not in headers
            assert "content-length" not in headers
            response.close()
