"""The command line. Each command is a short function here; what it does is in a module beside it."""

import functools
import gc
import os
from pathlib import Path
from typing import Annotated

import typer

from penstock import __version__
from penstock.cli.keys import keys_app
from penstock.cli.running import ConfigOption, run_to_end

# A command loads much at first and keeps it, and requests leave little garbage in cycles. To look for it as often as by
# default (700, 10, 10) is a tenth of what a gateway takes to start.
gc.set_threshold(50_000, 20, 20)

app = typer.Typer(
    name="penstock",
    help="A streaming LLM gateway: one address and one key for every model, in the protocol you already speak.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
app.add_typer(keys_app, name="keys")

HostOption = Annotated[str | None, typer.Option(help="Where to listen; wins over the file.", show_default="127.0.0.1")]
PortOption = Annotated[int | None, typer.Option(min=0, max=65535, help="0 takes any free port.", show_default="8080")]
WorkersOption = Annotated[
    int | None, typer.Option(min=1, max=256, help="Processes that serve, with the same limits.", show_default="1")
]
LogLevel = Annotated[str, typer.Option(help="debug, info, warning or error. Logs go to standard error.")]


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def main(
    _version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Take the options that stand before any command."""


@app.command()
def serve(
    config: ConfigOption = None,
    host: HostOption = None,
    port: PortOption = None,
    workers: WorkersOption = None,
    log_level: LogLevel = "info",
) -> None:
    """Run the gateway.

    Without a config file it serves every provider whose key stands in the environment (OPENAI_API_KEY,
    ANTHROPIC_API_KEY, GEMINI_API_KEY, DEEPSEEK_API_KEY ...) and the scripted demo models. On the first run it makes a
    key and shows it once.
    """
    from penstock.cli import serving  # noqa: PLC0415 - `penstock --help` need not load a web server

    run_to_end(serving.serve(config, serving.Given(host, port, workers), log_level, os.environ))


@app.command()
def demo() -> None:
    """See a poem arrive through four protocols. Needs no key, and ends by itself."""
    from penstock.cli import demonstration  # noqa: PLC0415

    run_to_end(demonstration.run())


@app.command()
def simulate(
    host: Annotated[str, typer.Option(help="Where to listen.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes any free port.")] = 9001,
    settings: Annotated[str, typer.Option("--set", help="For every request, for example `ttft=0.2,gap=0.02`.")] = "",
    log: Annotated[
        Path | None, typer.Option("--log", help="Append a line of JSON for each call, to compare a ledger with.")
    ] = None,
) -> None:
    """Run the scripted demo provider alone, to test or load a gateway against it.

    It speaks the OpenAI, Anthropic and Gemini protocols. A request can override the settings in a header
    `x-penstock-sim: ttft=0.2,fault=cut` or behind its model name: `poet@gap=0.05,fault=cut`.
    """
    from penstock.cli import serving  # noqa: PLC0415

    run_to_end(serving.simulate(host, port, settings, log))


@app.command()
def check(
    url: Annotated[
        str, typer.Argument(help="As you would give it to an SDK, or without its path.", show_default=True)
    ] = "http://127.0.0.1:8080",
    protocol: Annotated[
        list[str] | None,
        typer.Option(
            help="openai-chat, openai-responses, anthropic or gemini; may be given twice. Default: all that are found."
        ),
    ] = None,
    model: Annotated[str, typer.Option(help="Default: the first of the endpoint's list.", show_default=False)] = "",
    key: Annotated[str, typer.Option(envvar="PENSTOCK_KEY", help="Never printed.", show_default=False)] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print a report for programs instead of a table.")] = False,
) -> None:
    """Find out what SDK users would suffer at an endpoint: this gateway, another one, or a model server.

    It asks some 25 things in each protocol that it finds, follows every stream event by event, and prints each rule
    that is broken with the bytes that break it and what an official SDK makes of them. A model that costs money is
    asked about 20 short questions.

    Exit status: 0 if nothing is violated (there may be warnings), 1 if something is, 2 if nothing could be checked.

        penstock check                                     # the gateway of this machine
        penstock check http://gpu-7:8000/v1 --model qwen3  # a model server
    """
    from penstock.cli import checking  # noqa: PLC0415

    run_to_end(checking.check(url, tuple(protocol or ()), model, key, as_json=as_json))


@app.command()
def record(
    to: Annotated[str, typer.Option("--to", help="What is recorded, for example `https://api.openai.com`.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for the cases; made if it is not there.")],
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes any free port.")] = 9002,
    host: Annotated[str, typer.Option(help="An address of this machine that nobody else can reach.")] = "127.0.0.1",
    provider: Annotated[str, typer.Option(help="Folder to put cases in.", show_default="the host of --to")] = "",
) -> None:
    """Record live traffic as test cases, without keys and personal headers.

    It is a proxy: your SDK talks to it, it talks to the provider, and every exchange becomes a folder with the request,
    the answer byte for byte, and when which bytes came. Keys are taken out of headers, queries and bodies before
    anything is written; prompts and answers are kept as they are, so read a case before you publish it.

        penstock record --to https://api.anthropic.com --out cases
        ANTHROPIC_BASE_URL=http://127.0.0.1:9002 python my_agent.py
    """
    from penstock.cli import recording  # noqa: PLC0415

    run_to_end(recording.record(to, out, host, port, provider))


@app.command()
def usage(
    *,
    by: Annotated[
        list[str] | None,
        typer.Option(help="day, key, model or provider; several with commas.", show_default="day"),
    ] = None,
    since: Annotated[
        str | None, typer.Option("--from", help="A day or a time, UTC.", show_default="29 days ago")
    ] = None,
    until: Annotated[str | None, typer.Option("--to", help="Likewise; a day counts whole.", show_default="now")] = None,
    key: Annotated[str | None, typer.Option(help="Only this key: its id or name.", show_default=False)] = None,
    model: Annotated[str | None, typer.Option(help="Only this model, as asked for.", show_default=False)] = None,
    provider: Annotated[str | None, typer.Option(help="Only this provider.", show_default=False)] = None,
    request: Annotated[
        str | None,
        typer.Option(
            metavar="ID", help="One request and its attempts, by the id that `x-request-id` told.", show_default=False
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV instead of a table.")] = False,
    config: ConfigOption = None,
) -> None:
    """Show what requests came to: how many, how they ended, tokens and cost.

    For example:

        penstock usage --by key,model --from 2026-11-01
        penstock usage --key team-a --csv > team-a.csv
        penstock usage --request req_6b039a429993e06190457341
    """
    from penstock.cli import one_request, reporting  # noqa: PLC0415

    if as_json and as_csv:
        raise typer.BadParameter("Give one of them, not both.", param_hint="--json, --csv")
    question = reporting.Question(by or (), since, until, key, model, provider)
    format_ = "json" if as_json else "csv" if as_csv else "table"
    show = reporting.show if request is None else functools.partial(one_request.show, request)
    run_to_end(show(question, format_, config, os.environ))


@app.command()
def prices(
    model: Annotated[
        str | None, typer.Argument(help="As clients ask for it.", show_default="all that are listed")
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Show what the tokens of models cost, and where that is known from."""
    from penstock.cli import pricing  # noqa: PLC0415

    run_to_end(pricing.show(model, config, os.environ))


admin_app = typer.Typer(help="Look after the admin API.", no_args_is_help=True)
app.add_typer(admin_app, name="admin")


@admin_app.command("token")
def token(config: ConfigOption = None) -> None:
    """Make a new admin token and show it once. The one before it ends at once, also on a gateway that runs."""
    from penstock.cli import managing  # noqa: PLC0415

    run_to_end(managing.renew_admin_token(config, os.environ))


db_app = typer.Typer(help="Look after the database.", no_args_is_help=True)
app.add_typer(db_app, name="db")


@db_app.command("upgrade")
def upgrade(config: ConfigOption = None) -> None:
    """Bring the database up to date, and say from which revision to which.

    `penstock serve` does the same when it starts. Do it beforehand where starting must not take long.
    """
    from penstock.cli import databases  # noqa: PLC0415

    run_to_end(databases.upgrade(config, os.environ))
