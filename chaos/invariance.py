"""How bytes arrive changes nothing about what they say.

The same stream comes from the provider whole, and then late, by fits and starts, in pieces of few bytes, and with signs
of life between its events. The client's bytes must be the same ones; of the signs of life only those may be seen that
every SDK bears.
"""

import asyncio
import re

import aiohttp
from msgspec import Struct

from bench.streams import PROTOCOLS
from chaos import upstream
from chaos.asking import ask
from chaos.gateway import serving
from chaos.proxy import draw_harmless
from chaos.report import Figure, Options, Report, count

GAP = 10.0
"""Seconds that the provider may be silent: more than any plan makes it."""

TOGETHER = 16
"""Streams at the same time."""

QUICK, FULL = 12, 200
"""Plans for each lane."""

# What is another for each answer: the model that was asked for, the time, and the ids of the gateway's own making.
_MADE = (
    (re.compile(rb"(text|calls)(-beats)?(\.harmless-\d+)?\."), rb"\1."),
    (re.compile(rb'"(created|created_at)":[\d.]+'), rb'"\1":0'),
    (re.compile(rb"\b((?:chatcmpl|resp|msg|call|toolu|fc|rs|req|gen)[-_])\w+"), rb"\1id"),
    (re.compile(rb'"(responseId|id)":"[\w-]+"'), rb'"\1":"id"'),
)
_SIGNS = re.compile(rb'(?m)^(?:event: ping\ndata: \{"type": ?"ping"\}\n\n|(?<=\n\n)\n+)')


class Lane(Struct, frozen=True):
    """Whose stream reaches whom."""

    client: str
    provider: str
    fixture: str

    @property
    def name(self) -> str:
        """The lane in words."""
        return f"{self.client} <- {self.provider}, {self.fixture}"

    def model(self, number: int | None = None, *, beats: bool = False) -> str:
        """Return the model that plays the lane's fixture, through the plan of a number."""
        played = upstream.model(self.fixture, "" if number is None else "harmless", number or 0, beats=beats)
        return f"{upstream.PROVIDERS[self.provider]}/{played}"


LANES = [
    Lane(client, provider, fixture) for fixture in upstream.FIXTURES for provider in PROTOCOLS for client in PROTOCOLS
]


def same(body: bytes) -> bytes:
    """Return an answer without what is made anew each time, and without signs of life."""
    for pattern, replacement in _MADE:
        body = pattern.sub(replacement, body)
    return _SIGNS.sub(b"", body)


async def compare(lanes: list[Lane], seed: int, number: int) -> dict[Lane, list[str]]:
    """Return the complaints of each lane, after so many plans."""
    together = asyncio.Semaphore(TOGETHER)
    async with upstream.playing() as port, serving(port, GAP) as address, aiohttp.ClientSession(address) as session:

        async def fetch(lane: Lane, model: str) -> bytes:
            async with together, ask(session, lane.client, model) as response:
                return same(await response.read())

        async def complaints(lane: Lane) -> list[str]:
            expected = await fetch(lane, lane.model())
            found = []
            for plan in range(seed * 1000, seed * 1000 + number):
                beats = bool(plan % 2)
                body = await fetch(lane, lane.model(plan, beats=beats))
                if body != expected:
                    how = f"{draw_harmless(plan)}{', with signs of life' if beats else ''}"
                    found.append(f"{lane.name}, {how}: {_difference(body, expected)}")
            return found

        return dict(zip(lanes, await asyncio.gather(*map(complaints, lanes)), strict=True))


def run(options: Options) -> Report:
    """Compare what arrives under many plans with what arrives under none, for all pairs of protocols."""
    number = QUICK if options.quick else FULL
    found = asyncio.run(compare(LANES, options.seed, number))
    failures = [complaint for complaints in found.values() for complaint in complaints]
    figures = [
        Figure("pairs of protocols and streams", len(LANES)),
        Figure("answers compared", number * len(LANES)),
        count("answers with other bytes", len(failures)),
    ]
    return Report(figures, failures)


def _difference(body: bytes, expected: bytes) -> str:
    pairs = enumerate(zip(body, expected, strict=False))
    at = next((at for at, (a, b) in pairs if a != b), min(len(body), len(expected)))
    return f"different from byte {at} on: {body[at : at + 60]!r} instead of {expected[at : at + 60]!r}"
