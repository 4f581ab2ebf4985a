"""Every answer says which provider and model it is from, streamed or not."""

import pytest

from tests.server.canned import STREAMS, WHOLE
from tests.server.reading import read
from tests.server.test_passing import ASKED, VECTORS, offering
from tests.serving import CALLS, replaying, serving, stream, whole

pytestmark = pytest.mark.anyio

HEADER = "x-penstock-upstream"


@pytest.mark.parametrize("client", list(CALLS))
async def test_a_stream_names_the_provider_and_its_model(client: str) -> None:
    async with replaying(stream(*STREAMS["anthropic"])) as upstream, serving(lab=upstream.anthropic) as gateway:
        got = await read(gateway.post(*CALLS[client]))
    assert got.headers[HEADER] == "lab/m"


async def test_an_alias_is_resolved_in_it() -> None:
    async with replaying(whole(WHOLE["openai-chat"])) as upstream:
        async with serving(aliases={"fast": "lab/org/small-1:free"}, lab=upstream.openai) as gateway:
            path, body = CALLS["openai-chat"]
            got = await read(gateway.post(path, {**body, "model": "fast", "stream": False}))
    assert got.headers[HEADER] == "lab/org/small-1:free"


async def test_a_clients_name_of_a_model_cannot_add_a_header() -> None:
    async with replaying(whole(WHOLE["openai-chat"])) as upstream, serving(lab=upstream.openai) as gateway:
        path, body = CALLS["openai-chat"]
        got = await read(gateway.post(path, {**body, "model": "lab/m\r\nx-forged: 1 é", "stream": False}))
    assert "x-forged" not in got.headers
    assert got.headers.get(HEADER, "lab/m%0D%0Ax-forged:%201%20%C3%A9") == "lab/m%0D%0Ax-forged:%201%20%C3%A9"


async def test_a_long_name_is_cut() -> None:
    async with replaying(whole(WHOLE["openai-chat"])) as upstream, serving(lab=upstream.openai) as gateway:
        path, body = CALLS["openai-chat"]
        got = await read(gateway.post(path, {**body, "model": "lab/" + "m" * 2000, "stream": False}))
    assert len(got.headers.get(HEADER, "")) <= 512


async def test_embeddings_name_it_too() -> None:
    async with replaying(whole(VECTORS)) as upstream, serving(lab=offering(upstream)) as gateway:
        got = await read(gateway.post("/v1/embeddings", ASKED))
    assert (got.status, got.headers[HEADER]) == (200, "lab/m")
