"""What is installed is what was chosen, to the version; and nothing of the suite needs a network."""

import asyncio
import re
import socket
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.conftest import NetworkError

pytestmark = pytest.mark.promise("5.14")

ROOT = Path(__file__).parent.parent
EXTRAS = ("", "test", "check")


def constraints() -> dict[str, str]:
    """Return the version of each package that `make` installs."""
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    pins = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in pins}


def needed(name: str, extras: tuple[str, ...], seen: set[str]) -> Iterator[str]:
    """Return all packages that one needs on this system, and what these need."""
    for text in metadata.requires(name) or []:
        requirement = Requirement(text)
        wanted = requirement.marker is None or any(requirement.marker.evaluate({"extra": one}) for one in extras)
        found = canonicalize_name(requirement.name)
        if wanted and (found, *sorted(requirement.extras)) not in seen:
            seen.add((found, *sorted(requirement.extras)))
            yield found
            yield from needed(found, ("", *requirement.extras), seen)


def test_every_dependency_has_one_version_and_that_is_installed() -> None:
    chosen = constraints()
    wanted = set(needed("penstock", EXTRAS, set())) - {"setuptools"}  # it comes with the virtual environment
    assert len(wanted) > 20
    assert wanted - chosen.keys() == set()
    assert {name: metadata.version(name) for name in wanted} == {name: chosen[name] for name in wanted}


def test_versions_are_exact_and_come_from_nowhere_else() -> None:
    for line in (ROOT / "constraints.txt").read_text("utf-8").splitlines():
        assert line.startswith("#") or re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][A-Za-z0-9.+!]*", line), line


def test_make_installs_nothing_without_them() -> None:
    installing = [line for line in (ROOT / "Makefile").read_text("utf-8").splitlines() if "pip install" in line]
    assert installing
    assert all("-c constraints.txt" in line for line in installing)


@pytest.mark.parametrize("address", ["192.0.2.1", "10.0.0.1", "169.254.169.254"])
def test_no_test_talks_to_another_machine(address: str) -> None:
    with socket.socket() as sock, pytest.raises(NetworkError):
        sock.connect((address, 80))
    with socket.socket(type=socket.SOCK_DGRAM) as sock, pytest.raises(NetworkError):
        sock.sendto(b"x", (address, 53))


def test_nor_does_an_event_loop() -> None:
    async def connect() -> None:
        await asyncio.open_connection("192.0.2.1", 80)

    with pytest.raises(NetworkError):
        asyncio.run(connect())
