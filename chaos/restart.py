"""A gateway killed with many streams under way, and the next one asked for each of them.

Answers are written down (`journal = "sqlite"`). Each stream must then be readable to the last event that was written,
and say that it was interrupted, or be gone. None may have a hole, in whichever way it is asked for; only its key may
read it; and no provider is called again.
"""

import asyncio
import random
import tempfile
from pathlib import Path

from chaos.report import Figure, Options, Report, count, say
from tests.cli.killing import Left, killed

QUICK, FULL = (20, 1), (200, 5)
"""Streams under way, and how often that many are killed."""

LONGEST = 5.0
"""Seconds that streams have been under way, at most."""


def run(options: Options) -> Report:
    """Kill gateways, and come back to their streams."""
    streams, kills = QUICK if options.quick else FULL
    draw, left = random.Random(options.seed), list[Left]()
    for number in range(kills):
        with tempfile.TemporaryDirectory() as directory:
            left.append(asyncio.run(killed(Path(directory), streams, draw.uniform(2.0, LONGEST))))
        say(f"restart: {number + 1} of {kills} killed")
    return _report(streams, left)


def _report(streams: int, left: list[Left]) -> Report:
    broken = [f"kill {number}, {why}" for number, one in enumerate(left) for why in one.broken]
    read_on, gone = sum(one.read_on for one in left), sum(one.gone for one in left)
    figures = [
        Figure(f"gateways killed, each with {streams} streams under way", len(left)),
        Figure("streams read to the last event that was written", read_on),
        Figure("streams that are gone, and said to be", gone),
        count("of all streams, those accounted for", read_on + gone, streams * len(left)),
        count("with a hole, another's, or with another end", len({why.rpartition(":")[0] for why in broken})),
        Figure("events read, all of them in their place", sum(one.events for one in left)),
        Figure(
            "most events of a stream that its client had, and that were not written", max(one.behind for one in left)
        ),
        count("calls of the provider", sum(one.calls for one in left), streams * len(left)),
    ]
    return Report(figures, broken, ["a thousand events a second in all; what was sent is written within 0.1 s"])
