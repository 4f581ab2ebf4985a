"""A gateway in a process of its own, whose memory and files are its own; and a provider that only streams."""

import asyncio
import contextlib
import itertools
import json
import os
import re
import resource
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

from tests.serving import KEY, STREAM_HEAD, chunk
from tests.watch import WATCH

MIB = 2**20
EVENT = b'data: {"choices":[{"index":0,"delta":{"content":"%b"}}]}\n\n'
LAST = (
    b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1}}\n\n'
    b"data: [DONE]\n\n"
)


class Process:
    """A running gateway. `port` is where it listens."""

    def __init__(self, port: int, pid: int) -> None:
        self.port = port
        self.pid = pid

    @property
    def resident(self) -> int:
        """Return its memory in bytes."""
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * resource.getpagesize()

    @property
    def cpu(self) -> float:
        """Return the seconds that it has computed."""
        return time.clock_gettime((~self.pid << 3) | 2)  # as clock_getcpuclockid(3) does

    @property
    def files(self) -> int:
        """Return how many files and sockets it has open."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))


@contextlib.asynccontextmanager
async def gateway(provider_port: int, limits: dict[str, float]) -> AsyncIterator[Process]:
    """Run a gateway in front of a provider `lab`."""
    config = f"""
        [server]
        port = 0
        [server.limits]
        {chr(10).join(f"{name} = {value}" for name, value in limits.items())}
        [[keys]]
        name = "test"
        key = "{KEY}"
        [providers.lab]
        protocol = "openai-chat"
        base_url = "http://127.0.0.1:{provider_port}/v1"
    """
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "penstock.toml")
        path.write_text(config)
        command = [sys.executable, "-m", "penstock", "serve", "--config", str(path), "--log-level", "debug"]
        with Path(directory, "gateway.log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                *command, stdout=asyncio.subprocess.PIPE, stderr=log, env=os.environ | {"PENSTOCK_DATA_DIR": directory}
            )
        try:
            assert process.stdout is not None
            said = await asyncio.wait_for(process.stdout.readline(), 20)
            found = re.search(rb":(\d+)", said)
            assert found, said + Path(directory, "gateway.log").read_bytes()
            yield Process(int(found[1]), process.pid)
        finally:
            with contextlib.suppress(ProcessLookupError):  # it has not even started
                process.kill()
            await process.wait()
            WATCH.see_files(Path(directory))


class Provider:
    """A provider that streams as much as it is told to.

    Attributes:
        sent: bytes that the system has taken from it, for each request so far.
        open: connections that it has; `most` is the most that it ever had.
        busy: answers that it is sending.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.sent: list[int] = []
        self.open = 0
        self.busy = 0
        self.most = 0
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        self.most = max(self.most, self.open)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                found = re.search(rb"content-length: (\d+)", head)
                question = json.loads(await reader.readexactly(int(found[1]) if found else 0))
                self.busy += 1
                try:
                    await self._answer(writer, question["model"])
                finally:
                    self.busy -= 1
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.open -= 1
            writer.close()

    async def _answer(self, writer: asyncio.StreamWriter, model: str) -> None:
        number = len(self.sent)
        self.sent.append(0)
        writer.write(STREAM_HEAD)
        piece = chunk(EVENT % (b"x" * 16_000))
        writer.transport.set_write_buffer_limits(0)
        count = self.size // len(piece) if model == "much" else 0
        for _ in range(count):
            writer.write(piece)
            await writer.drain()
            self.sent[number] += len(piece)
        for _ in range(0 if count else 5):
            writer.write(chunk(EVENT % b"x"))
            await asyncio.sleep(0.02)
        writer.write(chunk(LAST) + b"0\r\n\r\n")
        await writer.drain()


@contextlib.asynccontextmanager
async def provider(size: int = 0) -> AsyncIterator[Provider]:
    """Run a provider that streams `size` bytes of the model `much`, and five events 20 ms apart of any other."""
    running = Provider(size)
    server = await asyncio.start_server(running.serve, "127.0.0.1", 0, backlog=1024)
    running.port = server.sockets[0].getsockname()[1]
    try:
        yield running
    finally:
        server.close()


def question(model: str) -> bytes:
    """Return a streamed request."""
    body = json.dumps(
        {"model": f"lab/{model}", "stream": True, "messages": [{"role": "user", "content": "hi"}]}
    ).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def ask(port: int, model: str = "m") -> tuple[float, list[float]]:
    """Ask on a new connection; return the seconds to the first event, and those between the others.

    Raises:
        AssertionError: the answer is not a complete stream.
    """
    loop = asyncio.get_running_loop()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    begun = loop.time()
    writer.write(question(model))
    got, times = b"", list[float]()
    while not got.endswith(b"0\r\n\r\n"):
        piece = await asyncio.wait_for(reader.read(65536), 30)
        assert piece, got
        got += piece
        if b"data: " in got:
            times.append(loop.time())
    writer.close()
    assert b"[DONE]" in got
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    return times[0] - begun, gaps


def percentile(values: list[float], share: float) -> float:
    """Return the value that a share of all are not above."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]
