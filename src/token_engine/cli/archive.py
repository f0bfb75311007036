"""`token-engine archive`, `verify` and `archive-key`: a day's bundle, made and put away, and held against its key."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Final, NoReturn

import msgspec
import typer
from rich.console import Console
from rich.progress import Progress as Bar
from rich.progress import TextColumn, TimeElapsedColumn

from token_engine.archive.key import load_key, new_key, public_key
from token_engine.archive.store import store_at
from token_engine.archive.verify import verify
from token_engine.cli.archive_words import chain, counted, row, story
from token_engine.cli.once import fail
from token_engine.cli.options import DATA, Actor, AsJson, Data, DatabaseUrl, Firm, database_of
from token_engine.cli.session import now, with_database
from token_engine.domain.bundle import BundleError
from token_engine.domain.note import NoteError
from token_engine.domain.refusal import RefusedError
from token_engine.storage.database import Database
from token_engine.tiers.archive import Archived, Wanted, archive_day
from token_engine.tiers.archive_files import Progress
from token_engine.tiers.archive_reports import reports_of_day

keys = typer.Typer(help="The key that seals bundles.", no_args_is_help=True)

_KEY: Final = "archive.key"
KeyFile = Annotated[
    Path | None,
    typer.Option(
        "--key-file", envvar="TOKEN_ENGINE_ARCHIVE_KEY_FILE", help=f"The private key; default {_KEY} in --data."
    ),
]


def archive(
    day: Annotated[datetime, typer.Argument(formats=["%Y-%m-%d"], metavar="DATE", help="A day that is over (UTC).")],
    to: Annotated[str | None, typer.Option(help="A folder, or s3://bucket/prefix; default: archive in --data.")] = None,
    account: Annotated[
        list[str] | None, typer.Option(help="Only this account, by number or id; may be given again.")
    ] = None,
    actor: Actor = "cli",
    key_file: KeyFile = None,
    firm: Firm = None,
    data: Data = DATA,
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Put the record of a day away in one signed bundle. The same again changes nothing; what was learnt of the day
    since makes another edition.
    """
    url = database_of(database_url, data)
    wanted = Wanted(day.date(), tuple(account or ()), actor)

    async def work(database: Database) -> Archived:
        with _progress() as say:
            at = now()
            reports = partial(reports_of_day, now=at, firm=firm)
            return await archive_day(database, wanted, store, signer, reports, at, say)

    try:
        signer = load_key(key_file or data / _KEY)
        store = store_at(to or str(data / "archive"))
        done = with_database(url, work)
    except RefusedError as refused:
        fail(refused.refusal)
    except BundleError as error:
        _stop(str(error), 1)
    if as_json:
        said = {
            "bundle": done.name, "place": done.place, "day": done.manifest.day, "edition": done.manifest.edition,
            "manifest_sha256": done.sha256, "again": done.again, "counts": done.manifest.counts,
        }  # fmt: skip
        typer.echo(msgspec.json.encode(said))
        return
    typer.echo(f"{done.place}/{done.name}{': as it was' if done.again else ''}")
    typer.echo(f"  {counted(done.manifest)}")
    typer.echo(f"  manifest {done.sha256}")


def verify_bundles(
    bundles: Annotated[list[Path], typer.Argument(metavar="BUNDLE...", help="Several are also held together.")],
    public: Annotated[
        list[str],
        typer.Option(
            "--public-key",
            envvar="TOKEN_ENGINE_ARCHIVE_PUBLIC_KEY",
            help="name+id+base64, or a file that holds it; again where the key was changed.",
        ),
    ],
    as_json: AsJson = False,
) -> None:
    """Verify bundles with the public key alone: no database, no network. Exits 1 if anything is not as signed."""
    try:
        known = [public_key(given) for given in public]
    except BundleError as error:
        _stop(str(error), 2)
    verdicts = []
    for path in bundles:
        try:
            with _progress() as say:
                verdict = verify(path, known, partial(say, "verified"))
        except OSError as error:
            _stop(f"{path}: {error.strerror}", 2)
        verdicts.append(verdict)
        if as_json:
            typer.echo(msgspec.json.encode(row(verdict)))
        else:
            for line in story(verdict):
                typer.echo(line)
    wrong, gaps = chain(verdicts)
    for line in [*wrong, *gaps]:
        typer.echo(line, err=True)
    if wrong or any(verdict.wrong for verdict in verdicts):
        raise typer.Exit(1)


@keys.command("new")
def new(
    name: Annotated[
        str, typer.Argument(help="Whose it is, without blanks: example.com/token-engine. Keep it for ever.")
    ],
    key_file: KeyFile = None,
    data: Data = DATA,
) -> None:
    """Make a key; prints its public part, which whoever verifies needs."""
    path = key_file or data / _KEY
    try:
        verifier = new_key(path, name)
    except (BundleError, NoteError) as error:
        _stop(str(error), 1)
    except OSError as error:
        _stop(f"{path}: {error.strerror}", 2)
    typer.echo(verifier.text())
    typer.echo(f"The private key is in {path}: keep a copy where nobody else reads it.", err=True)


@keys.command("show")
def show(key_file: KeyFile = None, data: Data = DATA) -> None:
    """Print the public part of the key."""
    try:
        typer.echo(load_key(key_file or data / _KEY).verifier.text())
    except BundleError as error:
        _stop(str(error), 1)


@contextmanager
def _progress() -> Iterator[Progress]:
    """What is under way, on the terminal; nothing where there is none."""
    columns = TextColumn("{task.description}"), TextColumn("{task.completed}"), TimeElapsedColumn()
    console = Console(stderr=True)
    with Bar(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=None)
        yield lambda what, done: bar.update(task, description=what, completed=done)


def _stop(message: str, code: int) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(code)
