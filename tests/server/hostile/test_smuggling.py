"""Promise 4.6: of what could be read in two ways nothing reaches a provider, and never a second request."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator

import pytest

from tests.server.canned import WHOLE
from tests.server.hostile.vectors import Vector, vectors
from tests.server.listening import statuses
from tests.serving import KEY, Upstream, replaying, serving, whole

pytestmark = pytest.mark.anyio

VECTORS = vectors(KEY)


@contextlib.asynccontextmanager
async def lab() -> AsyncIterator[tuple[Upstream, int]]:
    async with replaying(whole(WHOLE["openai-chat"])) as upstream, serving(lab=upstream.openai) as gateway:
        yield upstream, int(gateway.address.rpartition(":")[2])


async def answered(port: int, vector: Vector, size: int) -> bytes:
    """Send a vector in packets of some size; return what is answered before the end, or before nothing more comes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    got = b""
    with contextlib.suppress(ConnectionError, TimeoutError):
        for begin in range(0, len(vector.sent), size):
            writer.write(vector.sent[begin : begin + size])
            await asyncio.sleep(0)
        async with asyncio.timeout(2):
            while piece := await reader.read(65536):
                got += piece
    writer.transport.abort()
    return got


def models(upstream: Upstream) -> tuple[str, ...]:
    return tuple(json.loads(content)["model"] for _, _, content in upstream.requests)


def test_there_are_enough_of_them_and_each_is_another() -> None:
    assert len({vector.sent for vector in VECTORS}) == len(VECTORS) > 120


@pytest.mark.parametrize("size", [100_000, 7])
@pytest.mark.promise("4.6")
async def test_what_reaches_a_provider_is_what_every_server_would_read(size: int) -> None:
    """Promise 4.6: upstream request count always the expected one, 0 second requests."""
    wrong: dict[str, tuple[tuple[str, ...], list[int]]] = {}
    async with lab() as (upstream, port):
        for vector in VECTORS:
            answers = await answered(port, vector, size)
            if models(upstream) != vector.asked or b"HTTP/1.1 5" in answers.replace(b" 501 ", b"").replace(
                b" 505 ", b""
            ):
                wrong[vector.name] = models(upstream), statuses(answers)
            upstream.requests.clear()
    assert wrong == {}
