"""Promise 4.7 in short; `make chaos` runs it with 200 clients and the stall that the gateway has by default."""

import pytest

from tests.server.hostile.process import MIB, gateway, percentile, provider
from tests.server.hostile.unread import leave_unread

pytestmark = pytest.mark.anyio

CLIENTS = 40
PER_STREAM = 65 * MIB // 200
"""Bytes that an unread stream may cost, with all that belongs to its request."""


@pytest.mark.promise("4.7")
async def test_clients_that_never_read_hold_back_their_providers_and_are_cut() -> None:
    """Promise 4.7: memory stays bounded, other streams go on, the stalled one is cut and its provider's connection too."""
    async with provider(100 * MIB) as upstream, gateway(upstream.port, {"stall": 2}) as process:
        unread = await leave_unread(process, upstream, clients=CLIENTS, readers=10, patience=8)
    assert unread.risen <= CLIENTS * PER_STREAM + 3 * MIB, unread.figures()
    assert unread.taken < 8 * MIB, unread.figures()  # what the systems on the way hold
    assert percentile(unread.beside, 0.5) < 0.5, unread.figures()  # by how much it rises says a machine of its own
    assert unread.cut < 6, unread.figures()
