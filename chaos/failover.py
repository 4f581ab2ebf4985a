"""What one target fails at before its first output, another answers, and nobody notices.

A thousand streams for each way to fail, with a name that stands for two targets: the first always fails, the second is
well. Each client must get the whole answer, with one beginning and one end. Then both fail, and what is asked again and
again of them must be little more than what clients ask.
"""

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

import structlog

from chaos.report import Figure, Options, Report, at_most, count
from penstock.upstreams.settings import AliasSettings
from penstock.upstreams.timeouts import Timeouts
from tests.gateway.test_failover import FAILURES
from tests.server.canned import STREAMS
from tests.serving import Act, Gateway, replaying, serving, stream

QUICK, FULL = 100, 1000
"""Streams for each way to fail."""

TOGETHER = 10
"""Streams at the same time, once the first have shown that a target fails."""

RATE = 200.0
"""Requests a second in an outage."""

OUTAGE, SHORT_OUTAGE = 60.0, 5.0
"""Seconds of an outage."""

MOST, BESIDES, EACH = 1.1, 3, 10.0
"""Attempts for each request in an outage, and those that there may be besides in each so many seconds, which begin with
the first of them: where few ask, a tenth is too little to find out anything."""

FIRST_EVENT = 0.5
"""Seconds for which a target may be silent."""

_ALIAS = AliasSettings(targets=("lab/m", "spare/m"))
_BODY = {"model": "smart", "stream": True, "messages": [{"role": "user", "content": "hi"}]}


def run(options: Options) -> Report:
    """Let targets fail in every way."""
    number = QUICK if options.quick else FULL
    failures: list[str] = []
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    for name, acts in FAILURES.items():
        failures += [f"{name}: {found}" for found in asyncio.run(_tried(acts, number))]
    asked = number * len(FAILURES)
    figures = [count("streams", asked, asked), count("of them not answered as if all were well", len(failures))]
    return Report(figures + asyncio.run(_outage(SHORT_OUTAGE if options.quick else OUTAGE)), failures)


async def _outage(seconds: float) -> list[Figure]:
    """Ask while both targets answer everything with a 503; return how often they were asked."""
    acts = FAILURES["5xx"]
    async with (
        replaying(acts) as one,
        replaying(acts) as other,
        serving(lab=one.openai, spare=other.openai, aliases={"smart": _ALIAS}) as gateway,
    ):
        begun = asyncio.get_running_loop().time()
        asked = list[asyncio.Task[int]]()
        while (passed := asyncio.get_running_loop().time() - begun) < seconds:
            asked += [asyncio.create_task(_status(gateway)) for _ in range(int(passed * RATE) - len(asked))]
            await asyncio.sleep(1 / RATE)
        told = Counter(await asyncio.gather(*asked))
        lasted = asyncio.get_running_loop().time() - begun
    attempts = len(one.requests) + len(other.requests)
    return [
        Figure(f"requests in an outage of {seconds:.0f} s", len(asked)),
        count("of them told a 503", told[503], len(asked)),
        at_most("attempts for them", attempts, MOST * len(asked) + BESIDES * (lasted // EACH + 1), "calls"),
        Figure("attempts for each", round(attempts / len(asked), 3)),
    ]


async def _status(gateway: Gateway) -> int:
    async with gateway.post("/v1/chat/completions", _BODY) as response:
        await response.read()
        return response.status


async def _tried(acts: Sequence[Act], number: int) -> list[str]:
    """Return what was wrong with the answers while the first target fails in this way."""
    async with replaying(acts) as one, replaying(stream(*STREAMS["openai-chat"])) as other:
        timeouts = Timeouts(first_event=FIRST_EVENT)
        async with serving(lab=one.openai, spare=other.openai, aliases={"smart": _ALIAS}, timeouts=timeouts) as gateway:
            found = [await _wrong(gateway) for _ in range(TOGETHER)]
            for _ in range(number // TOGETHER - 1):
                found += await asyncio.gather(*(_wrong(gateway) for _ in range(TOGETHER)))
    return [why for why in found if why]


async def _wrong(gateway: Gateway) -> str:
    """Return what is wrong with one answer; empty if nothing."""
    body = b""
    async with gateway.post("/v1/chat/completions", _BODY) as response:
        with contextlib.suppress(Exception):
            async for piece in response.content.iter_any():
                body += piece
        if response.status != 200:
            return f"status {response.status}"
    chunks: list[dict[str, Any]] = [json.loads(line[6:]) for line in body.split(b"\n") if line.startswith(b"data: {")]
    deltas = [choice["delta"] for chunk in chunks for choice in chunk.get("choices", [])]
    text = "".join(delta.get("content") or "" for delta in deltas)
    if text != "Hello world" or body.count(b"[DONE]") != 1:
        return f"the answer was {text!r}"
    beginnings = sum("role" in delta for delta in deltas)
    return "" if beginnings == 1 else f"it began {beginnings} times"
