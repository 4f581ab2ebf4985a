"""Where the gateway's CPU time goes: `python -m bench.profile`.

Runs one scenario of the benchmark against a gateway that looks at its own stack as its CPU time passes (ITIMER_PROF,
a sample each few milliseconds of CPU), which disturbs it far less than a tracing profiler does. Time in C code counts
for the Python line that called it; the event loop's own time counts for `run`, and so does that of other threads for
whatever the loop was doing. The tree has our own functions only: what a library does counts for whoever called it.
"""

import argparse
import os
import runpy
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from types import FrameType

import msgspec
import uvloop
from rich.console import Console
from rich.table import Table

from bench import measure, stack
from bench.measure import FULL, Pair
from bench.options import parse_pair
from bench.report import PER_EVENT, PER_REQUEST
from bench.stack import LOAD_CORE, PROXY_CORE, Server

SCENARIOS = {PER_EVENT: measure.cpu_per_event, PER_REQUEST: measure.cpu_per_request}

_PERIOD = 0.001

_OURS = "penstock/"


class Samples(msgspec.Struct, frozen=True):
    """How often each function was seen: running itself, running at all; each line running itself; and each stack.

    Stacks are of the gateway's own functions, outermost first, joined by line ends.
    """

    count: int = 0
    own: dict[str, int] = {}
    total: dict[str, int] = {}
    lines: dict[str, int] = {}
    stacks: dict[str, int] = {}


class Sampler:
    """Takes samples."""

    def __init__(self) -> None:
        self._count = 0
        self._own: Counter[str] = Counter()
        self._total: Counter[str] = Counter()
        self._lines: Counter[str] = Counter()
        self._stacks: Counter[str] = Counter()

    def add(self, frame: FrameType | None) -> None:
        """Note a stack."""
        if frame is None:
            return
        self._count += 1
        self._own[_function(frame)] += 1
        self._lines[f"{_place(frame)}:{frame.f_lineno}"] += 1
        stack: list[str] = []
        while frame is not None:
            stack.append(_function(frame))
            frame = frame.f_back
        self._total.update(set(stack))
        self._stacks["\n".join(name for name in reversed(stack) if name.startswith(_OURS))] += 1

    def samples(self) -> Samples:
        """Return what was seen."""
        return Samples(self._count, dict(self._own), dict(self._total), dict(self._lines), dict(self._stacks))


def _function(frame: FrameType) -> str:
    return f"{_place(frame)} {frame.f_code.co_qualname}"


def _place(frame: FrameType) -> str:
    path = frame.f_code.co_filename
    for folder in ("/site-packages/", "/src/", f"/lib/python{sys.version_info.major}.{sys.version_info.minor}/"):
        path = path.rpartition(folder)[2]
    return path


# ---- inside the gateway's process ------------------------------------------------------------------------------------


def run_sampled(output: Path, argv: list[str]) -> None:
    """Run the gateway; sample from SIGUSR2 on, and write what was seen when it ends."""
    sampler = Sampler()
    signal.signal(signal.SIGPROF, lambda _, frame: sampler.add(frame))
    signal.signal(signal.SIGUSR2, lambda *_: signal.setitimer(signal.ITIMER_PROF, _PERIOD, _PERIOD))
    sys.argv = ["penstock", *argv]
    try:
        runpy.run_module("penstock", run_name="__main__", alter_sys=True)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        output.write_bytes(msgspec.json.encode(sampler.samples()))


# ---- outside ---------------------------------------------------------------------------------------------------------


def profile(scenario: str, pair: Pair, seconds: float, folder: Path) -> tuple[Samples, float]:
    """Return what was seen, and the microseconds that one event or request took while it was being watched."""
    upstream_port, port, output = stack.free_port(), stack.free_port(), folder / "samples.json"
    _, _, _, *arguments = stack.gateway(port, upstream_port, folder)
    sampled = [sys.executable, "-m", "bench.profile", "--inside", str(output), *arguments]
    with (
        stack.running("upstream", stack.upstream(upstream_port), upstream_port, LOAD_CORE, folder),
        stack.running("gateway", sampled, port, PROXY_CORE, folder) as gateway,
    ):
        taken = uvloop.run(_load(gateway, scenario, pair, seconds))
    return msgspec.json.decode(output.read_bytes(), type=Samples), taken * 1e6


