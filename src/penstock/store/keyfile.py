"""The pepper on disk; and the file of keys of the first versions, which is read once and put aside.

They are in the data directory, readable by their owner only. A file that cannot be understood is an error: to go on
without it would lock everybody out, and to rewrite it would make that final.
"""

import contextlib
from collections.abc import Callable
from pathlib import Path

import msgspec
from msgspec import Struct

from penstock.core.errors import ConfigError
from penstock.store import files

PEPPER_SIZE = 32
"""Bytes; as many as SHA-256 puts out."""


class KeyRecord(Struct, frozen=True, forbid_unknown_fields=True):
    """One key. `digest` is the hexadecimal keyed hash of it, `created` Unix time in seconds."""

    id: str
    name: str
    digest: str
    created: int


class _Content(Struct, frozen=True, forbid_unknown_fields=True):
    version: int
    keys: tuple[KeyRecord, ...]


class KeyFile:
    """The two files. The directory is made when the pepper is."""

    def __init__(self, directory: Path) -> None:
        self._keys = directory / "keys.json"
        self.pepper_path = directory / "pepper"

    def pepper(self, random_bytes: Callable[[int], bytes]) -> bytes:
        """Return the pepper; made of `random_bytes` at the first call ever.

        Raises:
            ConfigError: the file is damaged, is missing although there are keys, or cannot be read or written.
        """
        stored = files.read(self.pepper_path)
        if stored is None and self.load():
            raise ConfigError(
                f"{self.pepper_path}: missing; restore it, or remove {self._keys.name} to begin with new keys"
            )
        if stored is None:
            files.claim(self.pepper_path, random_bytes(PEPPER_SIZE))
            stored = files.read(self.pepper_path) or b""
        if len(stored) != PEPPER_SIZE:
            raise ConfigError(f"{self.pepper_path}: damaged; restore it: without it all keys are void")
        return stored

    def load(self) -> tuple[KeyRecord, ...]:
        """Return all keys.

        Raises:
            ConfigError: the file is damaged or cannot be read.
        """
        stored = files.read(self._keys)
        if stored is None:
            return ()
        try:
            content = msgspec.json.decode(stored, type=_Content)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"{self._keys}: damaged ({error}); restore it, or remove it to begin with new keys"
            ) from None
        if content.version != 1:
            raise ConfigError(f"{self._keys}: written by another version of Penstock (format {content.version})")
        return content.keys

    def put_aside(self) -> None:
        """Rename the file of keys, so that it is not read again.

        Raises:
            ConfigError: it cannot be renamed.
        """
        try:
            with contextlib.suppress(FileNotFoundError):  # another process did
                self._keys.rename(self._keys.with_name("keys.json.imported"))
        except OSError as error:
            raise ConfigError(f"{self._keys}: cannot be renamed: {error.strerror}") from None
