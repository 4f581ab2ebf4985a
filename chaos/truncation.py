"""No silent truncation: an answer that broke is an exception in every SDK, and one that ended well is not.

A provider's stream is cut behind every byte, in every way that a stream can be cut, and read through the gateway with
the official SDKs. Before the payload that says how the answer ended, each cut must be raised, by an exception that
callers of the SDK expect, and nobody may have been told a finish; from that payload on, nothing may be raised.
"""

import asyncio
import functools
import logging
import random
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from msgspec import Struct, field

from bench.streams import ANTHROPIC, CHAT, GEMINI, RESPONSES
from chaos import typescript, upstream
from chaos.gateway import serving
from chaos.readers import FORMS, Heard, Readers, readers
from chaos.report import Figure, Options, Report, count, say

WAYS = ("reset", "fin", "end", "stall", "half-close")
"""How a stream is cut; `end` is a complete body without the rest of the events."""

GAP = 2.0
"""Seconds that the provider may be silent: what ends a stall."""

PATIENCE = 30.0
"""Seconds after which a reader hangs."""

TOGETHER = 8
"""Streams at the same time; those that stall only wait, so there may be STALLED more of them."""

STALLED = 32

SUCCESS = "looks like a success"
INVENTED = "was told a finish"
CHOKED = "raises what no caller expects"
UNSAID = "heard what was never said"
ALARM = "is called a failure though it ended well"
LACKING = "ended well and is not whole"
HANGS = "hangs"
COMPLAINTS = (SUCCESS, INVENTED, CHOKED, UNSAID, ALARM, LACKING, HANGS)


class Lane(Struct, frozen=True):
    """Whose stream is read by whom."""

    client: str
    provider: str
    fixture: str

    @property
    def name(self) -> str:
        """The lane in words."""
        return f"{self.client} <- {self.provider}, {self.fixture}"

    def model(self, ending: str = "", at: int = 0) -> str:
        """Return the name under which a client asks for the fixture, cut so."""
        return f"{upstream.PROVIDERS[self.provider]}/{upstream.model(self.fixture, ending, at)}"

    @property
    def good_from(self) -> int:
        """Bytes of the stream that are an answer that ended well."""
        return upstream.good_from(self.provider, self.fixture)


PAIRS = (
    (CHAT, CHAT),
    (RESPONSES, RESPONSES),
    (ANTHROPIC, ANTHROPIC),
    (GEMINI, GEMINI),
    (CHAT, ANTHROPIC),
    (RESPONSES, GEMINI),
    (ANTHROPIC, CHAT),
    (GEMINI, RESPONSES),
)
"""Client and provider: each protocol passed through, and each translated, on both sides once."""

LANES = tuple(Lane(*pair, fixture) for fixture in upstream.FIXTURES for pair in PAIRS)


class Case(Struct, frozen=True):
    """One cut, and the form of the SDK that reads it."""

    way: str
    at: int
    form: str

    def __str__(self) -> str:
        """Return the case in words."""
        return f"{self.way}@{self.at}, {self.form}"


class Found(Struct):
    """What a lane, or many, came to."""

    raised: int = 0
    whole: int = 0
    exceptions: Counter[str] = field(default_factory=Counter)
    complaints: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    def note(self, lane: Lane, case: str, at: int, heard: Heard, complaint: str) -> None:
        """Note what came of a case."""
        if complaint:
            self.complaints[complaint] += 1
            heard_of = (
                f"{heard.raised or 'no exception'}, finish {heard.finish or 'none'}, {len(heard.text)} characters"
            )
            self.failures.append(f"{lane.name}, {case} of {lane.good_from}: {complaint} ({heard_of}) {heard.message}")
        elif at < lane.good_from:
            self.raised += 1
            self.exceptions[heard.raised] += 1
        else:
            self.whole += 1

    def add(self, other: "Found") -> None:
        """Add what others came to."""
        self.raised += other.raised
        self.whole += other.whole
        self.exceptions += other.exceptions
        self.complaints += other.complaints
        self.failures += other.failures


def edges(lane: Lane) -> list[int]:
    """Return the bytes behind which every cut is tried: the first, and those about the end of the answer."""
    size = len(upstream.body(lane.provider, lane.fixture))
    return [at for at in (0, lane.good_from - 1, lane.good_from) if at < size]


def all_cases(lane: Lane) -> list[Case]:
    """Return a cut of each kind behind every byte. Forms take turns: of the cuts at a byte each has another reader."""
    size = len(upstream.body(lane.provider, lane.fixture))
    return [Case(way, at, FORMS[(at + turn) % len(FORMS)]) for at in range(size) for turn, way in enumerate(WAYS)]


