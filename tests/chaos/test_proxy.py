"""The proxy does to bytes what its plan says, and the same each time."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from chaos.proxy import Plan, draw_damage, draw_harmless, proxied

ANSWER = bytes(range(256)) * 4


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@contextlib.asynccontextmanager
async def connected(plan: Plan) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Connect through a proxy to a server that answers `ANSWER` to four bytes, and closes."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.readexactly(4) == b"ask!"
        writer.write(ANSWER)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        async with proxied(server.sockets[0].getsockname()[1], lambda request: plan if request else None) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"ask!")
            yield reader, writer
            writer.close()
    finally:
        server.close()


async def got(plan: Plan) -> bytes:
    async with connected(plan) as (reader, _), asyncio.timeout(5):
        return await reader.read()


@pytest.mark.anyio
@pytest.mark.parametrize("seed", range(8))
async def test_a_harmless_plan_changes_no_byte(seed: int):
    assert await got(draw_harmless(seed)) == ANSWER


@pytest.mark.anyio
async def test_slices_arrive_one_by_one():
    async with connected(Plan(slice=100, jitter=0.01)) as (reader, _):
        assert len(await reader.read(4096)) == 100


@pytest.mark.anyio
@pytest.mark.parametrize("at", [0, 1, 1000])
async def test_fin_closes_behind_a_byte(at: int):
    assert await got(Plan(ending="fin", at=at)) == ANSWER[:at]


@pytest.mark.anyio
async def test_reset_is_a_reset():
    async with connected(Plan(ending="reset", at=10)) as (reader, _):
        with pytest.raises(ConnectionResetError):
            await reader.read()


@pytest.mark.anyio
async def test_a_half_closed_connection_still_takes_bytes():
    async with connected(Plan(ending="half-close", at=10)) as (reader, writer):
        assert await reader.read() == ANSWER[:10]
        for _ in range(3):
            writer.write(b"more")
            await writer.drain()
            await asyncio.sleep(0.01)


@pytest.mark.anyio
async def test_a_stalled_connection_is_neither_served_nor_closed():
    async with connected(Plan(ending="stall", at=10)) as (reader, _):
        assert await reader.readexactly(10) == ANSWER[:10]
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await reader.read(1)


@pytest.mark.anyio
async def test_one_bit_of_one_byte_is_changed():
    damaged = await got(Plan(corrupt=300, seed=1))
    assert [at for at in range(len(ANSWER)) if damaged[at] != ANSWER[at]] == [300]
    assert (damaged[300] ^ ANSWER[300]).bit_count() == 1


@pytest.mark.anyio
async def test_a_segment_comes_twice():
    assert await got(Plan(duplicate=(10, 20))) == ANSWER[:20] + ANSWER[10:]


def test_plans_are_drawn_from_their_seed_and_say_what_they_do():
    assert draw_damage(3, 100) == draw_damage(3, 100)
    assert len({draw_harmless(seed) for seed in range(20)}) > 10
    assert str(Plan()) == "untouched"
    assert str(Plan(ending="reset", at=7, slice=3, delay=0.5)) == "reset@7,delay=0.5,slice=3"
    assert str(Plan(corrupt=1, duplicate=(2, 3))) == "corrupt@1,duplicate@2-3"
