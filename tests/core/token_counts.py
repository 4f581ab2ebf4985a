"""Texts that were written for these tests, with what public tokenizers count of them: token_counts.json.

Default costs were fitted to o200k_base, with texts from elsewhere and those here that are `fitted`; the others were only
ever estimated.
"""

import json
from pathlib import Path
from typing import Any

from msgspec import Struct

from penstock.core.estimate import Size
from penstock.core.text_size import text_size

_FIXTURE: dict[str, Any] = json.loads(Path(__file__).with_name("token_counts.json").read_text("utf-8"))
TOKENIZERS: list[str] = list(_FIXTURE["tokenizers"])


class Counted(Struct, frozen=True):
    """A text, what kind of text it is, and the tokens that each tokenizer counts of it."""

    kind: str
    text: str
    counts: dict[str, int]

    def size(self) -> Size:
        """Return the size of a request that is nothing but this text."""
        return (*text_size(self.text.encode()), 0.0, 0.0, 0.0)


TEXTS = [Counted(entry["kind"], entry["text"], entry["counts"]) for entry in _FIXTURE["texts"]]
KINDS_OF_TEXT = list(dict.fromkeys(text.kind for text in TEXTS))


def of_kind(kind: str) -> list[Counted]:
    """Return the texts of a kind."""
    return [text for text in TEXTS if text.kind == kind]


def within(share: float, ratios: list[float]) -> float:
    """Return how many of some ratios differ from 1 by no more than `share`, as a share of them."""
    return sum(abs(ratio - 1) <= share for ratio in ratios) / len(ratios)
