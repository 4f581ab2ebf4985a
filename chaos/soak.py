"""Streams without end, some of which break and some of whose clients leave: what the gateway takes must not grow.

Clients ask for the same hundred answers again and again, drawn from the seed, so that what a gateway keeps of each
model is there from the beginning. What it keeps of streams for those who come back goes after a few seconds.
"""

import asyncio
import os
import random
import resource
import tempfile
import time
from pathlib import Path

from msgspec import Struct

from chaos.lab import Ask, Lab, draw, laboratory
from chaos.nursery import nursery
from chaos.report import Figure, Options, Report, at_most, count
from penstock.upstreams.transport import KEEPALIVE

MIB = 2**20
KEEP = 5
"""Seconds for which the gateway keeps a stream that is over."""

MODELS = 100
"""Answers that are asked for, again and again."""

WARM_UP = 120.0
"""Seconds that each half must have for its growth to be a promise and not just told: caches fill."""

STEEPEST = 0.1
"""MiB a minute by which what is held at rest may be more after the second half than after the first."""

REST = 10.0
"""Seconds in which the gateway must have given everything back, once nobody asks."""


class Size(Struct, frozen=True):
    """How much is done: streams at the same time, for so many seconds, each of so many at most."""

    streams: int
    seconds: float
    longest: float


class Sample(Struct, frozen=True):
    """What the gateway had at a moment, in seconds: memory in bytes, of it what is held, open files, threads."""

    at: float
    memory: int
    held: int
    files: int
    threads: int


QUICK = Size(streams=40, seconds=25.0, longest=2.0)


def run(options: Options) -> Report:
    """Let streams run for as many minutes as is asked for."""
    return asyncio.run(_run(options))


async def _run(options: Options) -> Report:
    size = QUICK if options.quick else Size(200, options.minutes * 60, 10.0)
    with nursery() as started, tempfile.TemporaryDirectory() as directory:
        async with laboratory(started, Path(directory), f"\n[streams]\nkeep_seconds = {KEEP}\n") as lab:
            return await _soaked(lab, size, options.seed)


async def _soaked(lab: Lab, size: Size, seed: int) -> Report:
    dice = random.Random(seed)
    asks = [draw(dice, f"soak-{number}", size.longest) for number in range(MODELS)]
    await asyncio.gather(*await lab.ask(asks[:1]))
    before, asked, broken = _sample(lab), [1], list[str]()
    samples, rests = list[Sample](), list[Sample]()
    for _ in range(2):
        end = time.monotonic() + size.seconds / 2
        clients = [asyncio.create_task(_client(lab, asks, end, asked, broken, dice)) for _ in range(size.streams)]
        while time.monotonic() < end:
            samples.append(_sample(lab))
            await asyncio.sleep(1)
        await asyncio.gather(*clients)
        rests.append(await _rested(lab, before, asks[:1]))
        asked[0] += 1
    return Report(_figures(lab, size, before, samples, rests, asked[0], len(broken)), broken)


async def _client(
    lab: Lab, asks: list[Ask], end: float, asked: list[int], broken: list[str], dice: random.Random
) -> None:
    """Ask one question after the other."""
    while time.monotonic() < end:
        ask = dice.choice(asks)
        asked[0] += 1
        [client] = await lab.ask([ask])
        heard = await client
        if not heard.ended and not ask.leaves and "fault=" not in ask.settings.replace("fault=no-usage", ""):
            what = f"{ask.protocol} from {ask.provider} was not whole: {ask.model}"
            broken.append(f"{what}: status {heard.status}, {heard.last!r}")


async def _rested(lab: Lab, before: Sample, asks: list[Ask]) -> Sample:
    """Return what the gateway has after a while.

    It closes connections to a provider that were not used for a while with the next answer of that provider, and keeps
    streams for a while.
    """
    await asyncio.sleep(max(KEEPALIVE, KEEP) + 0.5)
    await asyncio.gather(*await lab.ask(asks))
    deadline = time.monotonic() + REST
    while _sample(lab).files > before.files and time.monotonic() < deadline:
        await asyncio.sleep(0.2)
    await asyncio.sleep(KEEP + 0.5)  # that one answer is kept, too
    lab.held()
    await asyncio.sleep(1)
    return _sample(lab)


def _sample(lab: Lab) -> Sample:
    process = Path(f"/proc/{lab.pid}")
    memory = int((process / "statm").read_text().split()[1]) * resource.getpagesize()
    return Sample(
        time.monotonic(), memory, lab.held(), len(os.listdir(process / "fd")), len(os.listdir(process / "task"))
    )


def _figures(
    lab: Lab, size: Size, before: Sample, samples: list[Sample], rests: list[Sample], asked: int, broken: int
) -> list[Figure]:
    first, rested = rests
    more = (rested.held - first.held) * 60 / (size.seconds / 2) / MIB
    told = at_most("held more after the second half", more, STEEPEST, "MiB a minute")
    return [
        Figure(f"streams asked for in {size.seconds:.0f} s, {size.streams} at a time", asked),
        count("of them broken by nobody's will", broken),
        count("requests in the books", _number(lab, "requests"), asked),
        count("attempts open in the books", _number(lab, "attempts WHERE state = 'open'")),
        count("budgets of which something is held", _number(lab, "budgets WHERE held <> 0")),
        count("slots that are taken", _number(lab, "rates WHERE kind = 'streams' AND value <> 0")),
        Figure("memory at first, MiB", round(before.memory / MIB, 1)),
        Figure("memory at most, MiB", round(max(one.memory for one in samples) / MIB, 1)),
        Figure("of it held at most, MiB", round(max(one.held for one in samples) / MIB, 2)),
        Figure("held at rest after the first half, MiB", round(first.held / MIB, 2)),
        Figure("held at rest after the second half, MiB", round(rested.held / MIB, 2)),
        told if size.seconds / 2 >= WARM_UP else Figure(told.name, told.value),
        Figure("files open at most", max(one.files for one in samples)),
        at_most("files open at rest, more than at first", rested.files - before.files, 2, "files"),
        at_most("threads at rest, more than at first", rested.threads - before.threads, 8, "threads"),
    ]


def _number(lab: Lab, rows: str) -> int:
    return int(lab.query(f"SELECT count(*) AS n FROM {rows}")[0]["n"])
