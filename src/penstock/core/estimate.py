"""How many tokens a request has, as far as that can be told without a tokenizer.

Text is measured: how many words, digits, marks, Han and so on it has. A default cost stands beside each kind, fitted to
o200k_base, whose counts lie in the middle of those in use; `core/token_fit.py` learns what a model really charges.
Measuring is a few passes over bytes at the speed of C, and of a long text only a sample is looked at.
"""

import base64
import binascii
import re
from collections.abc import Iterable

import msgspec
from msgspec import Struct

from penstock.core.characters import RARE, TOKENS
from penstock.core.image_size import image_size
from penstock.core.request import Ask, Media, Part, Reasoning, Refusal, Text, Tool, ToolCall, ToolResult, effort_of

KINDS = (
    "words",
    "foreign",
    "numbers",
    "digits",
    "marks",
    "han",
    "rare",
    "kana",
    "cyrillic",
    "alphabets",
    "indic",
    "thai",
    "hangul",
    "emoji",
    "frame",
    "tools",
    "media",
)
"""What tokens are estimated for. A size is a tuple of tokens, one for each kind, at default costs."""

Size = tuple[float, ...]

SAMPLED_ABOVE = 8 * 1024
"""Bytes of text from which on only windows of it are measured, evenly spread."""

_WINDOW = 256
_WINDOWS = 32

CHARACTERS_LOOKED_UP = 300
"""Of a text with Chinese or Japanese, evenly spread."""

COMMON = 0.8
"""Tokens of a character, where there are too few to have one in the sample."""

PER_TOOL_PART = 6.0
"""Tokens around a call of a tool, and around its result, where turns have something around them."""

PIXELS_PER_TOKEN = 750
"""Anthropic's rule, which is also near OpenAI's patches and Gemini's tiles."""

LONGEST_SIDE = 1568
"""Pixels; larger images are scaled down before they are looked at."""

IMAGE_LIMIT = 1600
"""Tokens of the largest image, and what an image counts whose size cannot be read."""

SMALL_IMAGE = 384
"""Pixels of each side of an image that is one tile."""

TILE = 768
"""Pixels of each side of a tile, https://ai.google.dev/gemini-api/docs/tokens."""

LOW_DETAIL = 85
"""Tokens of an image that is only to be glanced at."""

PER_PAGE = 2000
"""Tokens of a page of a PDF, as text and image together."""

BYTES_PER_PAGE = 50_000
"""Of a PDF whose pages cannot be counted."""

AUDIO_BYTES_PER_TOKEN = 600
"""16 kB a second, as compressed speech has, at about 27 tokens a second; PCM has twice the bytes (`_SOUND`)."""

_SOUND = {"audio/wav": 2, "audio/x-wav": 2, "audio/wave": 2, "audio/pcm": 2, "audio/l16": 2}

SEAL_BYTES_PER_TOKEN = 5
"""Characters of encrypted reasoning for each token of it."""

_PAGE = re.compile(rb"/Type\s*/Page\b")


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

_HAN = re.compile("[\u4e00-\u9fff]")
_HANGUL = re.compile("[\uac00-\ud7a3]")
_KANA = re.compile("[\u3041-\u30ff]")

FOREIGN = 25
"""Letters for each accent among them that are taken for another language than English, whose words are longer."""


class TokenCosts(Struct, frozen=True, forbid_unknown_fields=True):
    """What a model counts beside the text, and how its tokenizer compares to o200k_base.

    Attributes:
        text: how many tokens its text has for each of o200k_base.
        request: tokens that lead over to the answer.
        turn: tokens that say who speaks. OpenAI documented 3 of them for each message and 1 of its role.
        tools: tokens of what the vendor says of tools, where there are any.
        tool: tokens around each definition of a tool.
        thinking: tokens of what the vendor says of thinking, where it is asked for.
        tile: tokens of each 768 pixels square of an image (Gemini); 0 where images count by their pixels.
    """

    text: float = 1.0
    request: float = 3.0
    turn: float = 4.0
    tools: float = 16.0
    tool: float = 4.0
    thinking: float = 0.0
    tile: float = 0.0


