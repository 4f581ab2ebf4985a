"""A gateway that writes its answers down is killed with many of them under way; the next one is asked for each."""

import asyncio
import contextlib
import signal
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from msgspec import Struct

from tests.cli.test_several_processes import Process, serve
from tests.serving import CALLS, END, KEY, OTHER_KEY, STREAM_HEAD, Act, Upstream, chunk, replaying

PIECE = b'data: {"id":"c1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"%d "},"finish_reason":null}]}\n\n'


class Left(Struct):
    """What a killed gateway left behind.

    Attributes:
        broken: what was wrong, a line each.
        read_on: streams that the next one has, up to the last event that was written.
        gone: streams that it says are gone.
        events: of all streams, as they were kept.
        behind: the most events of one stream that its client had and that were not kept.
        calls: of the provider, in all.
    """

    broken: list[str]
    read_on: int = 0
    gone: int = 0
    events: int = 0
    behind: int = 0
    calls: int = 0


def counting(pieces: int, pause: float) -> tuple[Act, ...]:
    """Return the acts of a provider that counts."""
    acts: list[Act] = [STREAM_HEAD]
    for number in range(pieces):
        acts += [chunk(PIECE % number), pause]
    return (*acts, END)


@contextlib.asynccontextmanager
async def durable(
    directory: Path, upstream: Upstream, protocol: str, *options: str, rest: str = "", journal: str = "sqlite"
) -> AsyncIterator[Process]:
    """Run a gateway whose answers outlive it."""
    settings = upstream.provider(protocol)
    assert settings.api_key is not None
    config = f"""
admin.enabled = false
[[keys]]
name = "k"
key = "{KEY}"
[[keys]]
name = "other"
key = "{OTHER_KEY}"
[streams]
journal = "{journal}"
{rest}
[providers.lab]
protocol = "{protocol}"
base_url = "{settings.base_url}"
api_key = "{settings.api_key.reveal()}"
"""
    async with serve(directory, config, *options) as process:
        yield process


def post(process: Process, protocol: str, name: str, **headers: str) -> Any:
    """Open an answer by its name."""
    path, body = CALLS[protocol]
    given = {"authorization": f"Bearer {KEY}", "idempotency-key": name} | headers
    return process.session.post(process.address + path, json=body, headers=given)


def get(process: Process, id_: str, key: str = KEY, method: str = "GET", after: str = "") -> Any:
    """Open a stream by its id."""
    url = f"{process.address}/v1/streams/{id_}{after}"
    return process.session.request(method, url, headers={"authorization": f"Bearer {key}"})


async def all_of(response: Any) -> tuple[bytes, bool]:
    """Return what came, and whether it ended as a body should."""
    seen = b""
    try:
        async for data in response.content.iter_any():
            seen += data
    except Exception:
        return seen, False
    return seen, True


async def kill(process: Process) -> None:
    """Kill a gateway."""
    process.process.send_signal(signal.SIGKILL)
    await asyncio.to_thread(process.process.wait)


def integrity(directory: Path) -> str:
    """Return what the file of the answers says of itself: ok."""
    with contextlib.closing(sqlite3.connect(directory / "data" / "journals.db")) as connection:
        return str(connection.execute("PRAGMA integrity_check").fetchone()[0])


async def killed(directory: Path, streams: int, seconds: float) -> Left:
    """Kill a gateway that has had many streams for some seconds, a thousand events a second in all."""
    left = Left([])
    async with replaying(counting(10_000, streams / 1000)) as upstream:
        async with durable(directory, upstream, "openai-chat") as first:
            asked = asyncio.Semaphore(0)

            async def read(number: int) -> tuple[str, bytes]:
                async with post(first, "openai-chat", f"n{number}") as response:
                    assert response.status == 200
                    asked.release()
                    return response.headers["x-stream-id"], (await all_of(response))[0]

            reading = [asyncio.ensure_future(read(number)) for number in range(streams)]
            for _ in reading:
                await asked.acquire()
            await asyncio.sleep(seconds)
            await kill(first)
            live = await asyncio.gather(*reading)
        async with durable(directory, upstream, "openai-chat") as second:
            for number, (id_, seen) in enumerate(live):
                for wrong in await _looked_at(second, f"n{number}", id_, seen, left):
                    left.broken.append(f"n{number}: {wrong}")
        left.calls = len(upstream.requests)
    if (said := integrity(directory)) != "ok":
        left.broken.append(f"journals.db: {said}")
    return left


async def _looked_at(process: Process, name: str, id_: str, seen: bytes, left: Left) -> list[str]:
    """Ask for a stream in every way; return what is wrong with it."""
    async with get(process, id_, OTHER_KEY) as foreign:
        wrong = [] if foreign.status == 404 else [f"{foreign.status} for another key"]
    async with get(process, id_) as response:
        if response.status == 410:
            left.gone += 1
            return wrong
        if response.status != 200 or response.headers["x-stream-id"] != id_:
            return [*wrong, f"{response.status} for its own key"]
        kept, well = await all_of(response)
    *events, last, _ = kept.split(b"\n\n")
    whole = [event + b"\n\n" for event in events]
    left.read_on += 1
    left.events += len(whole)
    left.behind = max(left.behind, seen.count(b"\n\n") - len(whole))
    if well or b'"interrupted"' not in last:
        wrong.append("it does not end as one that was interrupted")
    if whole != [PIECE % number for number in range(len(whole))] or not whole:
        wrong.append("it has a hole")
    async with post(process, "openai-chat", name) as again:
        if (await all_of(again))[0] != kept:
            wrong.append("by its name it is another")
    async with get(process, id_, after=f"?after={len(whole) // 2}") as rest:
        if (await all_of(rest))[0] != b"".join([*whole[len(whole) // 2 + 1 :], last + b"\n\n"]):
            wrong.append("its rest is another")
    return wrong
