"""Clients that take their time: each wait has an end, and nobody else waits with them."""

import asyncio
import socket

import msgspec
import pytest

from penstock.config import Limits
from penstock.server import listener
from penstock.server.client import StreamClient
from penstock.server.http import Request, Response
from tests.server.listening import echo, refuse, site

pytestmark = pytest.mark.anyio

LONG = Limits(head=60, body=60, body_grace=60, keep_alive=60, stall=60, linger=60)
GET = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "TICK", 0.01)


def only(**limits: float) -> Limits:
    return msgspec.structs.replace(LONG, **limits)


async def test_a_head_that_comes_byte_by_byte_for_ever_is_a_408() -> None:
    async with site(echo, only(head=0.1)) as server:
        client = await server.client()
        for position in range(10):
            client.send(GET[position : position + 1])
            await asyncio.sleep(0.02)
        answer = await client.answer()
        assert (answer.status, answer.headers["connection"]) == (408, "close")
        assert b"0.1 s" in answer.body
        assert await client.rest() == (b"", False)


async def test_a_client_cannot_put_off_the_end_of_its_time_by_beginning_late() -> None:
    async with site(echo, only(head=0.2)) as server:
        client = await server.client()
        await asyncio.sleep(0.15)
        client.send(GET[:1])
        assert (await asyncio.wait_for(client.answer(), 0.15)).status == 408


async def test_a_connection_that_says_nothing_is_closed_without_a_word() -> None:
    async with site(echo, only(head=0.05)) as server:
        assert await server.asked(b"") == b""
        assert await server.asked(b"\r\n\r\n") == b""


@pytest.mark.parametrize("packet", [POST[:-2], POST[:-5]])
async def test_a_body_that_stops_coming_is_a_408(packet: bytes) -> None:
    async with site(echo, only(body_grace=0.1)) as server:
        client = await server.client()
        client.send(packet)
        answer = await client.answer()
        assert (answer.status, answer.body) == (408, b"The body came at less than 1000 B/s.")
        assert await client.rest() == (b"", False)


async def trickled(limits: Limits, gap: float) -> tuple[int, bytes]:
    """Return what a client gets that sends the five bytes of its body with a gap before each."""
    async with site(echo, limits) as server:
        client = await server.client()
        client.send(POST[:-5])
        for byte in b"hello":
            await asyncio.sleep(gap)
            client.send(bytes([byte]))
        answer = await client.answer()
        return answer.status, answer.body


async def test_a_body_may_come_slowly_but_not_too_slowly() -> None:
    assert await trickled(only(body_grace=0.1, body_rate=10), 0.05) == (200, b"POST /b hello")
    assert await trickled(only(body_grace=0.1, body_rate=100), 0.05) == (408, b"The body came at less than 100 B/s.")


async def test_a_body_that_comes_fast_enough_may_not_take_for_ever() -> None:
    told = b"The body was not complete after 0.12 s."
    assert await trickled(only(body=0.12, body_grace=0.1, body_rate=10), 0.05) == (408, told)


async def test_the_rest_of_a_refused_body_is_not_waited_for_for_ever_however_it_comes() -> None:
    async with site(refuse, only(linger=0.1)) as server:
        client = await server.client()
        client.send(POST[:-5])
        assert (await client.answer()).status == 401
        ended = asyncio.create_task(client.rest())
        for _ in range(3):
            await asyncio.sleep(0.03)
            client.send(b"h")
        assert (await asyncio.wait_for(ended, 1))[0] == b""


async def test_a_kept_connection_is_closed_after_a_while_and_not_before() -> None:
    async with site(echo, only(keep_alive=0.15, head=0.01)) as server:
        client = await server.client()
        for _ in range(3):
            client.send(GET)
            assert (await client.answer()).status == 200
            await asyncio.sleep(0.05)
        assert await asyncio.wait_for(client.rest(), 0.5) == (b"", False)


