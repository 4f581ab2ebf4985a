"""`penstock keys`: the options, and what they mean as terms of a key. What is done with them is in `managing.py`."""

import datetime
import os
import re
from typing import Annotated, Any

import msgspec
import typer

from penstock.accounts.terms import Terms
from penstock.cli.running import ConfigOption, run_to_end
from penstock.core.errors import ConfigError

NONE = "none"
"""What takes a limit away."""

_SECONDS = {"m": 60, "h": 3600, "d": 86_400}

keys_app = typer.Typer(
    help="Make and manage the keys that clients use. A running gateway follows within a second.",
    no_args_is_help=True,
)

WhichArgument = Annotated[str, typer.Argument(metavar="KEY", help="Its name or its id.")]
JsonOption = Annotated[bool, typer.Option("--json", help="For programs.")]
ModelOption = Annotated[
    list[str] | None,
    typer.Option("--model", help="A model it may use, or a glob: `anthropic/*`. May be given again. Default: all."),
]
RequestsOption = Annotated[str | None, typer.Option("--requests-per-minute", metavar="N", help="Requests begun.")]
TokensOption = Annotated[str | None, typer.Option("--tokens-per-minute", metavar="N", help="In and out together.")]
StreamsOption = Annotated[str | None, typer.Option("--streams", metavar="N", help="Requests under way at once.")]
BudgetOption = Annotated[
    str | None,
    typer.Option("--budget", help="Dollars or tokens per day, month or in total: `10.50/month`, `1000000tokens/day`."),
]
ExpiresOption = Annotated[
    str | None, typer.Option("--expires", help="`2026-12-31`, `2026-12-31T18:00:00Z`, or from now: `90d`, `12h`.")
]
NetworkOption = Annotated[
    list[str] | None,
    typer.Option("--network", help="Where it may be used from: `10.0.0.0/8`. May be given again. Default: anywhere."),
]
LabelOption = Annotated[
    list[str] | None, typer.Option("--label", help="What you want to know about it: `team=search`. May be given again.")
]


