"""Promises 4.3, 4.4 and 4.5: a size at its limit is served, one beyond it is refused, and tiny pieces cost no more."""

import asyncio
import gzip
import resource
import sys
import time
from pathlib import Path

import pytest

from penstock.config import Limits
from penstock.server import connection
from penstock.server.http import HttpFault, Request, Response
from penstock.server.rules import MAX_BODY, MAX_FRAMING, MAX_HEAD, MAX_HEADERS, MAX_TARGET
from penstock.server.sharing import Shared
from tests.server.listening import RawClient, echo, site, statuses
from tests.serving import KEY, replaying, serving

pytestmark = pytest.mark.anyio

OPENED = b"GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"  # 20 bytes of names and values
MIB = 2**20


async def length(request: Request) -> Response:
    """Answer with how long the body is."""
    try:
        return Response(b"%d" % len(await request.read()))
    except HttpFault as fault:
        return Response(b"", fault.status)


def target(size: int) -> bytes:
    return b"GET /%b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % (b"a" * (size - 1))


def headers(size: int, count: int = 3) -> bytes:
    """Return a request with headers of some size in all."""
    lines = [b"A%05d: " % number for number in range(count - 2)]
    lines[-1] += b"a" * (size - 20 - 6 * len(lines))
    return OPENED + b"\r\n".join(lines) + b"\r\n\r\n"


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (target(MAX_TARGET - 1), 200),
        (target(MAX_TARGET), 200),
        (target(MAX_TARGET + 1), 414),
        (headers(MAX_HEAD - 1), 200),
        (headers(MAX_HEAD), 200),
        (headers(MAX_HEAD + 1), 431),
        (headers(MAX_HEAD, MAX_HEADERS), 200),
        (headers(2000, MAX_HEADERS - 1), 200),
        (headers(2000, MAX_HEADERS), 200),
        (headers(2000, MAX_HEADERS + 1), 431),
    ],
    ids=["target-1", "target", "target+1", "head-1", "head", "head+1", "head full", "count-1", "count", "count+1"],
)
@pytest.mark.parametrize("packet", [10**6, 1000])
@pytest.mark.promise("4.3")
async def test_a_head_may_be_as_large_as_its_limits_and_no_larger(sent: bytes, status: int, packet: int) -> None:
    """Promise 4.3: 8 KiB of target, 64 KiB and 100 headers; limit - 1 is served, limit + 1 is 414 or 431."""
    async with site(echo) as server:
        client = await server.client()
        for begin in range(0, len(sent), packet):
            client.send(sent[begin : begin + packet])
            await server.turn()
        got, _ = await client.rest()
    assert statuses(got) == [status]


@pytest.mark.parametrize(("size", "status"), [(MAX_BODY - 1, 200), (MAX_BODY, 200), (MAX_BODY + 1, 413)])
@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.promise("4.4")
async def test_a_body_may_be_as_large_as_its_limit_and_no_larger(size: int, status: int, chunked: bool) -> None:
    """Promise 4.4: 32 MiB, counted while it is read."""
    async with site(length) as server:
        client = await server.client()
        await _send_body(client, size, chunked)
        answer = await client.answer()
        assert answer.status == status
        assert status != 200 or answer.body == b"%d" % size


async def _send_body(client: RawClient, size: int, chunked: bool) -> None:
    framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % size
    client.send(b"POST /a HTTP/1.1\r\nHost: x\r\n" + framing + b"\r\n\r\n")
    for begin in range(0, size, MIB):
        piece = bytes(min(MIB, size - begin))
        client.send(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
        await client.writer.drain()
    client.send(b"0\r\n\r\n" if chunked else b"")


@pytest.mark.parametrize("chunked", [False, True])
async def test_of_a_body_without_end_a_mebibyte_is_read_beyond_the_limit(
    chunked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Promise 4.4: 413 with at most 1 MiB read past the limit."""
    read = 0
    received = connection.Connection.data_received

    def counting(self: connection.Connection, data: bytes) -> None:
        nonlocal read
        read += len(data)
        received(self, data)

    monkeypatch.setattr(connection.Connection, "data_received", counting)
    async with site(length) as server:
        client = await server.client()
        sending = asyncio.create_task(_send_body(client, 80 * MIB, chunked))
        assert (await client.answer()).status == 413
        await asyncio.sleep(0.3)
        assert not sending.done()
        sending.cancel()
    assert read <= MAX_BODY + MIB


@pytest.mark.promise("4.4")
async def test_a_compressed_body_is_refused_and_not_unpacked() -> None:
    """Promise 4.4: Content-Encoding is a 415, whatever it would become; memory rises by less than 5 MiB."""
    bomb = gzip.compress(bytes(100 * MIB), 9) * 10  # members of one stream: a gigabyte
    async with replaying((b"",)) as upstream, serving(lab=upstream.openai) as gateway:
        before = _resident()
        for coding in ("gzip", "deflate", "br", "zstd", "GZIP", "gzip, gzip", "x-gzip"):
            async with gateway.session.post(
                "/v1/chat/completions",
                data=bomb,
                headers={"Authorization": f"Bearer {KEY}", "Content-Encoding": coding},
            ) as response:
                assert response.status == 415, coding
        assert _resident() - before < 5 * MIB
        assert upstream.requests == []


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


@pytest.mark.promise("4.5")
async def test_tiny_chunks_cost_as_much_as_their_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """Promise 4.5: twice as many one-byte chunks are at most 2.2 times the work, counted in calls; the loop is held for
    less than 50 ms, and the CPU time of all stays far below that of a square."""
    monkeypatch.setattr(connection, "MAX_FRAMING", 10 * MIB)
    calls = 0

    def count(frame: object, event: str, argument: object) -> None:
        nonlocal calls
        calls += 1

    async def counted(chunks: int) -> int:
        nonlocal calls
        calls = 0
        sys.setprofile(count)
        try:
            await _chunks(chunks)
        finally:
            sys.setprofile(None)
        return calls

    half, whole = await counted(20_000), await counted(40_000)
    assert half > 20_000
    assert whole <= 2.2 * half
    assert await _chunks(500_000) < 5, "10 microseconds each"


async def _chunks(count: int) -> float:
    """Return the CPU seconds that a server takes for so many chunks in one request."""
    shared = Shared(asyncio.get_running_loop(), length, Limits())
    taker = connection.Connection(shared)
    transport = _Sink()
    taker.connection_made(transport)
    packet = b"1\r\na\r\n" * 10_000
    longest = 0.0
    taker.data_received(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    begun = time.process_time()
    for _ in range(count // 10_000):
        packet_begun = time.process_time()
        taker.data_received(packet)
        longest = max(longest, time.process_time() - packet_begun)
    taker.data_received(b"0\r\n\r\n")
    taken = time.process_time() - begun
    while not transport.written:
        await asyncio.sleep(0)
    assert transport.written.endswith(b"\r\n\r\n%d" % count)
    assert sys.getprofile() or longest < 0.05, "60 kB, as much as the system hands over at once"
    return taken


class _Sink(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += bytes(data)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return False


async def test_chunks_so_tiny_that_their_framing_outweighs_them_have_an_end() -> None:
    """Promise 4.5: whoever sends a million of them has gone before."""
    async with site(echo) as server:
        client = await server.client()
        client.send(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(MAX_FRAMING // 50_000 + 9):
            client.send(b"1\r\na\r\n" * 10_000)
            await server.turn()
        assert (await client.answer()).status == 400
