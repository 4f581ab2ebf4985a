"""Golden files: what every client protocol makes of every recorded stream.

    python -m tools.golden            rewrite tests/golden from tests/recordings
    python -m tools.golden --check    fail if that would change anything

A recording is `tests/recordings/<upstream>/<case>.sse`; it makes `tests/golden/<case>.<upstream>-<client>.sse`.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

from penstock.protocols.registry import PROTOCOLS
from tools import replay

TESTS = Path(__file__).parents[1] / "tests"
RECORDINGS = TESTS / "recordings"
GOLDEN = TESTS / "golden"


def recordings() -> list[Path]:
    """Return all recordings, in a stable order."""
    return sorted(RECORDINGS.glob("*/*.sse"))


def golden_files() -> Iterator[tuple[str, bytes]]:
    """Yield the name and the content of each golden file."""
    for path in recordings():
        upstream = path.parent.name
        events = replay.decode(PROTOCOLS[upstream], replay.read_frames([path.read_bytes()]))
        for client, protocol in PROTOCOLS.items():
            yield f"{path.stem}.{upstream}-{client}.sse", replay.encode(protocol, events)


def differences(folder: Path) -> list[str]:
    """Return one line for each file in `folder` that is missing, different, or should not be there."""
    wanted = dict(golden_files())
    present = {path.name: path.read_bytes() for path in folder.glob("*.sse")}
    lines = [f"missing: {name}" for name in wanted if name not in present]
    lines += [f"different: {name}" for name, content in present.items() if wanted.get(name, content) != content]
    lines += [f"without a recording: {name}" for name in present if name not in wanted]
    return sorted(lines)


def rewrite(folder: Path) -> int:
    """Make `folder` hold exactly the golden files; return how many changed."""
    folder.mkdir(exist_ok=True)
    changed = differences(folder)
    wanted = dict(golden_files())
    for path in folder.glob("*.sse"):
        if path.name not in wanted:
            path.unlink()
    for name, content in wanted.items():
        (folder / name).write_bytes(content)
    return len(changed)


def main(arguments: list[str]) -> int:
    """Run the command line."""
    if arguments == ["--check"]:
        lines = differences(GOLDEN)
        print(
            "\n".join([*lines, f"{len(lines)} golden files to rewrite: make golden"] if lines else ["golden: current"])
        )
        return min(len(lines), 1)
    print(f"{rewrite(GOLDEN)} golden files changed; read the diff")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
