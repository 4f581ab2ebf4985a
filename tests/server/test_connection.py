"""HTTP/1.1 as well-behaved clients speak it, and what they may do although hardly anybody does."""

import asyncio
import socket
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.server.client import StreamClient
from penstock.server.http import Request, Response
from penstock.server.rules import MAX_WAITING
from tests.server.listening import drip, echo, refuse, site, statuses

pytestmark = pytest.mark.anyio

ANY_LOOP = pytest.mark.parametrize(
    "anyio_backend", [("asyncio", {"use_uvloop": False}), ("asyncio", {"use_uvloop": True})], ids=["asyncio", "uvloop"]
)

GET = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = (
    b"POST /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\nT: v\r\n\r\n"
)
OFFER = (
    b"POST /d HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
    b"HTTP2-Settings: AAMAAABkAAQAAP__\r\nContent-Length: 5\r\n\r\nhello"
)
LAST = b"GET /z HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
BODIES = [b"GET /a ", b"POST /b hello", b"POST /c hello", b"POST /d hello", b"GET /z "]


def bodies(answers: bytes) -> list[bytes]:
    return [answer.partition(b"\r\n\r\n")[2] for answer in answers.split(b"HTTP/1.1 200 OK\r\n")[1:]]


@ANY_LOOP
async def test_requests_on_one_connection_are_answered_one_after_the_other() -> None:
    async with site(echo) as server:
        client = await server.client()
        for request, body in zip((GET, POST, CHUNKED, OFFER, LAST), BODIES, strict=True):
            client.send(request)
            answer = await client.answer()
            assert (answer.status, answer.body) == (200, body)
        assert await client.rest() == (b"", False)


@ANY_LOOP
async def test_requests_sent_together_are_answered_in_their_order() -> None:
    async with site(echo) as server:
        assert bodies(await server.asked(GET + POST + CHUNKED + OFFER + LAST)) == BODIES


async def test_slow_answers_keep_their_order_too() -> None:
    async def slow_first(request: Request) -> Response:
        await asyncio.sleep(0.05 if request.raw_path == "/a" else 0)
        return await echo(request)

    async with site(slow_first) as server:
        assert bodies(await server.asked(GET + POST + LAST)) == [BODIES[0], BODIES[1], BODIES[4]]


@pytest.mark.parametrize("cut", range(1, len(GET + OFFER + CHUNKED + LAST), 3))
async def test_it_does_not_matter_where_packets_begin(cut: int) -> None:
    sent = GET + OFFER + CHUNKED + LAST
    async with site(echo) as server:
        client = await server.client()
        client.send(sent[:cut])
        await asyncio.sleep(0.001)
        client.send(sent[cut:])
        assert bodies((await client.rest())[0]) == [BODIES[0], BODIES[3], BODIES[2], BODIES[4]]


@pytest.mark.parametrize("stream", [False, True])
async def test_what_each_byte_on_its_own_says_is_what_all_say_together(stream: bool) -> None:
    async with site(drip if stream else echo) as server:
        client = await server.client()
        for position in range(len(CHUNKED)):
            client.send(CHUNKED[position : position + 1])
            await asyncio.sleep(0)
        assert (await client.answer()).body.endswith(b"hello")


