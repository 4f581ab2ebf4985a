"""Promises 4.1 and 4.2 in short: with the limits that the gateway has by default `make chaos` besieges it for longer."""

import pytest

from tests.server.hostile.process import gateway, percentile, provider
from tests.server.hostile.slow import besiege, idle

pytestmark = pytest.mark.anyio


@pytest.mark.promise("4.1", "4.2")
async def test_slow_connections_are_closed_in_time_and_nobody_else_waits_for_them() -> None:
    """Promises 4.1, 4.2: slow heads, silence and slow bodies are all closed; good traffic and files are as before.

    And a connection that rests takes less than 16 KiB.
    """
    async with provider() as upstream, gateway(upstream.port, {"head": 2, "body_grace": 1, "linger": 1}) as process:
        siege = await besiege(process, upstream, dripping=160, silent=160, bodies=80, patience=3, calm=1)
        resting = await idle(process, 300)
    assert resting < 16 * 1024
    assert siege.closed <= 4.5, siege.figures()
    assert siege.told >= 230, siege.figures()
    assert siege.files <= 2, siege.figures()  # a connection to the provider may just come or go
    assert percentile(siege.besieged, 0.5) < 0.5, siege.figures()  # by how much it rises says a machine of its own