async def test_an_answer_may_take_as_long_as_it_takes() -> None:
    async def slow(request: Request) -> Response:
        await asyncio.sleep(0.1)
        return await echo(request)

    async with site(slow, Limits(head=0.05, body=0.05, keep_alive=0.05, stall=0.05, linger=0.05)) as server:
        client = await server.client()
        client.send(POST)
        assert (await client.answer()).body == b"POST /b hello"


async def test_a_head_behind_a_slow_answer_has_its_time_from_when_it_is_its_turn() -> None:
    async def slow(request: Request) -> Response:
        await asyncio.sleep(0.1)
        return await echo(request)

    async with site(slow, only(head=0.05)) as server:
        client = await server.client()
        client.send(GET + GET[:-2])
        assert (await client.answer()).status == 200
        client.send(GET[-2:])
        assert (await client.answer()).status == 200
        client.send(GET + GET[:-2])
        assert (await client.answer()).status == 200
        assert (await client.answer()).status == 408


async def test_a_body_behind_a_slow_answer_has_its_time_from_when_it_is_its_turn() -> None:
    async def slow(request: Request) -> Response:
        await asyncio.sleep(0.1)
        return await echo(request)

    async with site(slow, only(body_grace=0.15)) as server:
        client = await server.client()
        client.send(GET + POST[:-2])
        assert (await client.answer()).status == 200
        assert (await client.answer()).status == 408


async def flood(request: Request) -> None:
    """Stream without end."""
    client = StreamClient(request, {})
    await client.start({}, b"x")
    while True:
        if not client.push(bytes(10_000)):
            await client.drained()


async def huge(request: Request) -> Response:
    return Response(bytes(20_000_000))


@pytest.mark.parametrize("handler", [flood, huge])
async def test_a_client_that_takes_nothing_counts_as_gone(handler: listener.Handler) -> None:
    async with site(handler, only(stall=0.1)) as server:
        client = await server.client()
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        client.send(GET)
        await asyncio.sleep(0.05)
        assert server.open == 1
        await asyncio.sleep(0.25)
        assert server.open == 0


async def test_a_client_that_takes_little_at_a_time_gets_all_of_it() -> None:
    async with site(huge, Limits(head=0.05, body=0.05, keep_alive=0.05, stall=0.2, linger=0.05)) as server:
        client = await server.client()
        client.send(GET)
        got = 0
        while got < 20_000_000:
            piece = await client.reader.read(1_000_000)
            assert piece
            got += len(piece)
            await asyncio.sleep(0.005)


async def test_a_client_that_takes_little_of_much_is_seen_to_take_it() -> None:
    async with site(huge, only(stall=0.3)) as server:
        loop = asyncio.get_running_loop()
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
            client.setblocking(False)
            await loop.sock_connect(client, server.listener.addresses[0])
            await loop.sock_sendall(client, GET)
            for _ in range(60):  # a megabyte a second, and much less than the system would hold
                assert await loop.sock_recv(client, 20_000)
                await asyncio.sleep(0.02)
            assert server.open == 1


async def test_two_clocks_that_run_out_at_once_end_a_connection_once() -> None:
    async with site(huge, only(stall=0.1, head=0.1)) as server:
        client = await server.client()
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        client.send(GET)
        await server.turn()
        await asyncio.sleep(0.01)
        client.send(GET[:5])
        await server.turn()
        (connection,) = server.listener._shared.connections
        connection.look_at_clock(asyncio.get_running_loop().time())
        connection.look_at_clock(asyncio.get_running_loop().time() + 1)
        await server.turn()
        assert server.open == 0


async def test_a_slow_client_keeps_no_other_waiting() -> None:
    async with site(echo, LONG) as server:
        for _ in range(50):
            (await server.client()).send(GET[:-2])
        client = await server.client()
        client.send(GET)
        assert (await asyncio.wait_for(client.answer(), 0.5)).status == 200
