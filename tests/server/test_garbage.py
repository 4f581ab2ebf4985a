"""Nothing of a request outlives its answer, not even until the garbage collector looks for cycles: bodies are large."""

import asyncio
import gc
from collections.abc import Iterator
from typing import Any

import pytest

from penstock.protocols.base import Inbound
from penstock.upstreams.settings import AliasSettings
from tests.server.canned import STREAMS
from tests.serving import HANG, RESET, STREAM_HEAD, Gateway, chunk, replaying, serving, stream, whole

pytestmark = pytest.mark.anyio

CHAT = {"model": "lab/m", "stream": True, "messages": [{"role": "user", "content": "hi"}]}
ANSWER = b'{"choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}]}'
TIMES = 3


@pytest.fixture
def uncollected() -> Iterator[None]:
    """Let nothing look for cycles."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


async def asked(gateway: Gateway, path: str, body: dict[str, Any], **headers: str) -> None:
    for _ in range(TIMES):
        async with gateway.post(path, body, **headers) as response:
            try:
                await response.read()
            except Exception:
                assert response.status == 200  # it broke in the middle
    await asyncio.sleep(0.05)


def requests_in_memory() -> int:
    return sum(isinstance(found, Inbound) for found in gc.get_objects())


@pytest.mark.parametrize(
    ("path", "body"),
    [
        pytest.param("/v1/chat/completions", CHAT, id="passed through"),
        pytest.param("/anthropic/v1/messages", CHAT | {"max_tokens": 9}, id="translated"),
        pytest.param("/v1/chat/completions", CHAT | {"model": "whole/m", "stream": False}, id="not streamed"),
        pytest.param("/v1/chat/completions", CHAT | {"model": "no/m"}, id="refused"),
        pytest.param("/v1/chat/completions", CHAT | {"model": "down/m"}, id="failed"),
        pytest.param("/v1/chat/completions", CHAT | {"model": "either"}, id="failed over"),
        pytest.param("/v1/chat/completions", CHAT | {"model": "cut/m"}, id="broken off"),
    ],
)
async def test_a_request_is_gone_with_its_answer(uncollected: None, path: str, body: dict[str, Any]) -> None:
    down = whole(b'{"error":{"message":"no"}}', "503 Service Unavailable")
    async with (
        replaying(stream(*STREAMS["openai-chat"])) as well,
        replaying(down) as bad,
        replaying(whole(ANSWER)) as complete,
        replaying((STREAM_HEAD, chunk(STREAMS["openai-chat"][0]), RESET)) as cut,
        serving(
            lab=well.openai,
            down=bad.openai,
            whole=complete.openai,
            cut=cut.openai,
            aliases={"either": AliasSettings(targets=("down/m", "lab/m"))},
        ) as gateway,
    ):
        await asked(gateway, path, body)
        assert requests_in_memory() == 0


async def test_a_request_is_gone_with_its_client(uncollected: None) -> None:
    async with (
        replaying((STREAM_HEAD, chunk(STREAMS["openai-chat"][0]), chunk(STREAMS["openai-chat"][1]), HANG)) as upstream,
        serving(lab=upstream.openai) as gateway,
    ):
        for _ in range(TIMES):
            async with gateway.post("/v1/chat/completions", CHAT) as response:
                await response.content.readany()
        await asyncio.sleep(0.2)
        assert requests_in_memory() == 0


async def test_of_a_call_that_is_kept_for_others_the_request_is_not(uncollected: None) -> None:
    async with replaying(stream(*STREAMS["openai-chat"])) as upstream, serving(lab=upstream.openai) as gateway:
        for number in range(TIMES):
            body = CHAT | {"user": f"so long a name {number}"}
            await asked(gateway, "/v1/chat/completions", body, idempotency_key=str(number))
        assert not [found for found in gc.get_objects() if isinstance(found, Inbound) and b"so long" in found.body]
