"""The official Python SDKs as readers of streams: each in its raw and its helper form, synchronous and asynchronous.

What a reader makes of a stream is a `Heard`: the text and arguments that its caller would have seen, the finish that it
was told, and the exception, if one ended it.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import aiohttp
import anthropic
import httpx2
import msgspec
import openai
from google import genai
from msgspec import Struct

from bench.streams import ANTHROPIC, CHAT, GEMINI, RESPONSES
from chaos.gateway import KEY

HONEST = (openai.APIError, anthropic.APIError, genai.errors.APIError, httpx2.TransportError, aiohttp.ClientError)
"""What an SDK raises for an answer that broke; anything else is an SDK that choked on what it was sent."""

FORMS = ("async", "async helper", "sync", "sync helper")

THREADS = 64
"""Synchronous readers at the same time."""

_QUESTION: list[Any] = [{"role": "user", "content": "hi"}]
_NO_CHOICES: list[Any] = []


class Heard(Struct):
    """What came of a stream."""

    text: str = ""
    finish: str = ""
    raised: str = ""
    message: str = ""
    honest: bool = True

    def add(self, text: str | None, finish: str | None = None) -> None:
        """Note some text, and how the answer ended if that was said."""
        self.text += text or ""
        self.finish = self.finish or str(finish or "")


# ---- what each protocol's events say ---------------------------------------------------------------------------------


def _hear_chat(event: Any, heard: Heard) -> None:
    chunk = getattr(event, "chunk", event)
    for choice in getattr(chunk, "choices", _NO_CHOICES):
        heard.add(choice.delta.content, choice.finish_reason)
        for call in choice.delta.tool_calls or ():
            heard.add(call.function.arguments)


def _hear_responses(event: Any, heard: Heard) -> None:
    match event.type:
        case "response.output_text.delta" | "response.function_call_arguments.delta":
            heard.add(event.delta)
        case "response.completed" | "response.incomplete":
            heard.add(None, event.response.status)
        case _:
            pass


def _hear_anthropic(event: Any, heard: Heard) -> None:
    match event.type:
        case "content_block_delta":
            heard.add(getattr(event.delta, "text", None) or getattr(event.delta, "partial_json", None))
        case "message_delta":
            heard.add(None, event.delta.stop_reason)
        case _:
            pass


def _hear_gemini(chunk: Any, heard: Heard) -> None:
    for candidate in chunk.candidates or ():
        for part in (candidate.content.parts if candidate.content else None) or ():
            heard.add(part.text)
            if part.function_call:
                heard.add(msgspec.json.encode(part.function_call.args).decode())
        heard.add(None, candidate.finish_reason)


_HEAR: dict[str, Callable[[Any, Heard], None]] = {
    CHAT: _hear_chat,
    RESPONSES: _hear_responses,
    ANTHROPIC: _hear_anthropic,
    GEMINI: _hear_gemini,
}


# ---- the SDKs --------------------------------------------------------------------------------------------------------


class Readers:
    """The SDK clients for one gateway, which may all be used at the same time."""

    def __init__(self, address: str, threads: ThreadPoolExecutor) -> None:
        self._threads = threads
        openai_told: dict[str, Any] = {"base_url": f"{address}/v1", "api_key": KEY, "max_retries": 0, "timeout": 60}
        anthropic_told = openai_told | {"base_url": f"{address}/anthropic"}
        self._openai = openai.OpenAI(**openai_told)
        self._async_openai = openai.AsyncOpenAI(**openai_told)
        self._anthropic = anthropic.Anthropic(**anthropic_told)
        self._async_anthropic = anthropic.AsyncAnthropic(**anthropic_told)
        self._google = genai.Client(api_key=KEY, http_options={"base_url": address, "timeout": 60_000})

    async def close(self) -> None:
        """Close their connections."""
        await self._async_openai.close()
        await self._async_anthropic.close()
        await self._google.aio.aclose()
        self._openai.close()
        self._anthropic.close()
        self._google.close()

    async def read(self, protocol: str, form: str, model: str) -> Heard:
        """Return what one of the `FORMS` makes of the stream of a model."""
        heard = Heard()
        helper = form.endswith("helper")
        try:
            if form.startswith("async"):
                async for event in self._async_events(protocol, helper, model):
                    _HEAR[protocol](event, heard)
            else:
                loop = asyncio.get_running_loop()
                await loop.run_in_executor(self._threads, self._read_sync, protocol, helper, model, heard)
        except HONEST as error:
            heard.raised, heard.message = type(error).__name__, str(error)[:200]
        except Exception as error:  # whatever else an SDK raises is what is looked for
            heard.raised, heard.message, heard.honest = type(error).__name__, str(error)[:200], False
        return heard

    def _read_sync(self, protocol: str, helper: bool, model: str, heard: Heard) -> None:
        for event in self._events(protocol, helper, model):
            _HEAR[protocol](event, heard)

    def _events(self, protocol: str, helper: bool, model: str) -> Iterator[Any]:
        match protocol:
            case "openai-chat":
                return _chat(self._openai, helper, model)
            case "openai-responses":
                return _responses(self._openai, helper, model)
            case "anthropic":
                return _messages(self._anthropic, helper, model)
            case _ if helper:
                return self._google.chats.create(model=model).send_message_stream("hi")
            case _:
                return self._google.models.generate_content_stream(model=model, contents="hi")

    def _async_events(self, protocol: str, helper: bool, model: str) -> AsyncIterator[Any]:
        match protocol:
            case "openai-chat":
                return _async_chat(self._async_openai, helper, model)
            case "openai-responses":
                return _async_responses(self._async_openai, helper, model)
            case "anthropic":
                return _async_messages(self._async_anthropic, helper, model)
            case _:
                return _async_contents(self._google.aio, helper, model)


def _chat(client: openai.OpenAI, helper: bool, model: str) -> Iterator[Any]:
    if not helper:
        yield from client.chat.completions.create(model=model, messages=_QUESTION, stream=True)
        return
    with client.chat.completions.stream(model=model, messages=_QUESTION) as stream:
        yield from (event for event in stream if event.type == "chunk")
        stream.get_final_completion()


async def _async_chat(client: openai.AsyncOpenAI, helper: bool, model: str) -> AsyncIterator[Any]:
    if not helper:
        async for chunk in await client.chat.completions.create(model=model, messages=_QUESTION, stream=True):
            yield chunk
        return
    async with client.chat.completions.stream(model=model, messages=_QUESTION) as stream:
        async for event in stream:
            if event.type == "chunk":
                yield event
        await stream.get_final_completion()


def _responses(client: openai.OpenAI, helper: bool, model: str) -> Iterator[Any]:
    if not helper:
        yield from client.responses.create(model=model, input="hi", stream=True)
        return
    with client.responses.stream(model=model, input="hi") as stream:
        yield from stream
        stream.get_final_response()


async def _async_responses(client: openai.AsyncOpenAI, helper: bool, model: str) -> AsyncIterator[Any]:
    if not helper:
        async for event in await client.responses.create(model=model, input="hi", stream=True):
            yield event
        return
    async with client.responses.stream(model=model, input="hi") as stream:
        async for event in stream:
            yield event
        await stream.get_final_response()


def _messages(client: anthropic.Anthropic, helper: bool, model: str) -> Iterator[Any]:
    if not helper:
        yield from client.messages.create(model=model, max_tokens=1024, messages=_QUESTION, stream=True)
        return
    with client.messages.stream(model=model, max_tokens=1024, messages=_QUESTION) as stream:
        yield from stream
        stream.get_final_message()


async def _async_messages(client: anthropic.AsyncAnthropic, helper: bool, model: str) -> AsyncIterator[Any]:
    if not helper:
        async for event in await client.messages.create(model=model, max_tokens=1024, messages=_QUESTION, stream=True):
            yield event
        return
    async with client.messages.stream(model=model, max_tokens=1024, messages=_QUESTION) as stream:
        async for event in stream:
            yield event
        await stream.get_final_message()


async def _async_contents(client: genai.client.AsyncClient, helper: bool, model: str) -> AsyncIterator[Any]:
    stream = (
        client.chats.create(model=model).send_message_stream("hi")
        if helper
        else client.models.generate_content_stream(model=model, contents="hi")
    )
    async for chunk in await stream:
        yield chunk


@contextlib.asynccontextmanager
async def readers(address: str) -> AsyncIterator[Readers]:
    """Make readers for the gateway at `address`."""
    with ThreadPoolExecutor(THREADS) as threads:
        made = Readers(address, threads)
        try:
            yield made
        finally:
            await made.close()
