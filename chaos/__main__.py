"""The chaos programmes: `python -m chaos` from the root of the repository. See `chaos/README.md`."""

import argparse
import os
import secrets
import sys
import time
from collections.abc import Callable

from msgspec import Struct

from chaos import drain, failover, hostile, invariance, kills, report, restart, resume, soak, truncation
from chaos.report import Options, Report


class Programme(Struct, frozen=True):
    """One programme: the promise that it tries to break, and how."""

    promise: str
    run: Callable[[Options], Report]


PROGRAMMES = {
    "truncation": Programme("an answer that broke is never taken for one that ended", truncation.run),
    "invariance": Programme("how bytes arrive changes nothing about what they say", invariance.run),
    "failover": Programme("what fails before its first output is answered by another target", failover.run),
    "kills": Programme("every call of a provider is in the books exactly once, whatever dies when", kills.run),
    "resume": Programme("a stream that was dropped is read on, whole, and paid for once", resume.run),
    "restart": Programme("after a kill a stream is read to what was written, or gone, and has no hole", restart.run),
    "drain": Programme("a stop that was asked for lets every stream end, and nothing waits after the last", drain.run),
    "hostile": Programme(
        "clients that are slow, read nothing or leave cost little, and cost others nothing", hostile.run
    ),
    "soak": Programme("hours of streams leave nothing behind: no memory, no file, no call", soak.run),
}
"""All programmes. To add one: a module with `run(options) -> Report`, and its line here."""


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m chaos", description="Break things, and see what clients are told.")
    parser.add_argument("--only", action="append", choices=PROGRAMMES, help="run only this; may be repeated")
    parser.add_argument("--quick", action="store_true", help="a part that is drawn from the seed; under a minute each")
    parser.add_argument("--seed", type=int, help="break the same things as a run before")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes to use")
    parser.add_argument("--minutes", type=float, default=10.0, help="how long the soak goes on")
    parser.add_argument("--list", action="store_true", help="print the programmes and their promises")
    return parser.parse_args()


def main() -> int:
    """Run the programmes, print what they found, and return 1 if a promise was broken."""
    arguments = _arguments()
    if arguments.list:
        for name, programme in PROGRAMMES.items():
            print(f"{name:<14}{programme.promise}")
        return 0
    seed = secrets.randbelow(2**31) if arguments.seed is None else arguments.seed
    print(f"seed {seed}")
    held = True
    for name in dict.fromkeys(arguments.only or PROGRAMMES):
        began = time.monotonic()
        found = PROGRAMMES[name].run(Options(seed, arguments.quick, arguments.jobs, arguments.minutes))
        report.show(f"{name}: {PROGRAMMES[name].promise}", found, time.monotonic() - began)
        held = held and found.held
    again = f"python -m chaos --seed {seed}{' --quick' if arguments.quick else ''}"
    print("Every promise was kept." if held else f"A promise was BROKEN. To see it again: {again}")
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
