"""Streams whose connection breaks again and again, and that are read on: all of each comes, and is paid for once.

Clients come back by the request that they send again with its idempotency key, or by the id of the stream, and go on
behind the last event that they have. In the end each stream is asked for once more, and must be the same bytes.

Then two hundred come back at once, to answers of 256 KiB each, and it is measured how long each waits for its first
byte. Their connections are open, and they are in a process of their own.
"""

import asyncio
import statistics
import tempfile
from pathlib import Path

import structlog

from chaos.report import Figure, Options, Report, at_most, count
from tests.cli.clients_at_once import all_at_once
from tests.cli.coming_back import READERS, kept, resident
from tests.server.dropping import WORDS, long_stream, many
from tests.server.hostile.process import percentile
from tests.server.reading import calls_told, read
from tests.serving import CALLS, Gateway, replaying, serving

QUICK, FULL = 100, 1000
TOGETHER = 100
"""Streams at the same time."""

DROPS = 3
"""Breaks of the connection of each stream."""

PAUSE = 0.02
"""Seconds between two events."""

ROUNDS = 9
"""How often all come back at once; what counts is the median."""

LONGEST_WAIT = 50
"""Milliseconds to the first byte, on a machine that does nothing else."""

MOST_GROWN = 64
"""MiB."""


def run(options: Options) -> Report:
    """Drop streams, and come back to them."""
    report = asyncio.run(_run(options.seed, QUICK if options.quick else FULL))
    with tempfile.TemporaryDirectory() as directory:
        waits, grown = asyncio.run(_at_once(Path(directory), 1 if options.quick else ROUNDS))
    figures = [figure for way, (seconds, worked) in waits.items() for figure in _wait(way, seconds, worked, options)]
    figures.append(at_most(f"more memory after all {READERS} have come back", grown / 2**20, MOST_GROWN, "MiB"))
    busy = "where the wait is longer than the time of a core, the gateway waited for one: something else ran, too"
    return Report(report.figures + figures, report.failures, [*report.notes, busy])


async def _run(seed: int, streams: int) -> Report:
    broken, calls, books = list[str](), 0, list[str]()
    for first in range(0, streams, TOGETHER):
        with structlog.testing.capture_logs() as lines:
            async with replaying(long_stream(PAUSE)) as upstream, serving(lab=upstream.openai) as gateway:
                broken += await _dropped(gateway, seed + first, f"seed {seed + first}")
                calls += len(upstream.requests)
        books += [str(call["end"]) for call in calls_told(lines)]
    figures = [
        Figure(f"streams, each dropped {DROPS} times", streams),
        count("of them not whole, or with something twice", sum("again" not in why for why in broken)),
        count("of them other bytes when asked for again", sum("again" in why for why in broken)),
        count("calls of the provider", calls, streams),
        count("calls in the log that were completed", books.count("completed"), streams),
        at_most("calls in the log that ended otherwise", len(books) - books.count("completed"), 0, "calls"),
    ]
    return Report(figures, broken, [f"{TOGETHER} at a time; all four protocols by turns, by key and by id"])


async def _at_once(directory: Path, rounds: int) -> tuple[dict[str, tuple[float, float]], int]:
    """Return the p99 to the first byte and what the gateway worked for it, by way to come back; and how it has grown.

    Both are seconds, and the growth is bytes of memory.
    """
    async with kept(directory) as (process, answers, _):
        before, waits = resident(process), dict[str, tuple[float, float]]()
        for way in answers[0].ways_back():
            requests = [answer.ways_back()[way] for answer in answers]
            seen = [await all_at_once(process.address, process.process.pid, requests) for _ in range(rounds)]
            p99 = statistics.median(percentile(one.first, 0.99) for one in seen)
            waits[way] = p99, statistics.median(one.worked for one in seen)
        return waits, resident(process) - before


def _wait(way: str, seconds: float, worked: float, options: Options) -> list[Figure]:
    """Return the figures of a wait: a short run, beside the suite, only tells them."""
    name, found = f"p99 to the first byte of {READERS} at once, by {way}", seconds * 1000
    told = Figure(f"{name}, ms", round(found, 1)) if options.quick else at_most(name, found, LONGEST_WAIT, "ms")
    return [told, Figure("time of a core that the gateway used until then, ms", round(worked * 1000, 1))]


async def _dropped(gateway: Gateway, seed: int, where: str) -> list[str]:
    """Return what was wrong with some streams."""
    broken = list[str]()
    for name, (client, body) in (await many(gateway, TOGETHER, DROPS, seed)).items():
        if any(body.count(b'"w%d "' % number) != 1 for number in range(WORDS)):
            broken.append(f"{where}, {name}, {client}: words are missing, or come twice")
        again = await read(gateway.post(*CALLS[client], idempotency_key=name))
        if again.body.replace(b"\r\n", b"\n") != body:
            broken.append(f"{where}, {name}, {client}: other bytes when asked for again")
    return broken
