"""How much output a request allows, read from requests that no other protocol has words for."""

from collections.abc import Mapping
from typing import Any

import msgspec

_LIMITS = ("max_tokens", "max_completion_tokens", "max_output_tokens", "maxOutputTokens")
_CHOICES = ("n", "candidateCount", "candidate_count")
_CONFIGS = ("generationConfig", "generation_config")


def written_limit(fields: Mapping[str, msgspec.Raw]) -> int | None:
    """Return the tokens of output that the top level of a request allows over all its answers; None if it does not say.

    Where it says so twice, the larger counts: nobody knows which of them a provider goes by.
    """
    said = {name: msgspec.json.decode(fields[name]) for name in (*_LIMITS, *_CHOICES, *_CONFIGS) if name in fields}
    for config in (said.get(name) for name in _CONFIGS):
        if isinstance(config, dict):
            said |= config
    limit = _largest(said, _LIMITS)
    return limit and limit * (_largest(said, _CHOICES) or 1)


def _largest(said: Mapping[str, Any], names: tuple[str, ...]) -> int | None:
    return max((said[name] for name in names if isinstance(said.get(name), int) and said[name] > 0), default=None)
