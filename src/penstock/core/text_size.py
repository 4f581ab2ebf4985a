"""What a text is made of, as tokens: how many its words, digits, marks, Han and so on would take.

A default cost stands beside each kind, fitted to o200k_base, whose counts lie in the middle of those in use;
`core/token_fit.py` learns what a model really charges. So a kind is what tokenizers differ in. Measuring is a few
passes over bytes at the speed of C, and of a long text only a sample is looked at.
"""

import re
from collections.abc import Iterable

from penstock.core.characters import EVERYWHERE, RARE, SPARSE, TOKENS

TEXT_KINDS = (
    "words",  # behind a space
    "names",  # words behind anything else, as in code
    "foreign",  # letters of languages with accents, whose words are longer
    "accents",
    "numbers",
    "digits",
    "spaced_numbers",  # spaces before numbers, which many tokenizers do not join with them
    "marks",
    "spaces",
    "han",
    "sparse_han",
    "rare_han",
    "kana",
    "cjk_marks",
    "cyrillic",
    "alphabets",
    "indic",
    "thai",
    "hangul",
    "sparse_hangul",
    "emoji",
)
"""What the tokens of a text are estimated for. A size is a tuple of tokens, one for each kind, at default costs."""

Size = tuple[float, ...]

SAMPLED_ABOVE = 8 * 1024
"""Bytes of text from which on only windows of it are measured, evenly spread."""

_WINDOW = 96
_WINDOWS = 84

CHARACTERS_LOOKED_UP = 300
"""Of a text with Chinese, Japanese or Korean, evenly spread."""

COMMON = 0.8
"""Tokens of a character, where there are too few to have one in the sample."""

FOREIGN = 100
"""Letters for each accent among them that are taken for another language than English. German has the fewest."""


def _table(classes: dict[bytes, Iterable[int]]) -> bytes:
    table = bytearray(b"." * 256)
    for name, members in classes.items():
        for byte in members:
            table[byte] = name[0]
    return bytes(table)


# The first byte of a UTF-8 sequence says enough about its script; the others are deleted, and so are carriage returns.
_CLASSES = _table(
    {
        b"a": range(0x61, 0x7B),
        b"A": range(0x41, 0x5B),
        b"0": range(0x30, 0x3A),
        b" ": b" ",
        b"n": b"\n",
        b"t": b"\t",
        b"_": b"_",
        b"j": b".(",  # marks that join the name behind them
        b"b": (*range(0xC3, 0xCD), 0xE1),  # Latin letters with accents, Vietnamese
        b"r": range(0xD0, 0xD4),  # Cyrillic
        b"l": (0xCD, 0xCE, 0xCF, *range(0xD4, 0xE0)),  # Greek, Hebrew, Arabic
        b"i": b"\xe0",  # Indic scripts, Thai
        b"o": (0xC2, 0xE2),  # typographic marks, symbols
        b"k": b"\xe3",  # kana, and the punctuation of Chinese and Japanese
        b"h": range(0xE4, 0xEA),
        b"g": range(0xEA, 0xEE),  # Hangul
        b"f": b"\xef",  # full-width forms
        b"e": range(0xF0, 0xF5),  # emoji
    }
)
_FOLLOWING = bytes((0x0D, *range(0x80, 0xC0)))
_ONLY_WORDS = bytes(0x61 if byte in b"aAb" else 0x20 for byte in range(256))
_ONLY_NUMBERS = bytes(byte if byte == 0x30 else 0x20 for byte in range(256))
_IN_COLOUR = b"\xef\xb8\x8f"  # U+FE0F, which makes an emoji of the symbol before it

_HAN = re.compile("[\u4e00-\u9fff]")
_HANGUL = re.compile("[\uac00-\ud7a3]")
_KANA = re.compile("[\u3041-\u30ff]")


def text_size(text: bytes) -> Size:
    """Return the size of a text in UTF-8, by a sample if it is long."""
    if len(text) <= SAMPLED_ABOVE:
        return _text_size(text)
    step = len(text) / _WINDOWS
    sample = b"".join([text[int(start * step) : int(start * step) + _WINDOW] for start in range(_WINDOWS)])
    times = len(text) / len(sample)
    return tuple([tokens * times for tokens in _text_size(sample)])