USUAL = TokenCosts()
"""Of models of which nothing is known."""


def input_tokens(ask: Ask, costs: TokenCosts = USUAL) -> int:
    """Estimate the input tokens of a request at default costs."""
    return round(sum(measure(ask, costs)))


def measure(ask: Ask, costs: TokenCosts = USUAL) -> Size:
    """Return the size of a request: text, calls and results of tools, definitions of tools, media.

    Thoughts count where providers read them: in a running loop of tool calls, not in turns that are over.
    """
    gathered = _Gathered(_loop_begins(ask), costs)
    for position, turn in enumerate(ask.turns):
        gathered.frame += costs.turn
        for part in turn.parts:
            gathered.take(part, position)
    thinking = ask.reasoning is not None and effort_of(ask.reasoning) != "none"
    tools = 0.0
    if ask.tools:
        tools = costs.tools + costs.tool * len(ask.tools) + costs.text * sum(text_size(_definitions(ask.tools)))
    if ask.output_format is not None and ask.output_format.schema is not None:
        tools += costs.text * sum(text_size(msgspec.json.encode(ask.output_format.schema)))
    text = text_size("\n".join(gathered.texts).encode("utf-8", "replace"))
    frame = gathered.frame + (costs.thinking if thinking else 0.0)
    return (*(tokens * costs.text for tokens in text[:-3]), frame, tools, gathered.media)


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
    letters, accents = count(b"a"), count(b"b")
    han, threes, wide = count(b"h"), count(b"k"), count(b"f")
    letters_only = classes.translate(_ONLY_WORDS)
    begun = letters_only.count(b" a") + letters_only.startswith(b"a") + count(b"aA")
    foreign = min(letters, FOREIGN * accents)
    numbers = classes.translate(_ONLY_NUMBERS).count(b" 0") + classes.startswith(b"0")
    # A mark is mostly part of the token before it, behind a space it begins one; so do lines and indentation.
    marks = 0.22 * count(b".") + 0.77 * count(b" .") + 0.3 * (count(b".a") + count(b".A")) + 0.41 * count(b"_")
    indic = count(b"i")
    thai = text.count(b"\xe0\xb8") + text.count(b"\xe0\xb9") if indic else 0
    spaces = 0.78 * count(b"n") + 0.54 * count(b"n ") + 0.61 * count(b"t")
    english = 1 - foreign / letters if letters else 1.0
    words = 1.03 * begun + 0.6 * count(b"aaaaaaaaa") + 0.04 * count(b"A")
    return (
        words * english,
        words * (1 - english) + 0.09 * foreign + 0.05 * accents,
        1.1 * numbers,
        0.28 * count(b"0"),
        marks + spaces + count(b" 0") + 1.05 * count(b"o"),
        *(_cjk_size(text, han, threes, wide) if han or threes or wide else (0.0, 0.0, 0.0)),
        0.25 * count(b"r") + 0.42 * count(b" r"),
        0.36 * count(b"l"),
        0.34 * (indic - thai),
        0.41 * thai,
        _hangul_size(text, hangul) if (hangul := count(b"g")) else 0.0,
        2.4 * count(b"e"),
        0.0,
        0.0,
        0.0,
    )


def _cjk_size(text: bytes, han: int, threes: int, wide: int) -> tuple[float, float, float]:
    """Return the tokens of common Han, of rare Han, and of kana and marks, by the characters that a sample has."""
    decoded = text.decode("utf-8", "ignore")
    step = 1 + len(decoded) // CHARACTERS_LOOKED_UP
    sample = decoded[::step]
    kana, ideographs = _KANA.findall(sample), _HAN.findall(sample)
    common = [TOKENS[character] for character in ideographs if character in TOKENS]
    spoken = min(threes, len(kana) * step)
    rare = han * (1 - len(common) / len(ideographs)) if ideographs else 0.0
    return (
        0.92 * (han - rare) * _mean(common) + 1.54 * wide,
        0.92 * RARE * rare,
        spoken * _mean([TOKENS.get(character, 1.0) for character in kana]) + 1.16 * (threes - spoken),
    )


