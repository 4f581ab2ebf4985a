"""Promises 4.11 and 4.18 in short; `make chaos` cancels 10,000 and asks 10,000 times."""

import aiohttp
import pytest

from penstock.core.errors import UpstreamFault
from penstock.protocols.base import Outbound
from penstock.protocols.registry import PROTOCOLS
from penstock.server import listener
from penstock.upstreams.transport import Transport
from tests.server.hostile.pools import (
    answer,
    cancel_at_random,
    crowd,
    gaps_of_a_client,
    gaps_of_a_provider,
    settings,
)
from tests.server.hostile.process import provider
from tests.server.listening import echo

pytestmark = pytest.mark.anyio

ASK_M = Outbound("/chat/completions", b'{"model":"m"}')


@pytest.mark.promise("4.11")
async def test_a_provider_sees_no_more_connections_than_it_may_and_the_others_wait() -> None:
    """Promise 4.11: with a cap of 10 a provider sees 10; as many more wait, and the rest hear that there is no room."""
    async with provider() as upstream:
        transport = Transport(max_connections=10)
        ends = await crowd(transport, upstream, 100)
        assert ends == {"served": 20, "pool_exhausted": 80}
        assert upstream.most == 10
        assert await crowd(transport, upstream, 20) == {"served": 20}
        assert upstream.most == 10
        await transport.close()


async def test_who_waits_for_a_connection_for_too_long_is_told() -> None:
    """Promise 4.11: a wait that is too long is a 503 with the code `pool_exhausted`."""
    async with provider() as upstream:
        transport, lab = Transport(max_connections=1, slot_timeout=0.1), settings(upstream.port)
        first = await transport.open(lab, ASK_M)
        with pytest.raises(UpstreamFault) as told:
            await transport.open(lab, ASK_M)
        first.abort()
        assert await answer(transport, lab) == "served"
        await transport.close()
    status, body = PROTOCOLS["openai-chat"].write_error(told.value.info, "r")
    assert status == 503
    assert b'"code":"pool_exhausted"' in body


@pytest.mark.promise("4.11")
async def test_cancels_at_any_moment_leave_nothing_behind() -> None:
    """Promise 4.11: after 300 cancels no socket, task or place is lost."""
    async with provider() as upstream:
        transport = Transport(max_connections=20)
        leaks = await cancel_at_random(transport, upstream, 300, 1, 20)
    assert (leaks.sockets, leaks.tasks, leaks.served) == (0, 0, 22)


@pytest.mark.promise("4.18")
async def test_idle_gaps_around_the_limit_of_a_client_are_no_errors() -> None:
    """Promise 4.18: our limit is longer than a client's, so that it never writes into a connection that we close."""
    assert await gaps_of_a_client(80, 1, pairs=8) == 0


async def test_idle_gaps_around_the_limit_of_a_provider_are_no_errors() -> None:
    """Promise 4.18: a provider that closes just as we write is asked again on a fresh connection."""
    assert await gaps_of_a_provider(120, 1, pairs=8) == 0


async def test_who_listens_on_ipv6_is_asked_there() -> None:
    """Point 11: the address of a gateway may be one of IPv6."""
    listening = await listener.listen(echo, "::1", 0)
    host, port = listening.addresses[0]
    assert host == "::1"
    async with aiohttp.ClientSession(f"http://[{host}]:{port}") as session, session.post("/a", data=b"hi") as response:
        assert (response.status, await response.read()) == (200, b"POST /a hi")
    listening.abort()
    await listening.close()
