"""What stands in the bundle of a day: messages as they came, rows as lines of JSON, reports, the audit log's part."""

from __future__ import annotations

import zlib
from collections.abc import Awaitable, Callable, Iterator, Sequence
from hashlib import sha256
from typing import Final

from token_engine.archive.writer import BundleWriter
from token_engine.domain.bundle import AUDIT_LEAVES, AUDIT_LOG, AuditProof, BundleError
from token_engine.domain.merkle import leaf_hash
from token_engine.storage import archive as kept
from token_engine.storage import audit_leaves
from token_engine.storage.archive import Message, Within
from token_engine.storage.database import Transaction

Reports = Callable[[Transaction, Within], Awaitable[Sequence[tuple[str, bytes]]]]
"""The report files of a day, name and bytes: they see the database as the bundle does, and are the same bytes for the
same database.
"""
Progress = Callable[[str, int], None]
"""Called with what is under way and how much of it is done."""

_AT_ONCE: Final = 8 * 1024 * 1024

README: Final = """\
The record of one day of a Token Engine: whether every token was backed by money at a bank, and what says so.

messages.jsonl     every message of the day: when and where it came from, what became of it, which file holds it
messages/          the messages, byte for byte as they came
statements.jsonl, statement-lines.jsonl, statement-line-details.jsonl
                   the statements that close the day, with their checks, and what they state
statement-releases.jsonl
                   who asked for, and who agreed to, the release of one that failed a check
entries.jsonl      the bank's movements that the lines are;  movements.jsonl  the token ledger's;
matches.jsonl      which answers for which;  match-events.jsonl, match-requests.jsonl  what people did with that;
open-items.jsonl   what nothing answers for
snapshots.jsonl, snapshot-revisions.jsonl
                   how each account stood at the end of the day; what was corrected since, and why
reports/           the safeguarding reports of the day; they bear the moment until which they tell of it
audit/log.jsonl    who did what: the day's part of the audit log;  audit/leaves.txt  its hashes in the log's tree
manifest.jsonl     the first line tells of the bundle, the others name each file with size and SHA-256
manifest.note      the seal: a signed note (https://c2sp.org/signed-note) over the manifest's SHA-256

Amounts are in major units of the account's currency, times are UTC. A hash in leaves.txt is SHA-256 of a zero byte and
a line of log.jsonl (RFC 6962).

To verify everything, with the public key alone:  token-engine verify BUNDLE --public-key KEY
By hand, after `tar xf`:
  jq -r 'select(.name) | .sha256 + "  " + .name' manifest.jsonl | sha256sum -c
  sha256sum manifest.jsonl      and compare with manifest.note
"""


async def write_files(
    tx: Transaction, writer: BundleWriter, of: Within, proof: AuditProof, reports: Reports, say: Progress
) -> dict[str, int]:
    """Write all of it; how much there is of each. Raises BundleError if the database holds what never came or was done:
    a message or a row of the audit log that is not what its hash says.
    """
    writer.add("README.txt", README.encode())
    counts = {"messages": await _messages(tx, writer, of, say)}
    for name, statement in kept.TABLES.items():
        table = name.removesuffix(".jsonl")
        counts[table] = 0
        with writer.file(name) as out:
            async for lines in kept.lines(tx, statement, of):
                out.write("".join([f"{line}\n" for line in lines]).encode())
                counts[table] += len(lines)
                say(table.replace("-", " "), counts[table])
    counts["audit-entries"] = await _audit(tx, writer, of, proof, say)
    say("reports", 0)
    # Last: a report sets how its own transaction's questions are planned.
    files = await reports(tx, of)
    for name, content in files:
        writer.add(f"reports/{name}", content)
    counts["reports"] = len(files)
    return counts


async def _messages(tx: Transaction, writer: BundleWriter, of: Within, say: Progress) -> int:
    count = 0
    with writer.file("messages.jsonl") as out:
        async for found in kept.messages(tx, of):
            for message in found:
                about = f'{message.about[:-1]}, "file": "{_name(message)}"}}\n'
                out.write(about.encode())
    async for found in kept.messages(tx, of):
        for some in _at_once(found):
            if some[0].in_parts:
                await _in_parts(tx, writer, some[0])
            else:
                for message, (_, content) in zip(some, await kept.raw(tx, [m.id for m in some]), strict=True):
                    _check(message, len(content), sha256(content).digest())
                    writer.add(_name(message), content)
            count += len(some)
            say("messages", count)
    return count


def _at_once(found: Sequence[Message]) -> Iterator[list[Message]]:
    """As many as the memory may hold; one in parts comes alone."""
    some: list[Message] = []
    for message in found:
        if some and (message.in_parts or some[0].in_parts or sum(m.kept for m in some) + message.kept > _AT_ONCE):
            yield some
            some = []
        some.append(message)
    if some:
        yield some


async def _in_parts(tx: Transaction, writer: BundleWriter, message: Message) -> None:
    digest = sha256()
    try:
        with writer.file(_name(message)) as out:
            async for piece in kept.raw_in_parts(tx, message):
                digest.update(piece)
                out.write(piece)
    except zlib.error:
        raise BundleError(f"message {message.id} is not what came: its parts are damaged") from None
    _check(message, out.size, digest.digest())


def _check(message: Message, size: int, digest: bytes) -> None:
    """Of one refused for its size the hash is of more than was kept."""
    cut = message.beginning_only and not message.in_parts
    if not cut and (size, digest) != (message.raw_size, message.digest):
        raise BundleError(f"message {message.id} is not what came: the database was altered")


def _name(message: Message) -> str:
    """A folder for a thousand: a day may have a million."""
    return f"messages/{message.id // 1000:04}/{message.id}.raw"


async def _audit(tx: Transaction, writer: BundleWriter, of: Within, proof: AuditProof, say: Progress) -> int:
    count = 0
    with writer.file(AUDIT_LOG) as out:
        async for rows in audit_leaves.lines(tx, proof.first, proof.size, of.accounts):
            for row in rows:
                line = (row.line or "").encode()
                if leaf_hash(line) != row.hash:
                    raise BundleError(f"row {row.id} of the audit log is not what was sealed: the database was altered")
                if row.within:
                    out.write(line + b"\n")
                    count += 1
            say("audit log", count)
    with writer.file(AUDIT_LEAVES) as out:
        async for leaves in audit_leaves.leaves(tx, proof.first, proof.size):
            out.write("".join([f"{leaf.hex()}\n" for leaf in leaves]).encode())
    return count
