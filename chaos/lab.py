"""A gateway that is killed and started again, its simulator, which is not, and the clients of both.

Everything that a client asks is drawn from a random number generator, and has a tag in its model name: by that a call
is found in the simulator's journal and in the gateway's ledger.
"""

import asyncio
import contextlib
import os
import random
import re
import signal
import sqlite3
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from msgspec import Struct

from bench.streams import ANTHROPIC, CHAT, GEMINI, RESPONSES
from chaos import held
from chaos.nursery import Nursery

PROVIDERS = {CHAT: "lab-chat", RESPONSES: "lab-responses", ANTHROPIC: "lab-anthropic", GEMINI: "lab-gemini"}
KEYS = {
    "free": "",
    "money": 'budget = { usd = "1000000", per = "total" }',
    "tokens": 'budget = { tokens = 1000000000000, per = "month" }\nstreams = 100000',
    "limited": "streams = 100000\nrequests_per_minute = 100000000\ntokens_per_minute = 100000000000",
}
"""What each key may do: more than all that is asked, but it is counted."""

INPUT, OUTPUT = 1_000, 5_000
"""What a token costs, in nano-dollars."""

PATIENCE = 20.0
"""Seconds in which a gateway must listen."""

SHOWN = 200
"""Bytes of the end of an answer that are kept to be shown."""

_ENDS = {CHAT: b"[DONE]", RESPONSES: b"response.completed", ANTHROPIC: b"message_stop", GEMINI: b'"finishReason"'}
_LISTENS = re.compile(r"listens on (http://\S+)")
_SIMULATES = re.compile(r"simulator on (http://[\d.]+:\d+)")


class Ask(Struct, frozen=True):
    """One call of a client.

    Attributes:
        tag: names it.
        protocol: what the client speaks.
        provider: who is asked.
        key: whose budget pays.
        stream: whether the answer is streamed.
        settings: how the simulator answers.
        leaves: the client goes away when it has this many bytes; 0: it stays.
    """

    tag: str
    protocol: str
    provider: str
    key: str
    stream: bool
    settings: str
    leaves: int

    @property
    def model(self) -> str:
        """The model asked for."""
        return f"{self.provider}/poet@tag={self.tag},{self.settings}"


class Heard(Struct):
    """What a client heard: whether its answer ended well, its status, and how it ended for those who look at it."""

    ended: bool = False
    status: int = 0
    last: bytes = b""


def draw(rng: random.Random, tag: str, longest: float) -> Ask:
    """Return a call that takes no more than `longest` seconds or so."""
    protocol, upstream = rng.choice(list(PROVIDERS)), rng.choice(list(PROVIDERS))
    gap, seconds = rng.uniform(0.04, 0.15), rng.uniform(0.0, longest)
    settings = f"ttft={rng.choice([0, 0, rng.uniform(0, 0.5)]):.3f},gap={gap:.3f},length={1 + int(seconds / gap)}"
    chance = rng.random()
    leaves = rng.randint(1, 4000) if chance < 0.1 else 0
    if 0.1 <= chance < 0.2:
        settings += f",fault={rng.choice(['cut', 'end', 'error-mid'])},fault_at={rng.randint(1, 20)}"
    elif 0.2 <= chance < 0.25 and upstream == CHAT:
        settings += ",fault=no-usage"
    return Ask(tag, protocol, PROVIDERS[upstream], rng.choice(list(KEYS)), rng.random() < 0.85, settings, leaves)