def _text_size(text: bytes) -> Size:
    classes = text.translate(_CLASSES, _FOLLOWING)
    count = classes.count
    threes, han, wide = count(b"k"), count(b"h"), count(b"f")
    coloured = text.count(_IN_COLOUR) if wide else 0
    numbers = classes.translate(_ONLY_NUMBERS)
    # A mark is mostly part of the token before it, behind a space it begins one; so do lines and indentation.
    marks = (
        0.22 * (count(b".") + count(b"j"))
        + 0.77 * (count(b" .") + count(b" j"))
        + 0.3 * (count(b".a") + count(b".A"))
        + 0.41 * count(b"_")
    )
    indic = count(b"i")
    thai = text.count(b"\xe0\xb8") + text.count(b"\xe0\xb9") if indic else 0
    return (
        *_latin_size(classes),
        1.1 * (numbers.count(b" 0") + numbers.startswith(b"0")),
        0.28 * count(b"0"),
        1.0 * count(b" 0"),
        marks + 1.05 * count(b"o"),
        0.78 * count(b"n") + 0.54 * count(b"n ") + 0.61 * count(b"t"),
        *(_cjk_size(text, han, threes, wide - coloured) if han or threes or wide > coloured else _NO_CJK),
        0.47 * count(b"r") - 3.0 * count(b"rrrrrrrr"),
        0.36 * count(b"l"),
        0.36 * (indic - thai),
        0.42 * thai,
        *(_hangul_size(text, hangul) if (hangul := count(b"g")) else _NO_HANGUL),
        2.4 * count(b"e") + 0.5 * coloured,
    )


_NO_CJK = (0.0,) * 5
_NO_HANGUL = (0.0,) * 2


def _latin_size(classes: bytes) -> tuple[float, float, float, float]:
    """Return the tokens of words behind spaces and elsewhere, of letters in other languages, and of their accents."""
    count = classes.count
    words = classes.translate(_ONLY_WORDS)
    begun = words.count(b" a") + words.startswith(b"a") + count(b"aA")
    prose = min(begun, count(b" a") + count(b" A"))
    joined = min(begun - prose, count(b"ja") + count(b"jA"))
    letters, accents = count(b"a"), count(b"b")
    foreign = min(letters, FOREIGN * accents)
    english = 1 - foreign / letters if letters else 1.0
    return (
        english * (1.03 * prose + 0.6 * count(b"aaaaaaaaa")),
        english * (1.08 * (begun - prose) - 0.2 * joined + 0.04 * count(b"A")),
        (1 - english) * (0.29 * words.count(b"a") - 0.95 * words.count(b"aaaaaaaa")),
        0.33 * accents,
    )


def _cjk_size(text: bytes, han: int, threes: int, wide: int) -> tuple[float, float, float, float, float]:
    """Return the tokens of Han from the most to the least common, of kana, and of marks, by what a sample has."""
    decoded = text.decode("utf-8", "ignore")
    step = 1 + len(decoded) // CHARACTERS_LOOKED_UP
    sample = decoded[::step]
    kana, ideographs = _KANA.findall(sample), _HAN.findall(sample)
    spoken = min(threes, len(kana) * step)
    return (
        *_by_commonness(ideographs, 0.92 * han),
        spoken * sum([TOKENS.get(character, 1.0) for character in kana]) / len(kana) if kana else 0.0,
        1.54 * wide + 1.16 * (threes - spoken),
    )


def _hangul_size(text: bytes, hangul: int) -> tuple[float, float]:
    decoded = text.decode("utf-8", "ignore")
    sample = decoded[:: 1 + len(decoded) // CHARACTERS_LOOKED_UP]
    common, sparse, rare = _by_commonness(_HANGUL.findall(sample), 0.98 * hangul)
    return common, sparse + rare


def _by_commonness(sample: list[str], times: float) -> tuple[float, float, float]:
    """Return the tokens of characters that are in every vocabulary, in newer ones, and by their bytes only."""
    if not sample:
        return COMMON * times, 0.0, 0.0
    each = times / len(sample)
    everywhere = [EVERYWHERE[character] for character in sample if character in EVERYWHERE]
    sparse = [SPARSE[character] for character in sample if character in SPARSE]
    return each * sum(everywhere), each * sum(sparse), each * RARE * (len(sample) - len(everywhere) - len(sparse))
