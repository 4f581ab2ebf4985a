"""Streams that are dropped again and again, and read on each time from behind the last event that came."""

import asyncio
import random
from collections.abc import Callable
from typing import Any

from tests.serving import CALLS, END, STREAM_HEAD, Act, Gateway, chunk

WORDS = 30


def long_stream(pause: float) -> tuple[Act, ...]:
    """Return the acts of a provider of Chat Completions that says some words, with a pause before each."""
    acts: list[Act] = [STREAM_HEAD]
    for number in range(WORDS):
        text = b'{"role":"assistant","content":"w%d "}' % number if number == 0 else b'{"content":"w%d "}' % number
        acts += [pause, chunk(_piece(b'[{"index":0,"delta":%b,"finish_reason":null}]' % text))]
    acts.append(chunk(_piece(b'[{"index":0,"delta":{},"finish_reason":"stop"}]')))
    return (*acts, chunk(b"data: [DONE]\n\n"), END)


def _piece(choices: bytes) -> bytes:
    return b'data: {"id":"c1","object":"chat.completion.chunk","created":1,"model":"up","choices":%b}\n\n' % choices


Resume = Callable[[str, dict[str, str], int], Any]
"""Opens the rest of a stream: takes its idempotency key, the headers it began with, and the last number that came."""


def by_key(gateway: Gateway, client: str) -> Resume:
    """Return how a client reads on that sends its request again."""

    def resume(name: str, headers: dict[str, str], last: int) -> Any:
        after = {"x_resume_after": str(last)} if last >= 0 else {}
        return gateway.post(*CALLS[client], idempotency_key=name, **after)

    return resume


def by_id(gateway: Gateway, client: str) -> Resume:
    """Return how a client reads on that asks for the stream."""

    def resume(name: str, headers: dict[str, str], last: int) -> Any:
        return gateway.get(f"/v1/streams/{headers['x-stream-id']}" + (f"?after={last}" if last >= 0 else ""))

    return resume


async def dropped(gateway: Gateway, client: str, name: str, resume: Resume, drops: int, draw: random.Random) -> bytes:
    """Return what one stream came to for a client whose connection broke some times, at random events."""
    got: list[bytes] = []
    opening, headers = gateway.post(*CALLS[client], idempotency_key=name), dict[str, str]()
    for _ in range(drops):
        await _some(opening, got, draw.randrange(1, 8), headers)
        opening = resume(name, headers, len(got) - 1)
    await _some(opening, got, -1, headers)
    return b"".join(got)


async def _some(opening: Any, got: list[bytes], wanted: int, headers: dict[str, str]) -> None:
    async with opening as response:
        assert response.status == 200, await response.text()
        headers.update({name.lower(): value for name, value in response.headers.items()})
        pending, number = b"", 0
        async for data in response.content.iter_any():
            *whole, pending = (pending + data).replace(b"\r\n", b"\n").split(b"\n\n")
            for event in whole:
                got.append(event + b"\n\n")
                number += 1
                if number == wanted:
                    response.close()
                    return


async def many(gateway: Gateway, streams: int, drops: int, seed: int) -> dict[str, tuple[str, bytes]]:
    """Return what many streams came to, by their names, with the client's protocol; all line ends are one byte."""
    draw, clients = random.Random(seed), list(CALLS)

    async def one(number: int) -> tuple[str, tuple[str, bytes]]:
        client, name = clients[number % len(clients)], f"stream-{number}"
        resume = (by_key, by_id)[number // len(clients) % 2](gateway, client)
        return name, (client, await dropped(gateway, client, name, resume, drops, random.Random(draw.random())))

    return dict(await asyncio.gather(*(one(number) for number in range(streams))))
