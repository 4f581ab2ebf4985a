"""Two hundred answers of 256 KiB that are kept, and the three ways to come back to them."""

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

from msgspec import Struct

from tests.cli.test_several_processes import Process, configuration, serve
from tests.serving import END, KEY, STREAM_HEAD, Act, Upstream, chunk, replaying

READERS = 200
SIZE = 256 * 1024
EVENTS = 256

# What ends an answer of the Responses API repeats all of its text, four times.
_TEXT = SIZE // EVENTS // 5

_PIECE = b'data: {"id":"c1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":%b,"finish_reason":%b}]}\n\n'
ACTS: tuple[Act, ...] = (
    STREAM_HEAD,
    *[chunk(_PIECE % (b'{"content":"%b"}' % (b"x" * _TEXT), b"null"))] * EVENTS,
    chunk(_PIECE % (b"{}", b'"stop"') + b"data: [DONE]\n\n"),
    END,
)

_ROOM = "[streams]\njournal_megabytes = 128"
_PATH = "/v1/responses"
_BODY = json.dumps({"model": "lab/m", "input": "hi", "stream": True, "background": True})


class Kept(Struct, frozen=True):
    """An answer that is complete: the name it was asked for by, the id of its stream, and its own."""

    name: str
    stream: str
    answer: str

    def ways_back(self) -> dict[str, str]:
        """Return the requests that read all of it, or nearly so, by what they go by."""
        post = f"Idempotency-Key: {self.name}\r\nContent-Type: application/json\r\nContent-Length: {len(_BODY)}\r\n"
        return {
            "id": _request("GET", f"/v1/streams/{self.stream}"),
            "Idempotency-Key": _request("POST", _PATH, post, _BODY),
            "starting_after": _request("GET", f"{_PATH}/{self.answer}?stream=true&starting_after=3"),
        }


def _request(method: str, path: str, headers: str = "", body: str = "") -> str:
    own = f"Host: x\r\nAuthorization: Bearer {KEY}\r\nConnection: close\r\n"
    return f"{method} {path} HTTP/1.1\r\n{own}{headers}\r\n{body}"


@contextlib.asynccontextmanager
async def kept(directory: Path) -> AsyncIterator[tuple[Process, list[Kept], Upstream]]:
    """Run a gateway that keeps the answers, which were asked for a few at a time."""
    async with replaying(ACTS) as upstream, serve(directory, configuration(upstream, rest=_ROOM)) as process:
        few = asyncio.Semaphore(8)

        async def one(name: str) -> Kept:
            headers = {"authorization": f"Bearer {KEY}", "idempotency-key": name, "content-type": "application/json"}
            async with few, process.session.post(process.address + _PATH, data=_BODY, headers=headers) as response:
                body = await response.read()
                answer = re.search(rb'"id":"(resp_\w+)"', body)
                assert answer is not None, body[:1000]
                assert len(body) > SIZE
                return Kept(name, response.headers["x-stream-id"], answer[1].decode())

        answers = await asyncio.gather(*(one(f"n{number}") for number in range(READERS)))
        yield process, list(answers), upstream


def resident(process: Process) -> int:
    """Return the bytes of memory that a process has."""
    status = Path(f"/proc/{process.process.pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) * 1024