def _hangul_size(text: bytes, hangul: int) -> float:
    decoded = text.decode("utf-8", "ignore")
    sample = decoded[:: 1 + len(decoded) // CHARACTERS_LOOKED_UP]
    return 0.98 * hangul * _mean([TOKENS.get(syllable, RARE) for syllable in _HANGUL.findall(sample)])


def _mean(tokens: list[float]) -> float:
    return sum(tokens) / len(tokens) if tokens else COMMON


def _definitions(tools: tuple[Tool, ...]) -> bytes:
    """Return what models are shown of tools: names and properties, with few of the marks of JSON.

    What every schema says around them costs nothing.
    """
    return b"\n".join(
        msgspec.json.encode(
            [tool.name, tool.description, (tool.parameters or {}).get("properties") or tool.grammar]
        ).translate(None, b'{}[]"')
        for tool in tools
    )


def _loop_begins(ask: Ask) -> int:
    """Return the position of the last turn in which somebody asked something: what is behind it is one answer."""
    for position in range(len(ask.turns) - 1, -1, -1):
        turn = ask.turns[position]
        if turn.role == "user" and any(isinstance(part, Text | Media) for part in turn.parts):
            return position
    return 0


class _Gathered:
    """What has been found in the turns of a request so far."""

    def __init__(self, loop_begins: int, costs: TokenCosts) -> None:
        self.texts: list[str] = []
        self.frame = costs.request
        self._costs = costs
        self._around_tools = PER_TOOL_PART if costs.turn else 0.0
        self.media = 0.0
        self._loop_begins = loop_begins

    def take(self, part: Part, position: int) -> None:
        match part:
            case Text() | Refusal():
                self.texts.append(part.text)
            case Reasoning():
                if position >= self._loop_begins:
                    self._reasoning(part)
            case Media():
                self._media(part)
            case ToolCall():
                self.frame += self._around_tools
                self.texts += (part.name, part.arguments)
            case ToolResult():
                self.frame += self._around_tools
                for piece in part.content:
                    self.take(piece, position)

    def _reasoning(self, part: Reasoning) -> None:
        if part.text:
            self.texts.append(part.text)
        elif part.sealed is not None:
            self.media += len(part.sealed.data) / SEAL_BYTES_PER_TOKEN

    def _media(self, media: Media) -> None:
        match media.kind:
            case "image":
                self.media += image_tokens(media, self._costs.tile)
            case "audio":
                size = len(media.data) * 3 / 4
                self.media += size / AUDIO_BYTES_PER_TOKEN / _SOUND.get(media.media_type, 1)
            case "document":
                self._document(media)

    def _document(self, media: Media) -> None:
        try:
            data = base64.b64decode(media.data)
        except binascii.Error:
            data = b""
        if media.media_type.startswith("text/"):
            self.texts.append(data.decode("utf-8", "replace"))
            return
        pages = len(_PAGE.findall(data)) or 1 + len(data) // BYTES_PER_PAGE
        self.media += pages * PER_PAGE


def image_tokens(media: Media, tile: float = 0.0) -> float:
    """Estimate the tokens of an image from its size in pixels; of one whose size cannot be read, the most."""
    if media.detail == "low":
        return LOW_DETAIL
    size = image_size(media.data)
    if size is None:
        return IMAGE_LIMIT
    width, height = size
    if tile:
        small = max(width, height) <= SMALL_IMAGE
        return tile if small else tile * -(-width // TILE) * -(-height // TILE)
    scale = min(1.0, LONGEST_SIDE / max(width, height, 1))
    return min(IMAGE_LIMIT, max(1.0, width * scale * height * scale / PIXELS_PER_TOKEN))
