"""The event loop belongs to all streams: nothing that serves one may block it."""

import time

import pytest
from blockbuster import BlockingError, blockbuster_ctx

from tests.server.canned import STREAMS, WHOLE
from tests.server.reading import read
from tests.serving import CALLS, replaying, serving, stream, whole

pytestmark = pytest.mark.anyio


def unstreamed(client: str) -> tuple[str, dict[str, object]]:
    path, body = CALLS[client]
    asks = {name: value for name, value in body.items() if name != "stream"}
    return path.replace("streamGenerateContent?alt=sse", "generateContent"), asks


@pytest.mark.parametrize("client", list(CALLS))
@pytest.mark.parametrize("provider", list(STREAMS))
async def test_no_call_blocks_the_loop(client: str, provider: str) -> None:
    acts = (stream(*STREAMS[provider]), whole(WHOLE[provider]))
    async with replaying(*acts) as upstream, serving(lab=upstream.provider(provider)) as gateway:
        with blockbuster_ctx("penstock"):
            for path, asks in (CALLS[client], unstreamed(client)):
                assert (await read(gateway.post(path, asks))).status == 200


async def test_a_call_that_blocks_would_be_noticed() -> None:
    with blockbuster_ctx("tests"), pytest.raises(BlockingError):
        time.sleep(0)