class Lab:
    """State of the gateway and its books, in a directory of their own."""

    def __init__(self, nursery: Nursery, directory: Path) -> None:
        self._nursery = nursery
        self._directory = directory
        self._journal = directory / "calls.jsonl"
        self._read = 0
        self._pid = 0
        self._starts = 0
        self.address = ""

    @property
    def pid(self) -> int:
        """The process id of the gateway that was started last."""
        return self._pid

    async def begin(self, more: str) -> None:
        """Start the simulator, and write the config, with more at its end."""
        log = self._directory / "simulator.log"
        self._nursery.start(["simulate", "--port", "0", "--log", str(self._journal)], {}, log)
        simulator = await self._said(log, _SIMULATES)
        (self._directory / "penstock.toml").write_text(_config(simulator) + more)

    def start(self) -> None:
        """Start the gateway."""
        self._starts += 1
        arguments = ["serve", "--config", str(self._directory / "penstock.toml"), "--log-level", "warning"]
        self._pid = self._nursery.start(arguments, {"PENSTOCK_DATA_DIR": str(self._directory)}, self.log)

    @property
    def log(self) -> Path:
        """What the gateway that was started last prints."""
        return self._directory / f"gateway-{self._starts}.log"

    async def listening(self) -> float:
        """Wait until the gateway listens; return how many seconds that took."""
        began = time.monotonic()
        self.address = await self._said(self.log, _LISTENS)
        return time.monotonic() - began

    def held(self) -> int:
        """Return the bytes that the gateway held when this was called before, and let it count again."""
        os.kill(self._pid, held.ASK)
        return held.read(Path(f"{self.log}.held"))

    def kill(self) -> None:
        """End the gateway as a crash does."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)
        self._nursery.wait(self._pid)

    async def terminate(self) -> int:
        """End the gateway as a supervisor does; return its exit status."""
        os.kill(self._pid, signal.SIGTERM)
        return await asyncio.to_thread(self._nursery.wait, self._pid)

    async def ask(self, asks: list[Ask]) -> list[asyncio.Task[Heard]]:
        """Make calls at the same time."""
        return [asyncio.create_task(_ask(self.address, ask)) for ask in asks]

    async def served(self) -> dict[str, dict[str, Any]]:
        """Return what the simulator served since it was asked last, by model, when all of it is over."""
        came: list[dict[str, Any]] = []
        over: dict[str, dict[str, Any]] = {}
        async with asyncio.timeout(PATIENCE):
            while True:
                with self._journal.open("rb") as file:
                    file.seek(self._read)
                    lines = file.read()
                for line in lines[: lines.rfind(b"\n") + 1].splitlines():
                    call = msgspec.json.decode(line)
                    if call["ended"] == "running":
                        came.append(call)
                    else:
                        over[call["id"]] = call
                self._read += lines.rfind(b"\n") + 1
                if all(call["id"] in over for call in came):
                    break
                await asyncio.sleep(0.02)
        return {call["model"]: over[call["id"]] | {"came": call["at"]} for call in came}

    def query(self, query: str, *values: object) -> list[dict[str, Any]]:
        """Return rows of the gateway's database."""
        with contextlib.closing(sqlite3.connect(self._directory / "penstock.db", timeout=PATIENCE)) as connection:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute(query, values)]

    async def _said(self, log: Path, pattern: re.Pattern[str]) -> str:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            found = pattern.search(log.read_text()) if log.exists() else None
            if found:
                return found[1]
            await asyncio.sleep(0.01)
        raise TimeoutError(f"it does not start: {log.read_text()[-2000:]}")


@contextlib.asynccontextmanager
async def laboratory(nursery: Nursery, directory: Path, more: str = "") -> AsyncIterator[Lab]:
    """Run a gateway that listens, with more in its configuration, and its simulator."""
    lab = Lab(nursery, directory)
    await lab.begin(more)
    lab.start()
    await lab.listening()
    try:
        yield lab
    finally:
        lab.kill()


def _config(simulator: str) -> str:
    lines = ["[server]", "port = 0", "[admin]", "enabled = false"]
    for name, terms in KEYS.items():
        lines += ["[[keys]]", f'name = "{name}"', f'key = "chaos-{name}-0123456789"', terms]
    for protocol, name in PROVIDERS.items():
        base = f"{simulator}/v1" if protocol in {CHAT, RESPONSES} else simulator
        lines += [f"[providers.{name}]", f'protocol = "{protocol}"', f'base_url = "{base}"', 'api_key = "none"']
    lines += ['[prices."lab-*/*"]', 'input = "1"', 'output = "5"']
    return "\n".join(lines)


def _request(ask: Ask) -> tuple[str, dict[str, Any]]:
    messages = [{"role": "user", "content": "a poem about " + ask.tag}]
    match ask.protocol:
        case "openai-chat":
            return "/v1/chat/completions", {"model": ask.model, "stream": ask.stream, "messages": messages}
        case "openai-responses":
            return "/v1/responses", {"model": ask.model, "stream": ask.stream, "input": messages, "store": False}
        case "anthropic":
            told = {"model": ask.model, "stream": ask.stream, "max_tokens": 4096, "messages": messages}
            return "/anthropic/v1/messages", told
        case _:
            verb = "streamGenerateContent?alt=sse" if ask.stream else "generateContent"
            contents = [{"role": "user", "parts": [{"text": messages[0]["content"]}]}]
            return f"/v1beta/models/{ask.model}:{verb}", {"contents": contents}


async def _ask(address: str, ask: Ask) -> Heard:
    heard, body = Heard(), b""
    path, content = _request(ask)
    headers = {"authorization": f"Bearer chaos-{ask.key}-0123456789"}
    with contextlib.suppress(aiohttp.ClientError, ConnectionError):
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as session,
            session.post(address + path, json=content, headers=headers) as response,
        ):
            heard.status = response.status
            async for chunk in response.content.iter_any():
                body += chunk
                heard.last = body[-SHOWN:]
                if ask.leaves and len(body) >= ask.leaves:
                    return heard
            heard.ended = response.status == 200 and (not ask.stream or _ENDS[ask.protocol] in body)
    return heard
