"""camt.052, camt.053 and camt.054 in every version from .02 to .14, as a stream.

Parsed by structure and local names, never by version: the versions differ in what surrounds the few
elements that are money. Namespaces, prefixes and envelopes around `Document` play no part.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from lxml import etree
from lxml.etree import _Element as Element

from token_engine.domain.entry import Entry
from token_engine.domain.notification import Ending, Heading, MessageKind
from token_engine.domain.refusal import RefusedError
from token_engine.iso20022.camt_entry import EntryDraft
from token_engine.iso20022.camt_heading import GroupHeader, balance, group_header, heading, totals
from token_engine.iso20022.camt_plain import PlainEntries
from token_engine.iso20022.sniff import name_of_xml, refuse_doctype
from token_engine.iso20022.utf8 import Utf8Stream
from token_engine.iso20022.xml import FaultError, local

_KINDS: Final = {
    "BkToCstmrAcctRpt": (MessageKind.REPORT, "Rpt"),
    "BkToCstmrStmt": (MessageKind.STATEMENT, "Stmt"),
    "BkToCstmrDbtCdtNtfctn": (MessageKind.NOTIFICATION, "Ntfctn"),
}
_SECTIONS: Final = frozenset(section for _, section in _KINDS.values())
_WATCHED: Final = tuple(
    f"{{*}}{name}" for name in (*_KINDS, *_SECTIONS, "Bal", "TxsSummry", "Ntry", "NtryDtls", "Btch", "TxDtls")
)
_MOST_BALANCES: Final = 1_000
"""Behind the entries of one statement. Some ten are usual."""


_COMMENT: Final = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_MESSAGE: Final = re.compile(rf"<(?:[^\s<>/!?:]+:)?({'|'.join(_KINDS)})[\s/>]")


def kind_in(opening: str) -> MessageKind | None:
    """What the beginning of an XML text says it is: the first of our messages in it. None where it holds none yet."""
    if "BkToCstmr" not in opening:
        return None
    found = _MESSAGE.search(_COMMENT.sub("", opening) if "<!--" in opening else opening)
    return None if found is None else _KINDS[found[1]][0]


def sections(stream: Utf8Stream) -> Iterator[Heading | Entry | Ending]:
    """Yield each notification's, report's or statement's heading, then its entries, and what stands behind them though
    the schema has it before them, as they are read.

    Memory is bounded by one heading or one details of an entry, not by the message. Raises RefusedError
    naming the place; what was yielded before it is then void, for a message is read whole or not at all.
    """
    refuse_doctype(stream.opening)
    plain = PlainEntries(stream)
    walk = _Walk(plain)
    try:
        # The encoding is given, so that the declaration cannot say otherwise; the stream is bytes, so
        # that the parser never sees a path or an address.
        parser = etree.iterparse(
            plain,
            events=("end",),
            tag=_WATCHED,
            encoding="utf-8",
            resolve_entities=False,
            no_network=True,
            load_dtd=False,
            huge_tree=False,
            remove_comments=True,
            remove_pis=True,
            collect_ids=False,
        )
        for _, element in parser:
            yield from walk.at_end_of(element)
    except FaultError as fault:
        raise fault.within(walk.place, stream.lines_skipped) from fault
    except etree.XMLSyntaxError as error:
        raise RefusedError(
            "invalid_xml", f"not well-formed: {' '.join((error.msg or '').split()).replace(' , line', ', line')}"
        ) from error
    if not walk.messages:
        raise RefusedError(
            "not_a_bank_message",
            f"not a camt.052, camt.053 or camt.054 from version .02 on: this is {name_of_xml(stream.opening)}",
        )


class _Walk:
    """Where in the message the parser is. Elements are freed as soon as they are read.

    The parser runs ahead by a chunk: when an element's end is told, what follows it may already be in the
    tree, and be incomplete. So only the element and what precedes it is ever read or dropped.
    """

    def __init__(self, plain: PlainEntries) -> None:
        self.place = ""
        self.messages = 0
        self._plain = plain
        self._message: Element | None = None
        self._group: GroupHeader | None = None
        self._section: Element | None = None
        self._section_place = ""
        self._sections = 0
        self._entries = 0
        self._balances = 0
        self._draft = EntryDraft()

    def at_end_of(self, element: Element) -> Iterator[Heading | Entry | Ending]:
        """Read a complete element, yield what it completes, and free it."""
        name = local(element.tag)
        if name == "Ntry":
            section = element.getparent()
            told = self._plain.told(element)
            if section is not None and (section is self._section or _is_section(section)):
                yield from self._open(section)
                if told is None:
                    self._draft.read(element)
                    yield self._draft.entry(element)
                    self._begin_entry()
                else:
                    yield from told
                    self._begin_entry(after=len(told))
                self._free(element)
        elif name in ("NtryDtls", "Btch", "TxDtls"):
            details = element if name == "NtryDtls" else _parent(element, "NtryDtls")
            ntry = _parent(details, "Ntry")
            section = None if ntry is None else ntry.getparent()
            if section is not None and (section is self._section or _is_section(section)):
                yield from self._open(section)
                self._in_details(name, element)
        elif name in ("Bal", "TxsSummry"):
            section = element.getparent()
            if section is not None and section is self._section:  # else it is before the entries: the heading has it
                yield self._behind(element)
        elif name in _SECTIONS:
            if _is_section(element):
                yield from self._open(element)
                self._section = None
                self._free(element)
                for ancestor in element.iterancestors():
                    _drop_before(ancestor)
        elif _is_message(element) and element is not self._message:
            self.place = name
            raise FaultError("missing_field", element, _KINDS[name][1], "the message holds none")

    def _behind(self, element: Element) -> Ending:
        """What a balance or summary says that follows entries of its section."""
        place, self.place = self.place, self._section_place
        if local(element.tag) == "Bal":
            self._balances += 1
            if self._balances > _MOST_BALANCES:
                raise FaultError("too_large", element, "Bal", f"is one of more than {_MOST_BALANCES} balances")
            ending = Ending(balances=(balance(element, self._balances),))
        else:
            ending = totals(element)
        self.place = place
        return ending

    def _in_details(self, name: str, element: Element) -> None:
        """The first details are left in the tree until it is known whether they are the only ones."""
        draft = self._draft
        if name == "Btch":
            draft.read_batch(element)
        elif name == "TxDtls":
            draft.add_details(element)
            if draft.details > 1:
                self._free(element)
        elif draft.details != 1:
            # Read what stands before the details, so that it can be freed with them.
            draft.read(element.itersiblings(preceding=True))
            self._free(element)

    def _open(self, section: Element) -> Iterator[Heading]:
        """Yield the heading of a section that is entered for the first time."""
        if section is self._section:
            return
        message = section.getparent()
        assert message is not None  # _is_section has seen it
        kind, section_name = _KINDS[local(message.tag)]
        if message is not self._message or self._group is None:
            self._message = message
            self._sections = 0
            self.messages += 1
            self.place = "GrpHdr"
            self._group = group_header(message, kind, section_name)
        self._section = section
        self._sections += 1
        self._entries = 0
        self.place = self._section_place = f"{section_name}[{self._sections}]"
        told = heading(section, kind, self._group)
        self._balances = len(told.balances)
        yield told
        self._begin_entry()

    def _begin_entry(self, after: int = 1) -> None:
        self._entries += after
        self._draft = EntryDraft()
        self.place = f"{self._section_place}/Ntry[{self._entries}]"

    def _free(self, element: Element) -> None:
        element.clear(keep_tail=True)  # type: ignore[call-arg]  # unknown to the stubs
        _drop_before(element)
        self._plain.freed()


def _parent(element: Element | None, name: str) -> Element | None:
    parent = None if element is None else element.getparent()
    return parent if parent is not None and local(parent.tag) == name else None


def _is_message(element: Element) -> bool:
    """One of ours, and not carried as supplementary data inside another one."""
    return local(element.tag) in _KINDS and not any(
        local(ancestor.tag) in _KINDS for ancestor in element.iterancestors()
    )


def _is_section(element: Element) -> bool:
    message = element.getparent()
    if message is None or not _is_message(message):
        return False
    return _KINDS[local(message.tag)][1] == local(element.tag)


def _drop_before(element: Element) -> None:
    parent = element.getparent()
    if parent is not None:
        while element.getprevious() is not None:
            del parent[0]
