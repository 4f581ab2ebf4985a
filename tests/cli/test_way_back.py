"""A gateway that is told to stop tells those whose streams it cuts where to read what came of them."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest
from google import genai

from tests.cli.killing import all_of, counting, durable, get, post
from tests.cli.test_durable_streams import sdk
from tests.cli.test_several_processes import Process
from tests.server.canned import STREAMS
from tests.serving import CALLS, HANG, KEY, STREAM_HEAD, Act, chunk, replaying

pytestmark = pytest.mark.anyio

SOON = "[server]\ndrain = 0.3"
LAST = b'data: {"id":"c1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def hanging(protocol: str) -> tuple[Act, ...]:
    return (STREAM_HEAD, *(chunk(piece) for piece in STREAMS[protocol][:2]), HANG)


async def stop(process: Process) -> None:
    process.process.terminate()
    await asyncio.to_thread(process.process.wait, 30)


def way_back(told: str) -> str:
    found = re.search(r"What came of it is kept: GET (/v1/[\w/?=]+)", told)
    assert found is not None, told
    return found[1]


@pytest.mark.promise("4.10")
@pytest.mark.parametrize("protocol", list(CALLS))
async def test_the_error_names_the_stream_and_the_next_process_has_it(protocol: str, tmp_path: Path) -> None:
    async with replaying(hanging(protocol)) as upstream:
        async with durable(tmp_path, upstream, protocol, rest=SOON) as first:
            async with post(first, protocol, "a") as live:
                reading = asyncio.ensure_future(all_of(live))
                await asyncio.sleep(0.3)
                await stop(first)
                seen, well = await reading
        assert not well
        error = json.loads(seen.strip().split(b"data: ")[-1])
        path = way_back(error.get("error", error)["message"])
        assert path == f"/v1/streams/{live.headers['x-stream-id']}"
        async with durable(tmp_path, upstream, protocol) as second, get(second, path.rpartition("/")[2]) as again:
            assert await all_of(again) == (seen, False)


async def test_every_sdk_shows_it(tmp_path: Path) -> None:
    """The path is in the message of what is raised."""
    told: list[str] = []
    async with replaying(hanging("openai-chat")) as upstream:
        async with durable(tmp_path, upstream, "openai-chat", rest=SOON) as process:
            chat: Any = {"model": "lab/m", "messages": [{"role": "user", "content": "hi"}], "stream": True}

            async def by_openai() -> None:
                async with sdk(process) as client:
                    async for _ in await client.chat.completions.create(**chat, extra_headers={"Idempotency-Key": "a"}):
                        pass

            async def by_anthropic() -> None:
                address = f"{process.address}/anthropic"
                async with anthropic.AsyncAnthropic(api_key=KEY, base_url=address, max_retries=0) as client:
                    async for _ in await client.messages.create(
                        **chat, max_tokens=9, extra_headers={"Idempotency-Key": "c"}
                    ):
                        pass

            async def by_gemini() -> None:
                options: Any = {"base_url": process.address, "headers": {"Idempotency-Key": "b"}}
                client = genai.Client(api_key=KEY, http_options=options)
                async for _ in await client.aio.models.generate_content_stream(model="lab/m", contents="hi"):
                    pass

            async def raised(asking: Any) -> None:
                with pytest.raises(Exception, match="What came of it is kept") as caught:
                    await asking
                told.append(way_back(str(caught.value)))

            reading = [asyncio.ensure_future(raised(ask())) for ask in (by_openai, by_anthropic, by_gemini)]
            while len(upstream.requests) < 3:
                await asyncio.sleep(0.05)
            await asyncio.sleep(0.5)
            await stop(process)
            await asyncio.gather(*reading)
    assert len(set(told)) == 3


async def test_what_is_kept_in_memory_only_names_no_way_back(tmp_path: Path) -> None:
    async with replaying(hanging("openai-chat")) as upstream:
        async with durable(tmp_path, upstream, "openai-chat", rest=SOON, journal="memory") as process:
            async with post(process, "openai-chat", "a") as live:
                reading = asyncio.ensure_future(all_of(live))
                await asyncio.sleep(0.3)
                await stop(process)
                seen, _ = await reading
    assert b"shutting_down" in seen
    assert b"What came of it" not in seen


async def test_an_answer_in_the_background_that_nobody_reads_has_its_time_to_end(tmp_path: Path) -> None:
    acts = (*counting(50, 0.03)[:-1], chunk(LAST))
    async with replaying((*acts, b"0\r\n\r\n")) as upstream:
        async with durable(tmp_path, upstream, "openai-chat") as first, sdk(first) as client:
            begun = await client.responses.create(model="lab/m", input="hi", background=True)
            while (await client.responses.retrieve(begun.id)).status != "in_progress":
                await asyncio.sleep(0.05)
            await client.close()
            await stop(first)
        async with durable(tmp_path, upstream, "openai-chat") as second, sdk(second) as client:
            response = await client.responses.retrieve(begun.id)
            assert response.status == "completed"
            assert response.output_text.endswith("49 ")
        assert len(upstream.requests) == 1


async def test_one_that_does_not_end_in_time_names_the_answer(tmp_path: Path) -> None:
    async with replaying(hanging("openai-chat")) as upstream:
        async with durable(tmp_path, upstream, "openai-chat", rest=SOON) as first, sdk(first) as client:
            stream = await client.responses.create(model="lab/m", input="hi", background=True, stream=True)
            created = await anext(stream)
            reading = asyncio.ensure_future(_last(stream))
            await asyncio.sleep(0.3)
            await stop(first)
            with pytest.raises(openai.APIError) as caught:
                await reading
        assert way_back(str(caught.value)) == f"/v1/responses/{created.response.id}?stream=true"
        async with durable(tmp_path, upstream, "openai-chat") as second, sdk(second) as client:
            assert (await client.responses.retrieve(created.response.id)).status == "failed"


async def _last(stream: Any) -> None:
    async for _ in stream:
        pass
