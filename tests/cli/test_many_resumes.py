"""Many clients come back at once: each has its first byte soon, and memory does not grow with what they read."""

import asyncio
import re
import time
from pathlib import Path

import pytest

from tests.cli.test_several_processes import Process, configuration, serve
from tests.serving import CALLS, END, KEY, STREAM_HEAD, chunk, replaying

pytestmark = pytest.mark.anyio

READERS = 200
SIZE = 256 * 1024
EVENT = b'data: {"id":"c1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"%s"},"finish_reason":null}]}\n\n'
LAST = b'data: {"id":"c1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
PIECES = [EVENT % (b"x" * (1024 - len(EVENT) + 2))] * (SIZE // 1024) + [LAST]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def resident(process: Process) -> int:
    """Return the bytes of memory that a process has."""
    status = Path(f"/proc/{process.process.pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) * 1024


async def resumed(process: Process, id_: str, go: asyncio.Event) -> tuple[float, int]:
    """Return the seconds until the first byte of a stream that is read again, and how many bytes there were."""
    host, port = process.address.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = f"GET /v1/streams/{id_} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\nConnection: close\r\n\r\n"
    await go.wait()
    began = time.monotonic()
    writer.write(head.encode())
    first = await reader.read(1)
    waited = time.monotonic() - began
    size = len(first)
    while data := await reader.read(2**16):
        size += len(data)
    writer.close()
    return waited, size


@pytest.mark.promise("1.5")
async def test_two_hundred_that_come_back_at_once_are_served_soon_and_in_bounded_memory(tmp_path: Path) -> None:
    acts = (STREAM_HEAD, *(chunk(piece) for piece in PIECES), END)
    async with replaying(acts) as upstream, serve(tmp_path, configuration(upstream)) as process:
        path, body = CALLS["openai-chat"]
        ids: list[str] = []
        for number in range(READERS):
            headers = {"authorization": f"Bearer {KEY}", "idempotency-key": f"n{number}"}
            async with process.session.post(process.address + path, json=body, headers=headers) as response:
                ids.append(response.headers["x-stream-id"])
                await response.read()
        before, go = resident(process), asyncio.Event()
        reading = [asyncio.ensure_future(resumed(process, id_, go)) for id_ in ids]
        await asyncio.sleep(0.5)
        go.set()
        read = await asyncio.gather(*reading)
        grown = resident(process) - before
        assert len(upstream.requests) == READERS
    assert all(size > SIZE for _, size in read)
    assert grown <= 64 * 2**20
    # All ask in the same instant, and one core answers: the last waits for the answers to all others.
    assert sorted(waited for waited, _ in read)[READERS * 99 // 100] < 2.0
