"""How many tokens an image is: what vendors write of examples, and what was billed."""

import base64
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.core.image_tokens import UNSEEN, Alike, Crops, ImageCosts, Patches, Tiles, image_tokens
from penstock.core.request import Media


def image(width: int, height: int, detail: str | None = None) -> Media:
    head = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", width, height)
    return Media("image", "image/png", base64.b64encode(head.ljust(64, b"\0")).decode(), detail=detail)


def patches(each: float = 1.0, most: int = 1536, side: int = 2048) -> Patches:
    return Patches(size=32, each=each, most=most, side=side, details={"low": (256, 512)})


@pytest.mark.parametrize(
    ("width", "height", "costs", "tokens"),
    [
        # https://platform.claude.com/docs/en/build-with-claude/vision
        (200, 200, Patches(), 64),
        (1000, 1000, Patches(), 1296),
        (1092, 1092, Patches(), 1521),
        # https://developers.openai.com/api/docs/guides/images-vision
        (1024, 1024, patches(), 1024),
        (1800, 2400, patches(), 1452),
        # https://community.openai.com/t/1281361 and what gpt-5-mini was measured to count
        (4000, 1474, patches(1.62), 2488),
        (256, 256, patches(1.2), 77),
        (768, 1024, patches(1.2), 922),
        (1280, 720, patches(1.2), 1104),
        (2048, 768, patches(1.2), 1843),
        (1024, 1024, Tiles(), 765),
        (2048, 4096, Tiles(), 1105),
        # https://ai.google.dev/gemini-api/docs/image-understanding
        (384, 384, Crops(), 258),
        (960, 540, Crops(), 6 * 258),
        (3000, 2000, Crops(), 12 * 258),
        (100, 100, Alike(), 1120),
    ],
)
def test_an_image_counts_what_its_vendor_says(width: int, height: int, costs: ImageCosts, tokens: int) -> None:
    assert image_tokens(image(width, height), costs) == pytest.approx(tokens, abs=1)


@pytest.mark.parametrize(
    ("costs", "tokens"),
    [(patches(), 256), (Tiles(), 85), (Crops(), 64), (Alike(details={"low": 280}), 280), (Patches(), 1521)],
)
def test_an_image_that_is_only_to_be_glanced_at_counts_less_where_that_can_be_said(
    costs: ImageCosts, tokens: int
) -> None:
    assert image_tokens(image(1600, 1600, "low"), costs) == tokens


@pytest.mark.parametrize("data", ["", "%%%", "abc", "AAAA"])
@pytest.mark.parametrize("costs", [Patches(), Tiles(), Crops(), Alike()])
def test_an_image_whose_size_cannot_be_read_is_taken_for_an_ordinary_one(data: str, costs: ImageCosts) -> None:
    assert image_tokens(Media("image", "image/png", data), costs) == image_tokens(image(*UNSEEN), costs)


@given(
    st.integers(0, 2**31),
    st.integers(0, 2**31),
    st.sampled_from([Patches(), patches(), patches(1.2, 30_000, 65_535), Tiles()]),
)
def test_every_image_counts_something_and_none_more_than_there_is_room_for(
    width: int, height: int, costs: Patches | Tiles
) -> None:
    most = costs.each * costs.most if isinstance(costs, Patches) else costs.base + 8 * costs.each
    assert 1 <= image_tokens(image(width, height), costs) <= most


@given(st.integers(0, 2**31), st.integers(0, 2**31))
def test_an_image_that_is_cut_up_counts_at_least_one_piece(width: int, height: int) -> None:
    assert image_tokens(image(width, height), Crops()) >= 258