async def _load(gateway: Server, scenario: str, pair: Pair, seconds: float) -> float:
    lane = measure.through_gateway(gateway, pair)
    await measure.warm_up(lane)
    os.kill(gateway.pid, signal.SIGUSR2)
    effort = msgspec.structs.replace(FULL, seconds=seconds, requests=round(seconds * 1000))
    return await SCENARIOS[scenario](lane, effort)


def show(samples: Samples, rows: int) -> None:
    """Print the functions and lines that were seen most."""
    console = Console(width=118, highlight=False)
    for title, counts in (
        ("functions, by their own time", samples.own),
        ("functions, with what they call", samples.total),
        ("lines", samples.lines),
    ):
        table = Table(title=f"\n{title}", title_justify="left", title_style="bold")
        table.add_column("%", justify="right")
        table.add_column("where")
        # What is on every stack (how the process was started) says nothing.
        telling = Counter({where: count for where, count in counts.items() if count < samples.count})
        for where, count in telling.most_common(rows):
            table.add_row(f"{100 * count / samples.count:.1f}", where)
        console.print(table)


def show_tree(samples: Samples, least: float) -> None:
    """Print who calls whom: percentages with all that is called, and without; branches of at least `least` percent."""
    total, own = Counter[tuple[str, ...]](), Counter[tuple[str, ...]]()
    for text, count in samples.stacks.items():
        stack = tuple(text.split("\n"))
        own[stack] += count
        total.update({stack[:depth]: count for depth in range(1, len(stack) + 1)})
    telling = [branch for branch, count in total.items() if count >= samples.count * least / 100]
    # Branches of one function stand together, the heaviest first.
    telling.sort(key=lambda branch: [(-total[branch[:depth]], name) for depth, name in enumerate(branch, 1)])
    print("\nour functions, by who calls them: with what they call, and by their own time, in percent\n")
    for branch in telling:
        # What is on every stack (how the process was started) says nothing.
        if total[branch] < 0.99 * samples.count:
            parts = 100 * total[branch] / samples.count, 100 * own[branch] / samples.count
            print(f"{parts[0]:5.1f} {parts[1]:5.1f}  {'  ' * (len(branch) - 4)}{branch[-1].removeprefix(_OURS)}")


def main() -> None:
    """Run one scenario and print what was seen."""
    parser = argparse.ArgumentParser(prog="python -m bench.profile", description="Where the gateway's CPU time goes.")
    parser.add_argument("--scenario", choices=SCENARIOS, default=PER_EVENT)
    parser.add_argument(
        "--pair", type=parse_pair, default=Pair("openai-chat", "openai-chat"), metavar="CLIENT:UPSTREAM"
    )
    parser.add_argument("--seconds", type=float, default=10.0, help="length of the streams")
    parser.add_argument("--rows", type=int, default=25)
    parser.add_argument("--tree", type=float, default=1.0, help="percent that a branch of the tree has at least")
    options = parser.parse_args()
    stack.allow_open_files()
    os.sched_setaffinity(0, {LOAD_CORE})
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="penstock-profile-") as folder:
        samples, taken = profile(options.scenario, options.pair, options.seconds, Path(folder))
    show(samples, options.rows)
    show_tree(samples, options.tree)
    watched = f"{taken:.1f} us each while watched, {samples.count} samples, {time.monotonic() - began:.0f} s"
    print(f"{options.pair.name}, {options.scenario}: {watched}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--inside"]:
        run_sampled(Path(sys.argv[2]), sys.argv[3:])
    else:
        main()
