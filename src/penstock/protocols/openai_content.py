"""What content of requests Chat Completions and Responses have in common: images, sounds, marks for the cache."""

from typing import Literal

from msgspec import Struct

from penstock.core.errors import bad_request
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


def read_image(url: str, detail: str | None, at: str) -> Media:
    """Return an image by its address, or from a data URL; `at` is the URL's path.

    Raises:
        ClientFault: it is neither, or the data is something else.
    """
    if is_address(url):
        return Media("image", url=url, detail=detail)
    if not media.is_data_url(url):
        raise bad_request(f"`{at}`: an image is an http(s) address or a data URL.", param=at)
    media_type, data = media.split_data_url(url, at)
    if not media_type.startswith("image/"):
        raise bad_request(f"`{at}`: {media_type or 'a data URL without a type'} is not an image.", param=at)
    return Media("image", media_type, data, detail=detail)


def is_address(url: str) -> bool:
    """Whether a URL says where something is, and does not hold it."""
    return url[:8].lower().startswith(("http://", "https://"))


def read_sound(sound: Sound, at: str) -> Media:
    """Return a sound; `at` is its path.

    Raises:
        ClientFault: it is not base64.
    """
    return Media("audio", _SOUNDS[sound.format], media.standard_base64(sound.data, f"{at}.data"))
