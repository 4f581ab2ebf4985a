"""Clients that end their side of the connection: who reads on gets the answer, who is gone has it cancelled."""

import asyncio

import pytest

from tests.server.canned import STREAMS
from tests.server.hostile.process import question
from tests.serving import END, HANG, STREAM_HEAD, Act, chunk, replaying, serving, stream, whole

pytestmark = [pytest.mark.anyio, pytest.mark.promise("4.9")]


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    """Run on both event loops: they learn of ends in ways of their own."""
    return "asyncio", {"use_uvloop": request.param}


PIECES = STREAMS["openai-chat"]
SLOW_TO_BEGIN: tuple[Act, ...] = (0.3, *stream(*PIECES))
SLOW_TO_GO_ON: tuple[Act, ...] = (
    STREAM_HEAD,
    *(chunk(piece) for piece in PIECES[:2]),
    0.3,
    *(chunk(piece) for piece in PIECES[2:]),
    END,
)
ANSWER = b'{"choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}]}'


async def asked(address: str, request: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(address.rpartition(":")[2]))
    writer.write(request)
    return reader, writer


def spoken(version: str, request: bytes) -> bytes:
    return request.replace(b"HTTP/1.1", b"HTTP/%b" % version.encode())


def body_of(answer: bytes) -> bytes:
    """Return what a chunked or whole response, behind interim ones, says."""
    while answer.startswith(b"HTTP/1.1 100 "):
        answer = answer.partition(b"\r\n\r\n")[2]
    head, _, rest = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    if b"chunked" not in head:
        return rest
    body = b""
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        body, rest = body + rest[: int(size, 16)], rest[int(size, 16) + 2 :]
    return body


@pytest.mark.parametrize("version", ["1.1", "1.0"])
@pytest.mark.parametrize(
    "acts", [SLOW_TO_BEGIN, SLOW_TO_GO_ON, (0.3, *whole(ANSWER))], ids=["before", "within", "not streamed"]
)
async def test_a_client_that_only_ends_its_side_gets_all_of_its_answer(acts: tuple[Act, ...], version: str) -> None:
    """What came between the events, to find out about it, is a blank line."""
    async with replaying(acts) as upstream, serving(lab=upstream.openai) as gateway:
        request = question("m") if acts[-1] == END else question("m").replace(b'"stream": true', b'"stream":false')
        request = spoken(version, request)
        reader, writer = await asked(gateway.address, request.replace(b"Host", b"Connection: close\r\nHost"))
        usual = body_of(await asyncio.wait_for(reader.read(), 5))
        writer.close()
        reader, writer = await asked(gateway.address, request)
        await asyncio.sleep(0.1)
        writer.write_eof()
        body = body_of(await asyncio.wait_for(reader.read(), 5))  # and the gateway ends its side then
        writer.close()
    assert body.replace(b"\n\n\n", b"\n\n") == usual


async def test_requests_that_were_sent_ahead_are_answered_too() -> None:
    async with replaying(SLOW_TO_GO_ON) as upstream, serving(lab=upstream.openai) as gateway:
        reader, writer = await asked(gateway.address, question("m") * 2)
        writer.write_eof()
        answers = await asyncio.wait_for(reader.read(), 5)
        writer.close()
    assert answers.count(b"[DONE]") == 2


@pytest.mark.parametrize("version", ["1.1", "1.0"])
@pytest.mark.parametrize(
    "acts", [(HANG,), (STREAM_HEAD, chunk(PIECES[0]), chunk(PIECES[1]), HANG)], ids=["before", "within"]
)
async def test_who_has_closed_the_connection_has_the_answer_cancelled_within_a_second(
    acts: tuple[Act, ...], version: str
) -> None:
    async with replaying(acts) as upstream, serving(lab=upstream.openai) as gateway:
        reader, writer = await asked(gateway.address, spoken(version, question("m")))
        if len(acts) > 1:
            await reader.readuntil(b"Hello")
        else:
            await asyncio.sleep(0.1)
        writer.close()
        await asyncio.wait_for(upstream.left.wait(), 1)


async def test_who_ends_its_side_and_leaves_later_is_found_out_when_something_is_said() -> None:
    acts = (STREAM_HEAD, chunk(PIECES[0]), chunk(PIECES[1]), 0.4, chunk(PIECES[1]), HANG)
    async with replaying(acts) as upstream, serving(lab=upstream.openai) as gateway:
        reader, writer = await asked(gateway.address, question("m"))
        await reader.readuntil(b"Hello")
        writer.write_eof()
        await asyncio.sleep(0.1)
        writer.close()
        await asyncio.wait_for(upstream.left.wait(), 2)


async def test_who_ends_its_side_in_the_middle_of_a_request_has_asked_nothing() -> None:
    async with replaying((HANG,)) as upstream, serving(lab=upstream.openai) as gateway:
        reader, writer = await asked(gateway.address, question("m")[:-3])
        writer.write_eof()
        assert await asyncio.wait_for(reader.read(), 1) == b""
        writer.close()
        assert not upstream.requests
