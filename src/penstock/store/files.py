"""Small files in the data directory: readable by their owner only, and written whole or not at all."""

import contextlib
import os
from collections.abc import Generator
from pathlib import Path

from penstock.core.errors import ConfigError


def read(path: Path) -> bytes | None:
    """Return what a file holds; None if there is none.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None


@contextlib.contextmanager
def written(path: Path, content: bytes) -> Generator[Path]:
    """Write a whole file beside `path`, for the caller to put it there. The directory is made if it is not there.

    Raises:
        ConfigError: it cannot be written, or not be put there.
    """
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh.unlink(missing_ok=True)
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        yield fresh
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror}") from None
    finally:
        with contextlib.suppress(OSError):
            fresh.unlink()


def claim(path: Path, content: bytes) -> bool:
    """Write a file unless there is one; return whether it was written. Of several processes that try, one does.

    Raises:
        ConfigError: it cannot be written.
    """
    with written(path, content) as fresh:
        try:
            os.link(fresh, path)
        except FileExistsError:
            return False
        return True
