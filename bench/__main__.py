"""The benchmark: `python -m bench` from the root of the repository. See `bench/README.md`."""

import argparse
import asyncio
import os
import platform
import signal
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib.metadata import version
from pathlib import Path
from statistics import median

import uvloop

from bench import measure, report, stack
from bench.measure import Effort, Lane, LostEventError, Pair, through_gateway, untouched
from bench.options import parse_pair
from bench.report import LEDGER, MEMORY, PER_EVENT, PER_REQUEST, PER_WHOLE_REQUEST, TTFT, Figure, Report
from bench.stack import LOAD_CORE, PROXY_CORE, Server, StackError
from bench.streams import ANTHROPIC, CHAT, GEMINI

PAIRS = (Pair(CHAT, CHAT), Pair(ANTHROPIC, CHAT), Pair(CHAT, ANTHROPIC), Pair(GEMINI, CHAT))
"""Passthrough, and translation in both directions."""

DEADLINE = 240
"""Seconds after which a run is given up."""

Measurement = Callable[[Lane, Effort], Awaitable[float]]


class Bench:
    """One run: the servers, the effort, and what was found so far."""

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self.effort: Effort = measure.QUICK if options.quick else measure.FULL
        self.pairs: list[Pair] = options.pair or list(PAIRS)
        self.kinds: list[str] = options.only or list(report.KINDS)
        self.given: str | None = options.url
        self.folder = folder
        self.notes: list[str] = []
        self.upstream_port: int = options.upstream_port or stack.free_port()

    async def run(self) -> list[Figure]:
        """Take all figures that were asked for."""
        with self._start("upstream", stack.upstream(self.upstream_port), self.upstream_port, LOAD_CORE) as upstream:
            figures: list[Figure] = []
            if MEMORY in self.kinds:
                figures += [await self._memory(pair) for pair in self.pairs]
            if LEDGER in self.kinds:
                figures += await self._ledger()
            if set(self.kinds) - {MEMORY, LEDGER}:
                with self._nginx() as nginx, self._gateway() as gateway:
                    await self._warm_up(nginx, gateway)
                    figures += await self._speed(upstream, nginx, gateway)
        return figures

    async def _speed(self, upstream: Server, nginx: Server | None, gateway: Server) -> list[Figure]:
        figures: list[Figure] = []
        if PER_REQUEST in self.kinds:
            figures += await self._cpu(PER_REQUEST, measure.cpu_per_request, nginx, gateway)
            figures += await self._cpu(PER_WHOLE_REQUEST, measure.cpu_per_whole_request, nginx, gateway)
        if PER_EVENT in self.kinds:
            figures += await self._cpu(PER_EVENT, measure.cpu_per_event, nginx, gateway)
        if TTFT in self.kinds:
            figures += [await self._ttft(pair, upstream, nginx, gateway) for pair in self.pairs]
        return figures

    # ---- servers

    def _start(self, name: str, argv: list[str], port: int, core: int) -> AbstractContextManager[Server]:
        return stack.running(name, argv, port, core, self.folder)

    @contextmanager
    def _nginx(self) -> Iterator[Server | None]:
        port = stack.free_port()
        argv = stack.nginx(port, self.upstream_port, self.folder)
        if argv is None:
            self.notes.append(stack.NGINX_MISSING)
            yield None
            return
        with self._start("nginx", argv, port, PROXY_CORE) as server:
            yield server

    @contextmanager
    def _gateway(self, module: str = "penstock") -> Iterator[Server]:
        if self.given is not None:
            port = int(self.given.rstrip("/").rpartition(":")[2])
            yield Server("gateway", port, stack.find_listener(port))
            return
        port = stack.free_port()
        argv = stack.gateway(port, self.upstream_port, self.folder, module)
        with self._start("gateway", argv, port, PROXY_CORE) as server:
            yield server

    async def _warm_up(self, nginx: Server | None, *gateways: Server) -> None:
        for pair in self.pairs:
            for gateway in gateways:
                await measure.warm_up(through_gateway(gateway, pair))
            if nginx is not None:
                await measure.warm_up(untouched(nginx, pair.upstream))
        for server in (nginx, *gateways):
            if server is not None:
                await server.measure_idle(1.0)

    # ---- figures

    async def _cpu(self, kind: str, take: Measurement, nginx: Server | None, gateway: Server) -> list[Figure]:
        """Measure nginx and the gateway in turn, round by round, so that what disturbs one disturbs the other."""
        upstreams = list(dict.fromkeys(pair.upstream for pair in self.pairs))
        base: dict[str, list[float]] = {protocol: [] for protocol in upstreams}
        ours: dict[Pair, list[float]] = {pair: [] for pair in self.pairs}
        for number in range(self.effort.rounds):
            _say(f"{kind}, round {number + 1} of {self.effort.rounds}")
            for protocol in upstreams:
                if nginx is not None:
                    base[protocol].append(await take(untouched(nginx, protocol), self.effort))
                for pair in self.pairs:
                    if pair.upstream == protocol:
                        ours[pair].append(await take(through_gateway(gateway, pair), self.effort))
        return [_ratio(kind, pair, ours[pair], base[pair.upstream]) for pair in self.pairs]

    async def _ledger(self) -> list[Figure]:
        """Measure by turns a gateway as it is and one whose ledger writes nothing."""
        found: list[Figure] = []
        with self._gateway() as gateway, self._gateway("bench.null_ledger") as without:
            await self._warm_up(None, gateway, without)
            for pair in self.pairs:
                _say(f"{LEDGER}, {pair.name}")
                lanes = through_gateway(without, pair), through_gateway(gateway, pair)
                rounds = [
                    [await measure.cpu_per_request(lane, self.effort) for lane in lanes]
                    for _ in range(self.effort.rounds)
                ]
                bare, ours = (median(times) * 1e6 for times in zip(*rounds, strict=True))
                added = [100 * (with_it / one - 1) for one, with_it in rounds]
                details = {"without us": bare, "with us": ours, "lowest": min(added), "highest": max(added)}
                found.append(Figure(LEDGER, pair.name, median(added), details))
        return found

    async def _ttft(self, pair: Pair, upstream: Server, nginx: Server | None, gateway: Server) -> Figure:
        _say(f"{TTFT}, {pair.name}")
        lanes = [through_gateway(gateway, pair), untouched(upstream, pair.upstream)]
        if nginx is not None:
            lanes.append(untouched(nginx, pair.upstream))
        times = await measure.times_to_first_token(lanes, self.effort)
        (p50, p99), *others = [measure.percentiles(lane) for lane in times]
        details: dict[str, float] = {}
        for name, (other50, other99) in zip(("direct", "nginx"), others, strict=False):
            details[f"p50 over {name}"] = (p50 - other50) * 1e3
            details[f"p99 over {name}"] = (p99 - other99) * 1e3
        return Figure(TTFT, pair.name, details["p50 over direct"], details)

    async def _memory(self, pair: Pair) -> Figure:
        """Measure on a gateway that has done nothing yet: memory freed by earlier streams would hide what they take."""
        _say(f"{MEMORY}, {pair.name}")
        with self._gateway() as gateway:
            ours = await measure.memory_per_stream(through_gateway(gateway, pair), self.effort)
        details: dict[str, float] = {}
        with self._nginx() as nginx:
            if nginx is not None:
                details["nginx kB"] = (
                    await measure.memory_per_stream(untouched(nginx, pair.upstream), self.effort) / 1e3
                )
        return Figure(MEMORY, pair.name, ours / 1e3, details)


