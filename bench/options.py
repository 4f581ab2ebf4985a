"""Command line options that the benchmark and the profiler share."""

import argparse

from bench.measure import Pair
from bench.streams import PROTOCOLS


def parse_pair(words: str) -> Pair:
    """Read `CLIENT:UPSTREAM`."""
    client, _, upstream = words.partition(":")
    if client not in PROTOCOLS or upstream not in PROTOCOLS:
        raise argparse.ArgumentTypeError(f"CLIENT:UPSTREAM, each one of {', '.join(PROTOCOLS)}")
    return Pair(client, upstream)
