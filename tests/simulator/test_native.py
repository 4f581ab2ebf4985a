"""The simulator speaks each protocol the way its real provider does."""

import json
from typing import Any

import pytest

from penstock.protocols.registry import PROTOCOLS
from penstock.simulator.scripts import MODELS
from tests.simulator.talking import NAMES, Talker, question

pytestmark = pytest.mark.anyio


@pytest.mark.covers("P66", "T4")
async def test_chat_streams_have_usage_only_if_asked(simulator: Talker):
    silent = await simulator.ask("openai-chat", "poet", stream_options={"include_usage": False})
    asked = await simulator.ask("openai-chat", "poet")
    assert b"completion_tokens" not in silent.body
    assert asked.body.count(b"completion_tokens") == 1
    assert asked.body.endswith(b"data: [DONE]\n\n")


async def test_messages_streams_have_a_ping_after_their_start(simulator: Talker):
    body = (await simulator.ask("anthropic", "poet")).body
    names = [line.removeprefix(b"event: ") for line in body.splitlines() if line.startswith(b"event: ")]
    assert names[:3] == [b"message_start", b"ping", b"content_block_start"]
    assert names[-1] == b"message_stop"


async def test_message_start_knows_the_input(simulator: Talker):
    body = (await simulator.ask("anthropic", "echo", "x" * 40)).body
    start = json.loads(body.split(b"\n")[1].removeprefix(b"data: "))
    assert start["message"]["usage"]["input_tokens"] == 10


@pytest.mark.covers("P86")
async def test_gemini_streams_have_crlf_and_growing_usage_on_each_chunk(simulator: Talker):
    body = (await simulator.ask("gemini", "echo", "one two three")).body
    assert body.count(b"\r\n\r\n") == body.count(b"data: ") == body.count(b"\n") // 2
    chunks = [json.loads(frame.removeprefix(b"data: ")) for frame in body.split(b"\r\n\r\n") if frame]
    counts = [chunk["usageMetadata"]["candidatesTokenCount"] for chunk in chunks]
    assert counts == sorted(counts)
    assert counts[0] == 1


@pytest.mark.covers("P25")
async def test_gemini_streams_are_an_array_without_alt_sse(simulator: Talker):
    reading = await simulator.ask("gemini", "poet", "hi", "array")
    assert reading.headers["content-type"].startswith("application/json")
    assert len(reading.json()) > 3


@pytest.mark.parametrize("version", ["v1", "v1beta", "v1alpha"])
async def test_gemini_is_served_under_every_version(simulator: Talker, version: str):
    path, body = question("gemini", "poet@gap=0,fault=none", how="whole")
    assert (await simulator.read(path.replace("v1beta", version), body)).status == 200


async def test_a_model_name_may_come_percent_encoded_in_a_path(simulator: Talker):
    path, body = question("gemini", "poet%40gap%3D0%2Clength%3D2", how="whole")
    assert (await simulator.read(path, body)).answer("gemini").usage.output == 2


@pytest.mark.covers("P23")
@pytest.mark.parametrize("protocol", NAMES)
async def test_a_stream_is_labelled_as_one(simulator: Talker, protocol: str):
    reading = await simulator.ask(protocol, "poet")
    assert reading.status == 200
    assert reading.headers["content-type"] == "text/event-stream; charset=utf-8"


@pytest.mark.covers("P29")
@pytest.mark.parametrize(
    ("path", "headers", "names"),
    [
        ("/v1/models", {}, lambda body: [model["id"] for model in body["data"]]),
        ("/v1/models", {"anthropic-version": "x"}, lambda body: [model["id"] for model in body["data"]]),
        ("/v1/models", {"x-goog-api-key": "k"}, lambda body: [model["name"][7:] for model in body["models"]]),
        ("/v1beta/models", {}, lambda body: [model["name"][7:] for model in body["models"]]),
    ],
)
async def test_the_models_are_listed_in_the_callers_shape(simulator: Talker, path: str, headers: Any, names: Any):
    async with simulator.session.get(path, headers=headers) as response:
        body = await response.json()
    assert names(body) == list(MODELS)
    assert json.dumps(body).count("Scripted") == len(MODELS)


@pytest.mark.parametrize("protocol", NAMES)
@pytest.mark.parametrize(
    ("model", "status", "said"),
    [("poett", 404, "poet"), ("poet@tfft=1", 400, "ttft"), ("poet@fault=bang", 400, "bang")],
)
async def test_a_mistake_in_the_model_name_is_explained(
    simulator: Talker, protocol: str, model: str, status: int, said: str
):
    reading = await simulator.ask(protocol, model)
    assert reading.status == status
    assert said in PROTOCOLS[protocol].read_error(status, reading.body).message


@pytest.mark.covers("P64")
@pytest.mark.parametrize("protocol", NAMES)
async def test_a_body_that_is_no_request_is_refused_and_logged(simulator: Talker, protocol: str):
    path, _ = question(protocol, "poet")
    reading = await simulator.read(path, b'{"messages":')
    assert reading.status == 400
    assert (await simulator.log())["calls"][-1]["ended"] == "refused"


async def test_a_mistake_in_the_header_is_explained(simulator: Talker):
    path, body = question("openai-chat", "poet")
    reading = await simulator.read(path, body, {"x-penstock-sim": "gap=soon"})
    assert reading.status == 400
    assert reading.json()["error"]["param"] == "x-penstock-sim"


async def test_an_unknown_path_is_an_error_in_json(simulator: Talker):
    async with simulator.session.get("/v2/nothing") as response:
        assert response.status == 404
        assert "error" in await response.json()