def _say(what: str) -> None:
    print(f"bench: {what}", file=sys.stderr)


def _ratio(kind: str, pair: Pair, ours: list[float], base: list[float]) -> Figure:
    details = {"gateway us": median(ours) * 1e6}
    if not base:
        return Figure(kind, pair.name, None, details)
    ratios = [value / reference for value, reference in zip(ours, base, strict=True)]
    details |= {"nginx us": median(base) * 1e6, "lowest": min(ratios), "highest": max(ratios)}
    return Figure(kind, pair.name, median(ratios), details)


def _conditions(effort: Effort, given: str | None) -> dict[str, str]:
    model = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), "")
    software = {"Penstock": version("penstock"), "Python": platform.python_version()}
    software |= {name: version(name) for name in ("httptools", "uvloop")}
    software["nginx"] = stack.nginx_version() or "missing"
    gateway = f"as given ({given}), not pinned" if given else f"one worker, core {PROXY_CORE}"
    return {
        "machine": f"{os.cpu_count()} cores,{model.partition(':')[2]}, Linux {platform.release()}",
        "software": ", ".join(f"{name} {number}" for name, number in software.items()),
        "pinned": f"nginx: one worker, core {PROXY_CORE}; gateway: {gateway}; upstream and load: core {LOAD_CORE}",
        "effort": f"{effort.rounds} rounds of {effort.requests} requests, {effort.concurrency} at a time, and of "
        f"{effort.streams} streams of {effort.seconds:g} s, an event each 20 ms; "
        f"{effort.samples} requests for time to first token, one at a time; {effort.open_streams} open streams",
    }


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="The gateway's cost beside nginx's.")
    parser.add_argument("--quick", action="store_true", help="about a minute; figures are rough")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--only", action="append", choices=(*report.KINDS, LEDGER), help="measure only this; may be repeated"
    )
    parser.add_argument(
        "--pair", action="append", type=parse_pair, metavar="CLIENT:UPSTREAM", help="instead of the usual four"
    )
    parser.add_argument("--url", help="a gateway that runs already, on this machine, with what --print-config prints")
    parser.add_argument("--upstream-port", type=int, help="where the scripted upstream listens (with --url: 9100)")
    parser.add_argument("--print-config", action="store_true", help="print the configuration that --url needs")
    options = parser.parse_args()
    if options.upstream_port is None and (options.url or options.print_config):
        options.upstream_port = 9100
    return options


async def _measured(bench: Bench) -> Report:
    began = time.monotonic()
    async with asyncio.timeout(DEADLINE):
        figures = await bench.run()
    conditions = _conditions(bench.effort, bench.given)
    return Report(conditions, figures, list(dict.fromkeys(bench.notes)), time.monotonic() - began)


def _last_words(folder: Path) -> list[str]:
    """Return the end of what the gateway that was started last had to say."""
    logs = sorted(folder.glob("gateway-*.log"), key=lambda log: log.stat().st_mtime)
    return logs[-1].read_text(errors="replace").splitlines()[-8:] if logs else []


def main() -> int:
    """Run, print, and return 1 if an event was lost or a server did not do its part."""
    options = _arguments()
    if options.print_config:
        print(stack.gateway_config(options.upstream_port), end="")
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    stack.allow_open_files()
    os.sched_setaffinity(0, {LOAD_CORE})
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as folder:
        try:
            found = uvloop.run(_measured(Bench(options, Path(folder))))
        except TimeoutError:
            _say(f"given up after {DEADLINE} s: this machine is too busy to measure; --quick and --only take less")
            return 1
        except (LostEventError, StackError, OSError) as error:
            print(f"bench: {error}", *_last_words(Path(folder)), sep="\n", file=sys.stderr)
            return 1
    print(report.as_json(found)) if options.json else report.show(found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
