"""What a bank's file tells of booked balances: any message or bundle that the engine reads, in bounded memory."""

from __future__ import annotations

from pathlib import Path
from zoneinfo import ZoneInfo

from token_engine.banks.mailbox import ListedFile
from token_engine.domain.entry import Entry
from token_engine.domain.notification import Heading, MessageKind
from token_engine.domain.refusal import RefusedError
from token_engine.domain.told_balance import ToldBalance, told
from token_engine.iso20022 import bundle
from token_engine.iso20022.reader import kind_of, sections
from token_engine.iso20022.sniff import HEAD_BYTES
from token_engine.iso20022.utf8 import Readable


def balances_in(path: Path, file: ListedFile, zone: ZoneInfo) -> tuple[ToldBalance, ...]:
    """The booked balances that a file tells, none of a message that cannot be read to its end.

    Raises OSError where the file cannot be read. What is wrong in it is for the road to say, which takes it too.
    """
    found: list[ToldBalance] = []
    with path.open("rb") as source:
        head = source.peek(HEAD_BYTES)[:HEAD_BYTES]
        if not bundle.is_bundle(head[:4]) and kind_of(head) is MessageKind.NOTIFICATION:
            return ()  # has none: the most frequent kind is not read twice
        try:
            for name, member in bundle.members(source, file.shown):
                found += _of_message(member, name, file, zone)
        except RefusedError:
            pass  # of a bundle that breaks off: the messages before
    return tuple(found)


def _of_message(member: Readable, name: str, file: ListedFile, zone: ZoneInfo) -> list[ToldBalance]:
    headings: list[Heading] = []
    try:
        for part in sections(member):
            if isinstance(part, Heading):
                headings.append(part)
            elif not isinstance(part, Entry):
                headings[-1] = headings[-1].ended(part)
    except RefusedError:
        return []
    return [balance for heading in headings for balance in told(heading, file.modified_at, zone, name)]