def drawn_cases(lane: Lane, seed: int, number: int) -> list[Case]:
    """Return each cut at the edges; one cut behind each event, and behind so many bytes that are drawn."""
    drawn = random.Random(f"{seed} {lane.name}")
    size = len(upstream.body(lane.provider, lane.fixture))
    chosen = [at for at in upstream.boundaries(lane.provider, lane.fixture) if at < size]
    chosen += drawn.sample(range(size), number)
    at_edges = [Case(way, at, drawn.choice(FORMS)) for at in edges(lane) for way in WAYS]
    return at_edges + [Case(drawn.choice(WAYS), at, drawn.choice(FORMS)) for at in chosen]


def judge(heard: Heard, whole: Heard, ended_well: bool) -> str:
    """Return what is wrong with what a reader made of a stream, or nothing.

    Args:
        heard: what it made of it.
        whole: what it makes of the stream when nothing is cut.
        ended_well: whether the cut came behind the end of the answer.
    """
    if heard.raised == HANGS:
        return HANGS
    if ended_well:
        return ALARM if heard.raised else "" if heard == whole else LACKING
    if not heard.raised:
        return SUCCESS
    if heard.finish:
        return INVENTED
    if not heard.honest:
        return CHOKED
    return "" if whole.text.startswith(heard.text) else UNSAID


async def read(cases: dict[Lane, list[Case]]) -> dict[Lane, Found]:
    """Cut each lane so often, and return what came of it. TypeScript is asked at the edges of each lane."""
    found = {lane: Found() for lane in cases}
    async with upstream.playing() as port, serving(port, GAP) as address, readers(address) as sdks:
        reading = _Reading(sdks)
        wholes = {lane: await reading.whole(lane) for lane in cases}
        await asyncio.gather(*(reading.lane(lane, wholes[lane], cases[lane], found[lane]) for lane in cases))
        asked = [(lane, at) for lane in cases for at in edges(lane)]
        answers = await typescript.read(address, [(lane.client, lane.model("fin", at)) for lane, at in asked])
    for (lane, at), heard in zip(asked, answers, strict=bool(answers)):
        ended_well = at >= lane.good_from
        found[lane].note(lane, f"fin@{at}, typescript", at, heard, judge(heard, heard, ended_well))
    return found


class _Reading:
    """The cuts that are under way."""

    def __init__(self, sdks: Readers) -> None:
        self._sdks = sdks
        self._running, self._stalled = asyncio.Semaphore(TOGETHER), asyncio.Semaphore(STALLED)

    async def whole(self, lane: Lane) -> Heard:
        """Return what SDKs make of a lane that is not cut. SDKs build their models when they first need them."""
        whole, *others = [await self._sdks.read(lane.client, form, lane.model()) for form in FORMS]
        assert whole.finish, f"{lane.name}: {whole}"
        assert all(other == whole for other in others), f"{lane.name}: {whole} {others}"
        return whole

    async def lane(self, lane: Lane, whole: Heard, cases: list[Case], found: Found) -> None:
        """Cut one lane."""
        for case, heard in zip(cases, await asyncio.gather(*(self._read(lane, case) for case in cases)), strict=True):
            found.note(lane, str(case), case.at, heard, judge(heard, whole, case.at >= lane.good_from))

    async def _read(self, lane: Lane, case: Case) -> Heard:
        async with self._stalled if case.way == "stall" else self._running:
            try:
                async with asyncio.timeout(PATIENCE):
                    return await self._sdks.read(lane.client, case.form, lane.model(case.way, case.at))
            except TimeoutError:
                return Heard(raised=HANGS)


def check(lane: Lane, seed: int, number: int | None) -> Found:
    """Cut one lane in a loop of its own: behind every byte, or if a number is given as `drawn_cases`."""
    logging.getLogger("asyncio").setLevel(
        logging.CRITICAL
    )  # one SDK leaves its connection to the collector when it raises
    cases = all_cases(lane) if number is None else drawn_cases(lane, seed, number)
    return asyncio.run(read({lane: cases}))[lane]


def run(options: Options) -> Report:
    """Cut all lanes: behind every byte, or if it has to be quick behind every event and some bytes that are drawn."""
    found = Found()
    figures: list[Figure] = []
    with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as pool:
        each = functools.partial(check, seed=options.seed, number=40 if options.quick else None)
        for lane, result in zip(LANES, pool.map(each, LANES), strict=True):
            figures.append(Figure(lane.name, f"{result.raised} raised, {result.whole} whole"))
            found.add(result)
            say(f"{lane.name}: {result.raised} raised, {result.whole} whole, {len(result.failures)} broken")
    return Report([*figures, *broken(found)], found.failures, notes(found))


def broken(found: Found) -> list[Figure]:
    """Return how often each promise was broken."""
    return [count(f"a cut that {complaint}", found.complaints[complaint]) for complaint in COMPLAINTS]


def notes(found: Found) -> list[str]:
    """Return what was raised, and what was not looked at."""
    said = ["raised: " + ", ".join(f"{number} x {name}" for name, number in found.exceptions.most_common())]
    return said if typescript.node() else [*said, "the TypeScript SDKs are not installed and were not asked"]
