"""Base64 and data URLs, brought to the one spelling that every provider takes (pitfall 60)."""

import base64
import binascii
import re

from penstock.core.errors import bad_request

_DATA_URL = re.compile(r"data:([^;,\s]*)((?:;[^;,]*)*),(.*)", re.DOTALL | re.IGNORECASE)
_BLANK = re.compile(r"\s+")
_SAME_TYPE = {
    "image/jpg": "image/jpeg",
    "image/pjpeg": "image/jpeg",
    "audio/mp3": "audio/mpeg",
    "audio/x-wav": "audio/wav",
}


def standard_media_type(media_type: str) -> str:
    """Return the registered name of a media type, without parameters."""
    name = media_type.partition(";")[0].strip().lower()
    return _SAME_TYPE.get(name, name)


def standard_base64(data: str, param: str) -> str:
    """Return base64 in the standard alphabet, padded, without white space.

    Raises:
        ClientFault: `data` is not base64 in any spelling; `param` is named.
    """
    compact = _BLANK.sub("", data).replace("-", "+").replace("_", "/").rstrip("=")
    padded = compact + "=" * (-len(compact) % 4)
    try:
        base64.b64decode(padded, validate=True)
    except (binascii.Error, ValueError):
        raise bad_request(f"`{param}`: this is not base64.", param=param) from None
    return padded


def is_data_url(url: str) -> bool:
    """Whether a URL carries its content in itself."""
    return url[:5].lower() == "data:"


def split_data_url(url: str, param: str) -> tuple[str, str]:
    """Return the media type and the standard base64 content of a data URL.

    Raises:
        ClientFault: it is not a base64 data URL; `param` is named.
    """
    match = _DATA_URL.fullmatch(url.strip())
    if match is None or not match[2].lower().endswith(";base64"):
        raise bad_request(f"`{param}`: a data URL must read data:<media type>;base64,<data>.", param=param)
    return standard_media_type(match[1]), standard_base64(match[3], param)


def join_data_url(media_type: str, data: str) -> str:
    """Return the data URL of base64 content."""
    return f"data:{media_type or 'application/octet-stream'};base64,{data}"