@keys_app.command()
def create(
    name: Annotated[str, typer.Argument(help="For people: `ci`, `team-search`.")],
    *,
    model: ModelOption = None,
    requests_per_minute: RequestsOption = None,
    tokens_per_minute: TokensOption = None,
    streams: StreamsOption = None,
    budget: BudgetOption = None,
    expires: ExpiresOption = None,
    network: NetworkOption = None,
    label: LabelOption = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Make a key. It is shown once; only its hash is kept.

    Without options it may use every model, without limits. For example:

        penstock keys create ci --model 'demo/*' --expires 90d
        penstock keys create team-search --budget 200/month --streams 20
    """
    from penstock.cli import managing  # noqa: PLC0415

    limits = requests_per_minute, tokens_per_minute, streams
    run_to_end(
        managing.create(
            name,
            lambda: _terms(models=model, limits=limits, budget=budget, expires=expires, networks=network, labels=label),
            config,
            os.environ,
            as_json=as_json,
        )
    )


@keys_app.command("list")
def list_(
    revoked: Annotated[bool, typer.Option("--revoked", help="Also those that were revoked.")] = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """List the keys, also those that stand in the config."""
    from penstock.cli import managing  # noqa: PLC0415

    run_to_end(managing.list_(config, os.environ, revoked=revoked, as_json=as_json))


@keys_app.command()
def show(key: WhichArgument, as_json: JsonOption = False, config: ConfigOption = None) -> None:
    """Show what a key may do, and what is left of its budget. Its secret cannot be shown: nobody has it."""
    from penstock.cli import managing  # noqa: PLC0415

    run_to_end(managing.show(key, config, os.environ, as_json=as_json))


@keys_app.command()
def rotate(
    key: WhichArgument,
    grace: Annotated[
        str, typer.Option(help="How long the old secret works beside the new one: `30m`, `24h`, `7d`.")
    ] = "24h",
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Give a key a new secret. The old one works until the grace period is over, so that clients can be changed.

    For example:

        penstock keys rotate ci
        penstock keys rotate ci --grace 0m  # the old one has leaked
    """
    from penstock.cli import managing  # noqa: PLC0415

    run_to_end(managing.rotate(key, lambda: _seconds(grace, "--grace"), config, os.environ, as_json=as_json))


@keys_app.command()
def revoke(key: WhichArgument, as_json: JsonOption = False, config: ConfigOption = None) -> None:
    """End a key for good. Answers that are under way end as they would."""
    from penstock.cli import managing  # noqa: PLC0415

    run_to_end(managing.revoke(key, config, os.environ, as_json=as_json))


@keys_app.command()
def limit(
    key: WhichArgument,
    *,
    model: ModelOption = None,
    requests_per_minute: RequestsOption = None,
    tokens_per_minute: TokensOption = None,
    streams: StreamsOption = None,
    budget: BudgetOption = None,
    expires: ExpiresOption = None,
    network: NetworkOption = None,
    label: LabelOption = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Change what a key may do. What you do not say stays as it is; `none` takes a limit away.

    For example:

        penstock keys limit ci --budget 20/month --expires none
        penstock keys limit ci --model 'demo/*' --model 'openai/gpt-5*'
    """
    from penstock.cli import managing  # noqa: PLC0415

    limits = requests_per_minute, tokens_per_minute, streams
    run_to_end(
        managing.limit(
            key,
            lambda: _terms(models=model, limits=limits, budget=budget, expires=expires, networks=network, labels=label),
            config,
            os.environ,
            as_json=as_json,
        )
    )


def _terms(
    *,
    models: list[str] | None,
    limits: tuple[str | None, str | None, str | None],
    budget: str | None,
    expires: str | None,
    networks: list[str] | None,
    labels: list[str] | None,
) -> Terms:
    """Return the terms that options say.

    Raises:
        ConfigError: one of them cannot be understood.
    """
    said: dict[str, Any] = {}
    if models:
        said["models"] = ("*",) if models == [NONE] else tuple(models)
    for name, text in zip(("requests_per_minute", "tokens_per_minute", "streams"), limits, strict=True):
        if text is not None:
            said[name] = None if text == NONE else _number(text, "--" + name.replace("_", "-"))
    if budget is not None:
        said["budget"] = None if budget == NONE else _budget(budget)
    if expires is not None:
        said["expires"] = None if expires == NONE else _moment(expires)
    if networks:
        said["networks"] = () if networks == [NONE] else tuple(networks)
    if labels:
        said["labels"] = {} if labels == [NONE] else dict(_label(label) for label in labels)
    return msgspec.convert(said, Terms)


def _number(text: str, option: str) -> int:
    if not re.fullmatch("[0-9]{1,16}", text):
        raise ConfigError(f"{option}: expected a number or `none`, not {text!r}")
    return int(text)


def _budget(text: str) -> dict[str, Any]:
    match = re.fullmatch(r"(\$?)([0-9.]+) ?(tokens)?/(day|month|total)", text)
    if match is None or (match[1] and match[3]) or (match[3] and not match[2].isdigit()):
        raise ConfigError(f"--budget: expected `10.50/month`, `1000000tokens/day` or `none`, not {text!r}")
    return {"tokens": int(match[2]), "per": match[4]} if match[3] else {"usd": match[2], "per": match[4]}


def _moment(text: str) -> str:
    if not re.fullmatch("[0-9]+[mhd]", text):
        return text
    try:
        ends = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=_seconds(text, "--expires"))
    except OverflowError:
        raise ConfigError(f"--expires: {text} is too long") from None
    return ends.isoformat(timespec="seconds")


def _seconds(text: str, option: str) -> int:
    match = re.fullmatch("([0-9]{1,9})([mhd])", text)
    if match is None:
        raise ConfigError(f"{option}: expected minutes, hours or days as 30m, 24h or 7d, not {text!r}")
    return int(match[1]) * _SECONDS[match[2]]


def _label(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise ConfigError(f"--label: expected name=value, not {text!r}")
    return name, value
