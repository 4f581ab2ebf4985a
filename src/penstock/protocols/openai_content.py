"""What Chat Completions and Responses have in common in the content of a request: sounds, and marks for the cache."""

from typing import Literal

from msgspec import Struct

from penstock.core.request import CacheLifetime, Media
from penstock.protocols import media

_SOUNDS = {"wav": "audio/wav", "mp3": "audio/mpeg"}
_LIFETIMES: dict[str | None, CacheLifetime] = {"12h": "1h"}  # the longer and, for all else, the shorter that there is


class CacheBreakpoint(Struct, frozen=True):
    """The prefix that ends here may be kept; without `ttl` as long as the provider likes."""

    ttl: str | None = None


class Sound(Struct, frozen=True):
    """Base64."""

    data: str
    format: Literal["wav", "mp3"]


def read_lifetime(mark: CacheBreakpoint | None) -> CacheLifetime | None:
    """Return how long a mark keeps its prefix: of OpenAI's two lifetimes, 30 minutes is the default."""
    return None if mark is None else _LIFETIMES.get(mark.ttl, "5m")


def read_sound(sound: Sound, at: str) -> Media:
    """Return a sound; `at` is its path.

    Raises:
        ClientFault: it is not base64.
    """
    return Media("audio", _SOUNDS[sound.format], media.standard_base64(sound.data, f"{at}.data"))
