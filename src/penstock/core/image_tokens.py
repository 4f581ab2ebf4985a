"""How many tokens an image is. Vendors document it, each in its own way, and it is a fact of each model."""

import math
from typing import ClassVar

from msgspec import Struct, field

from penstock.core.image_size import image_size
from penstock.core.request import Media

UNSEEN = (1280, 1280)
"""Pixels that an image is taken to have whose size cannot be read, such as one behind a URL."""

_EXACT = 1e-6  # what a product of floats may be above the number that it should be


class Patches(Struct, frozen=True, tag_field="by", tag="patches", forbid_unknown_fields=True):
    """The image is scaled down until few enough squares cover it.

    OpenAI, https://developers.openai.com/api/docs/guides/images-vision; Anthropic,
    https://platform.claude.com/docs/en/build-with-claude/vision.

    Attributes:
        size: pixels of each side of a square.
        each: tokens of a square.
        most: how many squares there may be.
        side: pixels that the longer side may have.
        details: squares and pixels instead, where the client says how closely to look.
    """

    size: int = 28
    each: float = 1.0
    most: int = 1568
    side: int = 1568
    details: dict[str, tuple[int, int]] = field(default_factory=dict[str, tuple[int, int]])


class Tiles(Struct, frozen=True, tag_field="by", tag="tiles", forbid_unknown_fields=True):
    """The image is scaled down and covered by tiles of 512 pixels (OpenAI's older models).

    Attributes:
        each: tokens of a tile.
        base: tokens beside them, and all of an image that is only to be glanced at.
    """

    LONGER: ClassVar[int] = 2048
    SHORTER: ClassVar[int] = 768
    SIZE: ClassVar[int] = 512

    each: float = 170.0
    base: float = 85.0


class Crops(Struct, frozen=True, tag_field="by", tag="crops", forbid_unknown_fields=True):
    """The image is cut into squares that depend on its size; a small one is one (Gemini up to 2.5).

    https://ai.google.dev/gemini-api/docs/image-understanding: the shorter side is cut by 1.5, within bounds.

    Attributes:
        each: tokens of a square.
        low: tokens of an image that is only to be glanced at.
    """

    SMALL: ClassVar[int] = 384
    BOUNDS: ClassVar[tuple[int, int]] = (256, 768)

    each: float = 258.0
    low: float = 64.0


class Alike(Struct, frozen=True, tag_field="by", tag="alike", forbid_unknown_fields=True):
    """All images count the same (Gemini 3), https://ai.google.dev/gemini-api/docs/media-resolution.

    Attributes:
        each: tokens of an image.
        details: tokens instead, where the client says how closely to look.
    """

    each: float = 1120.0
    details: dict[str, float] = field(default_factory=dict[str, float])


ImageCosts = Patches | Tiles | Crops | Alike


def image_tokens(media: Media, costs: ImageCosts) -> float:
    """Estimate the tokens of an image, from its size in pixels."""
    match costs:
        case Alike():
            return costs.details.get(media.detail or "", costs.each)
        case Tiles() if media.detail == "low":
            return costs.base
        case Crops() if media.detail == "low":
            return costs.low
        case _:
            width, height = image_size(media.data) or UNSEEN
            return _by_size(max(width, 1), max(height, 1), media.detail, costs)


def _by_size(width: float, height: float, detail: str | None, costs: Patches | Tiles | Crops) -> float:
    match costs:
        case Patches():
            most, side = costs.details.get(detail or "", (costs.most, costs.side))
            return costs.each * _patches(width, height, costs.size, most, side)
        case Tiles():
            scale = min(1.0, costs.LONGER / max(width, height))
            scale *= min(1.0, costs.SHORTER / (scale * min(width, height)))
            return costs.base + costs.each * _covering(width * scale, height * scale, costs.SIZE)
        case Crops():
            if max(width, height) <= costs.SMALL:
                return costs.each
            unit = min(costs.BOUNDS[1], max(costs.BOUNDS[0], int(min(width, height) / 1.5)))
            return costs.each * _covering(width, height, unit)


def _patches(width: float, height: float, size: int, most: int, side: int) -> int:
    scale = min(1.0, side / max(width, height))
    width, height = width * scale, height * scale
    if _covering(width, height, size) <= most:
        return _covering(width, height, size)
    scale = math.sqrt(size * size * most / (width * height))
    across, down = width * scale / size, height * scale / size
    fitting = min(max(1, int(across)) / across, max(1, int(down)) / down)  # so that one side is whole squares
    return min(most, _covering(across * fitting, down * fitting, 1))


def _covering(width: float, height: float, size: int) -> int:
    return max(1, math.ceil(width / size - _EXACT)) * max(1, math.ceil(height / size - _EXACT))
