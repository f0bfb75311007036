"""What a printed report lists: accounts, days, breaks, incidents, signatures; what is too long is counted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from reportlab.platypus import Flowable

from token_engine.domain.dataset import Cover, Dataset, Discrepancy
from token_engine.domain.money import EXACT
from token_engine.domain.report import AccountPart
from token_engine.domain.safeguarding import Line, Standing, Timeliness
from token_engine.publishing.paper import gap, table, text
from token_engine.publishing.printed_words import known, moment, money

LISTED: Final = 200
"""How many accounts, breaks or incidents are printed: a person reads no more, and the other forms have them all."""
SHORT: Final = 25
"""A report of no more accounts prints each of them, good or not."""
_STANDING: Final = {
    Standing.RECONCILED: "reconciled", Standing.NOT_RECONCILED: "NOT reconciled",
    Standing.NO_EVIDENCE: "NO EVIDENCE", Standing.NONE_DUE: "bank closed",
}  # fmt: skip
_TIMELINESS: Final = {
    Timeliness.MET: "in time", Timeliness.LATE: "LATE", Timeliness.WAITING: "not due yet",
    Timeliness.MISSED: "MISSED", Timeliness.NONE_DUE: "none due",
}  # fmt: skip
_SEVERITIES: Final = {"Critical": 0, "Significant": 1, "Minor": 2}


def accounts(dataset: Dataset) -> list[Flowable]:
    """Each account of a short report; of a long one those that need attention, the worst first."""
    few = len(dataset.accounts) <= SHORT
    shown = [part for part in dataset.accounts if few or part.needs_attention]
    shown.sort(key=_worst_first)
    heading = "Accounts" if few else "Accounts that need attention"
    if not shown:
        good = f"None of {len(dataset.accounts):,} needs attention; the XLSX, CSV and JSON forms list them all."
        return [text(heading, "heading"), text(good)]
    rows = [_account(part) for part in shown[:LISTED]]
    return [
        text(heading, "heading"),
        table(("Account", "Bank", "Standing", "D+1", "Requirement", "Resource", "Excess", "Days to look at"), rows,
              (39, 19, 20, 14, 26, 26, 23, 13), frozenset({4, 5, 6})),
        *_more(len(shown), "accounts"),
    ]  # fmt: skip


def _worst_first(part: AccountPart) -> tuple[bool, bool, str]:
    line = part.closing
    return (line.excess or 0) >= 0, line.resource is not None, line.account_number


def _account(part: AccountPart) -> list[str | Flowable]:
    line, month = part.closing, part.month
    bad = 0
    if month is not None:
        bad = len(
            {*month.days_not_reconciled, *month.days_without_evidence, *month.days_late, *month.days_missed,
             *month.days_in_shortfall}
        )  # fmt: skip
    checks = f": {', '.join(line.failed_checks).replace('_', ' ')}" if line.failed_checks else ""
    return [
        f"{line.account_number} {line.currency}", line.bank, f"{_STANDING[line.standing]}{checks}",
        _TIMELINESS[line.timeliness], money(line.requirement, line.currency), known(line.resource, line.currency),
        known(line.excess, line.currency), f"{bad} of {month.days}" if month is not None else "",
    ]  # fmt: skip


def lines(lines: Sequence[Line]) -> list[Flowable]:
    """Each day of one account."""
    shown = [line for line in lines if line.standing is not Standing.NONE_DUE]
    if len(shown) < 2:
        return []
    rows: list[list[str | Flowable]] = [
        [str(line.day), _STANDING[line.standing], _TIMELINESS[line.timeliness],
         money(line.tokens_outstanding, line.currency), money(line.requirement, line.currency),
         known(line.resource, line.currency), known(line.excess, line.currency), line.statement_reference or ""]
        for line in shown
    ]  # fmt: skip
    return [
        text("Days of the account", "heading"),
        table(("Day", "Standing", "D+1", "Tokens", "Requirement", "Resource", "Excess", "Statement"), rows,
              (16, 20, 15, 27, 27, 27, 24, 24), frozenset({3, 4, 5, 6})),
    ]  # fmt: skip


def discrepancies(found: Sequence[Discrepancy]) -> list[Flowable]:
    """Breaks that were open in the period, those that still are first."""
    heading = text("Discrepancies", "heading")
    if not found:
        return [heading, text("None was open.")]
    order = sorted(found, key=lambda d: (d.status == "RESOLVED", _SEVERITIES.get(d.severity, 3), d.opened_at, d.id.int))
    rows: list[list[str | Flowable]] = [
        [f"{d.account_number} {d.currency}", f"{d.type.replace('_', ' ')} {d.subject}".strip(), d.severity,
         _difference(d),
         f"{moment(d.opened_at)}, {d.age_days} days", d.cause, d.remedy or f"{d.status}; {d.owner or 'nobody'}'s",
         f"{d.signed_off_by}, {moment(d.signed_off_at)}" if d.signed_off_by and d.signed_off_at else "-"]
        for d in order[:LISTED]
    ]  # fmt: skip
    return [
        heading,
        table(("Account", "Type", "Severity", "Difference", "Opened, age", "Cause", "Remedy", "Signed off"), rows,
              (39, 26, 14, 19, 17, 24, 22, 19), frozenset({3})),
        *_more(len(found), "discrepancies"),
    ]  # fmt: skip


def _difference(of: Discrepancy) -> str:
    if of.expected is None or of.actual is None:
        return ""
    return money(EXACT.subtract(of.actual, of.expected), of.currency)


def incidents(dataset: Dataset) -> list[Flowable]:
    """Breakers that were open in the period."""
    heading = text("Circuit breakers that were open", "heading")
    if not dataset.incidents:
        return [heading, text("None.")]
    order = sorted(dataset.incidents, key=lambda i: (i.closed_at is not None, i.opened_at, i.id))
    rows: list[list[str | Flowable]] = [
        [str(i.id), f"{i.account_number} {i.currency}", moment(i.opened_at), i.cause,
         moment(i.closed_at) if i.closed_at else "OPEN",
         f"{i.closing_requested_by}, {i.closing_approved_by}" if i.closing_approved_by else "", str(i.overrides)]
        for i in order[:LISTED]
    ]  # fmt: skip
    return [
        heading,
        table(("No.", "Account", "Opened", "Cause", "Closed", "Closed by (two persons)", "Overrides"), rows,
              (10, 39, 24, 39, 24, 30, 14), frozenset()),
        *_more(len(order), "incidents"),
    ]  # fmt: skip


def signatures(cover: Cover) -> list[Flowable]:
    """Who stands for the report."""
    if not cover.signatures:
        return [text("Sign-off", "heading"), text("Nobody has signed this report yet.")]
    rows: list[list[str | Flowable]] = [
        [s.actor, moment(s.at), s.reason, "this dataset" if s.current else f"an EARLIER dataset, {s.sha256[:16]}"]
        for s in cover.signatures
    ]  # fmt: skip
    return [
        text("Sign-off", "heading"), table(("Who", "When", "Reason", "Signed"), rows, (40, 28, 72, 40), frozenset()),
    ]  # fmt: skip


def _more(count: int, what: str) -> list[Flowable]:
    if count <= LISTED:
        return []
    return [gap(1), text(f"{count - LISTED:,} more {what} are in the XLSX, CSV and JSON forms.", "strong")]
