"""A gateway that is told to stop: what is under way ends as it should, and is in the ledger (promises 3.6, 4.10)."""

import asyncio
import contextlib
import json
import sqlite3
import time
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from tests.cli.processes import Running, running
from tests.cli.test_commands import KEY

pytestmark = pytest.mark.anyio

STREAMS = 40
SHORT, LONG = (f"demo/poet@ttft=0,gap=0.05,length={tokens}" for tokens in (40, 1200))  # two seconds, and a minute


@pytest.mark.promise("3.2", "4.10")
async def test_streams_that_end_in_time_are_whole_and_the_process_goes_with_the_last(tmp_path: Path) -> None:
    async with streaming(tmp_path, SHORT) as (gateway, answers):
        gateway.process.terminate()
        read = await asyncio.gather(*answers)
        ended = time.monotonic()
        assert await asyncio.to_thread(gateway.process.wait, 10) == 0
        assert time.monotonic() - ended < 1.5  # promised is 1 s, on a machine that does nothing else
    assert all(answer.endswith(b"data: [DONE]\n\n") for answer in read)
    assert ends(tmp_path) == {"completed": STREAMS}


async def test_streams_that_do_not_end_in_time_are_broken_in_words_and_settled(tmp_path: Path) -> None:
    async with streaming(tmp_path, LONG, "drain = 0.3") as (gateway, answers):
        gateway.process.terminate()
        began = time.monotonic()
        read = await asyncio.gather(*answers)
        assert await asyncio.to_thread(gateway.process.wait, 10) == 0
        assert time.monotonic() - began < 2.5
    errors = [json.loads(answer.split(b"data: ")[-1])["error"] for answer in read]
    assert {error["code"] for error in errors} == {"shutting_down"}
    assert ends(tmp_path) == {"failed": STREAMS}


async def test_whoever_stops_it_is_told_what_it_waits_for(tmp_path: Path) -> None:
    async with streaming(tmp_path, LONG, "drain = 2") as (gateway, answers):
        gateway.process.terminate()
        await asyncio.gather(*answers)
        await asyncio.to_thread(gateway.process.wait, 10)
        (line,) = [line for line in gateway.process.complained.splitlines() if '"stopping"' in line]
    told = json.loads(line)
    assert (told["calls"], told["wait_seconds"]) == (STREAMS, 2)
    assert "second signal" in told["hint"]


@pytest.mark.promise("4.10")
async def test_a_second_signal_ends_the_process_at_once_and_the_next_start_settles_what_it_left(tmp_path: Path) -> None:
    async with streaming(tmp_path, LONG) as (gateway, answers):
        gateway.process.terminate()
        await asyncio.sleep(0.2)
        began = time.monotonic()
        gateway.process.terminate()
        await asyncio.to_thread(gateway.process.wait, 10)
        assert time.monotonic() - began < 1.0
        await asyncio.gather(*answers)
    with running(tmp_path, "serve", "--config", str(tmp_path / "penstock.toml"), until="curl"):
        assert ends(tmp_path) == {"crashed": STREAMS}


@contextlib.asynccontextmanager
async def streaming(
    directory: Path, model: str, settings: str = ""
) -> AsyncIterator[tuple[Running, list[asyncio.Task[bytes]]]]:
    """Run a gateway with streams that have all begun."""
    config = directory / "penstock.toml"
    config.write_text(f"[admin]\nenabled = false\n[server]\nport = 0\n{settings}\n")
    with running(directory, "serve", "--config", str(config), until="curl") as gateway:
        key = KEY.search(gateway.printed)
        assert key is not None
        headers = {"authorization": f"Bearer {key.group()}"}
        async with aiohttp.ClientSession(gateway.address, headers=headers) as session:
            begun = asyncio.Semaphore(0)
            answers = [asyncio.create_task(_read(session, model, begun)) for _ in range(STREAMS)]
            for _ in answers:
                await begun.acquire()
            yield gateway, answers


async def _read(session: aiohttp.ClientSession, model: str, begun: asyncio.Semaphore) -> bytes:
    """Return what comes of an answer, to its end or its break."""
    body = {"model": model, "stream": True, "messages": [{"role": "user", "content": "hi"}]}
    read = b""
    with contextlib.suppress(aiohttp.ClientError):
        async with session.post("/v1/chat/completions", json=body) as response:
            begun.release()
            async for chunk in response.content.iter_any():
                read += chunk
    return read


def ends(directory: Path) -> dict[str, int]:
    """Return how the requests in the ledger ended; nothing is left open."""
    with contextlib.closing(sqlite3.connect(directory / "penstock.db")) as connection:
        assert connection.execute("SELECT count(*) FROM attempts WHERE state = 'open'").fetchone() == (0,)
        return dict(connection.execute('SELECT "end", count(*) FROM requests GROUP BY "end"').fetchall())
