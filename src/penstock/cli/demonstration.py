"""`penstock demo`: one scripted poem through four protocols over real HTTP, and what to try next."""

import secrets
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from rich.console import Console
from rich.markup import escape

from penstock.accounts.directory import KeyDirectory
from penstock.accounts.keys import StaticKey, generate
from penstock.cli.logs import configure_logs
from penstock.config import Config, ServerSettings
from penstock.core.errors import UpstreamFault
from penstock.core.events import Delta, Failure, UsageUpdate
from penstock.core.usage import UNKNOWN, Usage
from penstock.protocols.registry import PROTOCOLS
from penstock.server.app import start
from penstock.store.database import Database
from penstock.wire.framing import FrameReader

PROMPT = "写一首关于秋天的短诗"
MODEL = "demo/poet"


class Example(msgspec.Struct, frozen=True):
    """One client's way to ask: where it posts what, and how it shows its key."""

    title: str
    protocol: str
    path: str
    headers: dict[str, str]
    body: dict[str, Any]


def examples(key: str) -> tuple[Example, ...]:
    """Return the same question as each protocol's clients put it."""
    messages = [{"role": "user", "content": PROMPT}]
    return (
        Example(
            "OpenAI Chat Completions",
            "openai-chat",
            "/v1/chat/completions",
            {"Authorization": f"Bearer {key}"},
            {"model": MODEL, "messages": messages, "stream": True, "stream_options": {"include_usage": True}},
        ),
        Example(
            "OpenAI Responses",
            "openai-responses",
            "/v1/responses",
            {"Authorization": f"Bearer {key}"},
            {"model": MODEL, "input": PROMPT, "stream": True, "store": False},
        ),
        Example(
            "Anthropic Messages",
            "anthropic",
            "/anthropic/v1/messages",
            {"x-api-key": key, "anthropic-version": "2023-06-01"},
            {"model": MODEL, "messages": messages, "stream": True, "max_tokens": 1024},
        ),
        Example(
            "Gemini",
            "gemini",
            f"/v1beta/models/{MODEL}:streamGenerateContent?alt=sse",
            {"x-goog-api-key": key},
            {"contents": [{"role": "user", "parts": [{"text": PROMPT}]}]},
        ),
    )


async def show(console: Console, address: str, key: str) -> None:
    """Stream every example from the gateway at `address`, and print the text as it arrives.

    Raises:
        UpstreamFault: the gateway's answer was not what a client may expect.
    """
    console.print(f"\n[dim]The question, of the scripted model [bold]{MODEL}[/bold]:[/dim] {PROMPT}")
    async with aiohttp.ClientSession(address) as session:
        for example in examples(key):
            console.rule(f"[bold]{example.title}[/bold]  [dim]POST {example.path}[/dim]", align="left")
            await _stream(console, session, example)
    _what_next(console)


async def _stream(console: Console, session: aiohttp.ClientSession, example: Example) -> None:
    began = time.perf_counter()
    first, usage = 0.0, UNKNOWN
    decoder = PROTOCOLS[example.protocol].decoder("penstock", "demo")
    reader = FrameReader()
    async with session.post(example.path, json=example.body, headers=example.headers) as response:
        response.raise_for_status()
        async for chunk in response.content.iter_any():
            for frame in reader.feed(chunk):
                for event in decoder.decode(frame):
                    match event:
                        case Delta():
                            first = first or time.perf_counter()
                            console.print(event.text, end="", markup=False, highlight=False, soft_wrap=True)
                        case UsageUpdate():
                            usage = event.usage
                        case Failure():
                            raise UpstreamFault(event.error)
                        case _:
                            pass
    console.print(f"\n[dim]{_figures(usage, first - began, time.perf_counter() - first)}[/dim]\n")


def _figures(usage: Usage, to_first: float, after: float) -> str:
    """Return time to first token, speed and usage on one line."""
    output = usage.output or 0
    speed = f"{output / after:.0f} tokens/s" if after > 0 else "at once"
    return f"first token {to_first * 1000:.0f} ms · {speed} · {usage.input} tokens in, {output} out"


def _what_next(console: Console) -> None:
    command = command_as_typed()
    told = {
        f"{command} serve": "the gateway, with a key of your own",
        f"OPENAI_API_KEY=... {command} serve": "and real models behind it",
        f"{command} simulate --port 9001": "the scripted provider alone, for load tests",
    }
    width = max(map(len, told))
    lines = (
        "That was a script, word by word through the real gateway. Next:",
        *(f"  [bold]{escape(typed.ljust(width))}[/bold]   {what}" for typed, what in told.items()),
        "Then point any OpenAI, Anthropic or Gemini SDK at the address that it prints.",
    )
    console.print("\n".join(lines), soft_wrap=True, highlight=False)


def command_as_typed() -> str:
    """Return how this command was called, such as `.venv/bin/penstock`, so that what follows can be pasted."""
    typed = sys.argv[0]
    if Path(typed).name == "__main__.py":
        return "python -m penstock"
    found_by_name = Path(typed).name != "penstock" or shutil.which("penstock") == typed
    return "penstock" if found_by_name else typed


async def run() -> None:
    """Start a gateway with a key of its own on a free port, show the examples, and stop it."""
    configure_logs("error")
    key = generate(secrets.randbelow)
    config = Config(server=ServerSettings(port=0))
    keys = KeyDirectory(secrets.token_bytes(32), [StaticKey("demo", key)])
    with tempfile.TemporaryDirectory(prefix="penstock-") as directory:
        database = await Database.open(Path(directory, "penstock.db"))
        service = await start(config, {}, keys, database, Path(directory))
        try:
            await show(Console(), service.address, key.reveal())
        finally:
            await service.close()
            await database.close()
