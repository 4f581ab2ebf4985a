"""What is dropped on the way to another protocol: hints without a place there. Never without a word."""

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet

import msgspec


class Dropped:
    """The names of the hints that are dropped, each once, in the order in which they were found."""

    def __init__(self) -> None:
        self._names: dict[str, None] = {}

    def add(self, *names: str) -> None:
        """Note some names."""
        for name in names:
            self._names[name] = None

    def add_given(self, hints: Mapping[str, object]) -> None:
        """Note the names of those hints that were given."""
        for name, value in hints.items():
            if value is not None:
                self._names[name] = None

    @property
    def names(self) -> tuple[str, ...]:
        """All names."""
        return tuple(self._names)


def unread(fields: Mapping[str, msgspec.Raw], read: AbstractSet[str]) -> Iterable[str]:
    """Return the names of the fields of a body that nobody reads; one that is null was not given."""
    if fields.keys() <= read:
        return ()  # as nearly always
    return (name for name, value in fields.items() if name not in read and bytes(value) != b"null")
