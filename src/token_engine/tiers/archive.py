"""Archiving a day: its bundle is made, put away and remembered. What is learnt of the day later makes another edition;
a bundle that was made is never replaced.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from token_engine.archive.store import Store, staged
from token_engine.archive.writer import BundleWriter
from token_engine.domain.bundle import FORMAT, Account, Earlier, Manifest, bundle_name
from token_engine.domain.note import Signer
from token_engine.domain.person import check_actor
from token_engine.domain.refusal import RefusedError
from token_engine.storage import archive as kept
from token_engine.storage.archive import KeptBundle, Within
from token_engine.storage.database import Database, Transaction
from token_engine.storage.streaming import read_as_of_now
from token_engine.tiers import audit_tree
from token_engine.tiers.archive_files import Progress, Reports, write_files
from token_engine.tiers.changes import Changes

ARCHIVED = "reconciliation.archive.complete"
"""The subject of the event that announces a bundle."""


class Wanted(NamedTuple):
    """What is asked for: a day, accounts by number or id (none: all), and who asks."""

    day: date
    accounts: tuple[str, ...]
    actor: str


class Archived(NamedTuple):
    """A bundle that was put away. `again`: it had been made before, and the day is as it was."""

    name: str
    place: str
    manifest: Manifest
    sha256: str
    again: bool


async def archive_day(
    database: Database, wanted: Wanted, store: Store, signer: Signer, reports: Reports, now: datetime, say: Progress
) -> Archived:
    """Make the day's bundle and put it away. `now` has a time zone; a day is over at midnight UTC.

    Raises RefusedError (day_not_over, unknown_account, invalid_actor), and BundleError where the bundle cannot be made
    or put away: nothing was put away or remembered then.
    """
    actor = check_actor(wanted.actor)
    if wanted.day >= now.astimezone(UTC).date():
        raise RefusedError("day_not_over", f"{wanted.day} is not over (UTC): it is archived when it is", "day")
    async with database.transaction() as guard:
        await kept.lock(guard)
        accounts, of = await _accounts(guard, wanted)
        async with database.transaction() as tx:
            await audit_tree.seal(tx, wanted.day, signer, now)
        plan = await kept.last_edition(guard, _scope(of), wanted.day)
        with staged(store) as path:
            if plan is not None:
                manifest, digest = await _build(database, path, plan, accounts, of, signer, reports, say)
            again = plan is not None and plan.manifest == bytes.fromhex(digest)
            if not again:
                path.unlink(missing_ok=True)
                plan = await _next(guard, of, plan)
                manifest, digest = await _build(database, path, plan, accounts, of, signer, reports, say)
            name = bundle_name(manifest.day, manifest.edition, accounts)
            say(f"put into {store.place}", path.stat().st_size)
            store.put(path, name)
        done = Archived(name, store.place, manifest, digest, again)
        if plan is not None and not again:
            # In the transaction that holds the lock: who has lost it remembers nothing.
            made = plan._replace(manifest=bytes.fromhex(digest))
            await kept.keep_bundle(guard, made, actor, now)
            await _tell(guard, done, made, actor, now)
    return done


async def _accounts(tx: Transaction, wanted: Wanted) -> tuple[tuple[Account, ...] | None, Within]:
    if not wanted.accounts:
        return None, Within(wanted.day, None)
    rows = await kept.accounts_named(tx, wanted.accounts)
    for name in wanted.accounts:
        if not any(name in (row.account_number, str(row.id)) for row in rows):
            raise RefusedError("unknown_account", f"there is no account {name}", "account")
    return (
        tuple(sorted(Account(row.account_number, row.currency) for row in rows)),
        Within(wanted.day, sorted(row.id for row in rows)),
    )


def _scope(of: Within) -> str:
    return "all" if of.accounts is None else ",".join(map(str, of.accounts))


async def _next(tx: Transaction, of: Within, edition: KeptBundle | None) -> KeptBundle:
    """What the next bundle will be remembered as, but for its manifest."""
    last = await kept.last_bundle(tx, _scope(of))
    return KeptBundle(
        scope=_scope(of), sequence=last.sequence + 1 if last else 1, day=of.day,
        edition=edition.edition + 1 if edition else 1, manifest=b"", engine=f"token-engine {version('token-engine')}",
    )  # fmt: skip


async def _build(
    database: Database, path: Path, plan: KeptBundle, accounts: tuple[Account, ...] | None, of: Within,
    signer: Signer, reports: Reports, say: Progress,
) -> tuple[Manifest, str]:  # fmt: skip
    """Write the bundle; its manifest and the manifest's SHA-256. Of the same database it makes the same bytes."""
    async with database.transaction() as tx:
        await read_as_of_now(tx)
        proof = await audit_tree.proof_of(tx, of.day)
        previous = await kept.bundle_number(tx, plan.scope, plan.sequence - 1)
        replaces = await kept.edition(tx, plan.scope, of.day, plan.edition - 1)
        with BundleWriter(path) as writer:
            counts = await write_files(tx, writer, of, proof, reports, say)
            manifest = Manifest(
                format=FORMAT, day=of.day, accounts=accounts, edition=plan.edition, sequence=plan.sequence,
                previous=_earlier(previous), replaces=_earlier(replaces), engine=plan.engine, counts=counts,
                audit=proof,
            )  # fmt: skip
            return manifest, writer.finish(manifest, signer)


def _earlier(bundle: KeptBundle | None) -> Earlier | None:
    return None if bundle is None else Earlier(bundle.day, bundle.edition, bundle.manifest.hex())


async def _tell(tx: Transaction, done: Archived, made: KeptBundle, actor: str, now: datetime) -> None:
    manifest = done.manifest
    said = {
        "day": manifest.day, "edition": manifest.edition, "bundle": done.name, "place": done.place,
        "accounts": manifest.accounts, "manifest_sha256": done.sha256, "audit_log_size": manifest.audit.size,
    }  # fmt: skip
    changes = Changes(now)
    changes.note("day_archived", None, None, said, actor)
    scope = sha256(made.scope.encode()).hexdigest()[:16]
    changes.announce(ARCHIVED, f"archive.{scope}.{made.sequence}", None, said | {"actor": actor})
    await changes.write(tx)