@ANY_LOOP
async def test_a_large_body_comes_whole() -> None:
    body = bytes(range(256)) * 40_000

    async def length(request: Request) -> Response:
        return Response(b"%d" % len(await request.read()))

    async with site(length) as server:
        client = await server.client()
        client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        assert (await client.answer()).body == b"%d" % len(body)
        client.send(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        for start in range(0, len(body), 10_000):
            piece = body[start : start + 10_000]
            client.send(b"%x\r\n%b\r\n" % (len(piece), piece))
        client.send(b"0\r\n\r\n")
        assert (await client.answer()).body == b"%d" % len(body)


async def test_head_has_the_length_of_the_body_and_not_the_body() -> None:
    async with site(echo) as server:
        client = await server.client()
        client.send(b"HEAD /a HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await client.answer(bodiless=True)).headers["content-length"] == "8"
        client.send(GET)
        assert (await client.answer()).body == b"GET /a "


async def test_every_answer_has_a_date_and_nothing_about_the_software() -> None:
    async with site(echo) as server:
        client = await server.client()
        client.send(GET)
        headers = (await client.answer()).headers
    assert headers["date"].endswith("GMT")
    assert "server" not in headers


# ---- HTTP/1.0 --------------------------------------------------------------------------------------------------------


async def test_http_1_0_is_answered_and_closed() -> None:
    async with site(echo) as server:
        answer = await server.asked(b"GET /a HTTP/1.0\r\n\r\n")
        assert bodies(answer) == [b"GET /a "]


async def test_http_1_0_may_ask_to_go_on() -> None:
    async with site(echo) as server:
        client = await server.client()
        for _ in range(2):
            client.send(b"GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            assert (await client.answer()).headers["connection"] == "keep-alive"


async def test_http_1_0_may_offer_to_upgrade() -> None:
    offer = b"POST /a HTTP/1.0\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 5\r\n\r\nhello"
    async with site(echo) as server:
        assert bodies(await server.asked(offer)) == [b"POST /a hello"]


async def test_a_stream_for_http_1_0_ends_with_its_connection() -> None:
    async with site(drip) as server:
        asking = b"POST / HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello"
        answer = await server.asked(asking)
        assert answer.endswith(b"\r\n\r\nhello")
        assert b"chunked" not in answer


# ---- the body that is asked for, or not wanted -----------------------------------------------------------------------


async def test_the_body_is_asked_for_only_when_somebody_wants_it() -> None:
    asking = b"POST /b HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"
    async with site(echo) as server:
        client = await server.client()
        client.send(asking)
        assert (await client.answer()).status == 100
        client.send(b"hello")
        assert (await client.answer()).body == b"POST /b hello"
    async with site(refuse) as server:
        answer = await server.asked(asking)  # the body may still come, or never: what comes next has no meaning
        assert statuses(answer) == [401]


async def test_a_body_that_nobody_wanted_is_read_away_and_the_next_request_is_served() -> None:
    async with site(refuse) as server:
        client = await server.client()
        client.send(POST[:-3])
        assert (await client.answer()).status == 401
        client.send(POST[-3:] + GET)
        assert (await client.answer()).status == 401
        assert statuses(await server.asked(LAST)) == [401]


# ---- writes ----------------------------------------------------------------------------------------------------------


async def test_status_headers_and_first_bytes_leave_together() -> None:
    written: list[bytes] = []

    async def watched(request: Request) -> None:
        transport: Any = request.connection._transport  # type: ignore[attr-defined]
        write = transport.write
        transport.write = lambda data: (written.append(data), write(data))
        await drip(request)

    async with site(watched) as server:
        client = await server.client()
        client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab")
        assert (await client.answer()).body == b"ab"
    assert written[0].endswith(b"\r\n\r\n1\r\na\r\n")
    assert len(written) == 3


@ANY_LOOP
async def test_small_writes_are_not_held_back() -> None:
    seen: list[int] = []

    async def look(request: Request) -> Response:
        connected = request.connection._transport.get_extra_info("socket")
        seen.append(connected.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        return Response(b"")

    async with site(look) as server:
        client = await server.client()
        client.send(GET)
        await client.answer()
    assert seen[0]


@pytest.mark.parametrize("value", ["a\r\nSet-Cookie: b", "a\nb", "a\rb", "a\0b"])
async def test_a_response_header_cannot_bring_another(value: str) -> None:
    async def careless(request: Request) -> Response:
        with pytest.raises(ValueError, match="line end"):
            await StreamClient(request, {"X-A": value}).start({}, b"x")
        return Response(b"refused")

    async with site(careless) as server:
        assert bodies(await server.asked(LAST)) == [b"refused"]


@ANY_LOOP
async def test_the_break_of_a_stream_is_a_break_for_every_client() -> None:
    async def breaking(request: Request) -> None:
        client = StreamClient(request, {})
        await client.start({}, b"first")
        await client.abort(b"last")

    async with site(breaking) as server:
        for version, end, reset in (("1.1", b"5\r\nfirst\r\n4\r\nlast\r\n", False), ("1.0", b"firstlast", True)):
            client = await server.client()
            client.send(f"GET / HTTP/{version}\r\nHost: x\r\n\r\n".encode())
            got, was_reset = await client.rest()
            assert got.partition(b"\r\n\r\n")[2] == end
            assert was_reset is reset


async def test_an_answer_that_its_handler_forgot_to_end_is_a_break() -> None:
    async def forgetful(request: Request) -> None:
        await StreamClient(request, {}).start({}, b"first")

    async with site(forgetful) as server:
        assert not (await server.asked(GET)).endswith(b"0\r\n\r\n")


# ---- clients that leave ----------------------------------------------------------------------------------------------


@ANY_LOOP
@pytest.mark.parametrize(
    ("how", "reading"), [("close", True), ("close", False), ("reset", True), ("reset", False), ("end", True)]
)
async def test_a_client_that_leaves_cancels_its_handler(how: str, reading: bool) -> None:
    cancelled = asyncio.Event()

    async def endless(request: Request) -> Response:
        try:
            await (request.read() if reading else asyncio.sleep(60))
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return Response(b"")

    async with site(endless) as server:
        client = await server.client()
        client.send(POST[:-1] if reading else POST)
        await asyncio.sleep(0.02)
        if how == "close":
            client.writer.close()
        elif how == "end":
            client.writer.write_eof()
        else:
            client.leave()
        await asyncio.wait_for(cancelled.wait(), 1)


async def test_requests_behind_that_of_a_client_that_left_are_not_served() -> None:
    served: list[str] = []

    async def slow(request: Request) -> Response:
        served.append(request.raw_path)
        await asyncio.sleep(0.1)
        return Response(b"")

    async with site(slow) as server:
        client = await server.client()
        client.send(GET + POST)
        await asyncio.sleep(0.02)
        client.leave()
        await asyncio.sleep(0.15)
    assert served == ["/a"]


# ---- requests ahead of their answers ---------------------------------------------------------------------------------


async def test_too_many_requests_ahead_of_their_answers_are_refused_after_those_that_are_not() -> None:
    async with site(echo) as server:
        answer = await server.asked(GET * (MAX_WAITING + 10))
    assert statuses(answer) == [200] * (MAX_WAITING + 1) + [400]


@ANY_LOOP
async def test_what_comes_ahead_of_its_turn_is_not_read_without_end() -> None:
    go = asyncio.Event()

    async def waiting(request: Request) -> Response:
        await go.wait()
        return await echo(request)

    large = b"POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 20000000\r\n\r\n" + bytes(20_000_000)
    async with site(waiting) as server:
        client = await server.client()
        client.send(GET + large)
        await asyncio.sleep(0.1)
        assert client.writer.transport.get_write_buffer_size() > 10_000_000
        go.set()
        assert (await client.answer()).body == b"GET /a "
        assert len((await client.answer()).body) == 20_000_008


# ---- whatever the packets --------------------------------------------------------------------------------------------

MESSAGES = st.lists(st.sampled_from([GET, POST, CHUNKED, OFFER, b"\r\n" + GET]), max_size=6)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(messages=MESSAGES, cuts=st.lists(st.integers(0, 1000), max_size=8))
async def test_any_requests_in_any_packets_are_answered_each(messages: list[bytes], cuts: list[int]) -> None:
    sent = b"".join(messages) + LAST
    cuts = sorted(min(cut, len(sent)) for cut in cuts)
    async with site(echo) as server:
        client = await server.client()
        for start, end in zip([0, *cuts], [*cuts, len(sent)], strict=True):
            client.send(sent[start:end])
            await asyncio.sleep(0)
        got = bodies((await client.rest())[0])
    known = {GET: BODIES[0], POST: BODIES[1], CHUNKED: BODIES[2], OFFER: BODIES[3], b"\r\n" + GET: BODIES[0]}
    assert got == [known[message] for message in messages] + [BODIES[4]]


@pytest.mark.parametrize("turns", range(6))
async def test_a_client_that_comes_while_the_server_stops_is_not_left_on_an_open_connection(turns: int) -> None:
    async with site(echo) as server:
        with socket.create_connection(server.listener.addresses[0]):
            for _ in range(turns):
                await asyncio.sleep(0)
            await server.listener.close()
            await asyncio.sleep(0.01)
            assert server.open == 0
