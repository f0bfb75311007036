"""The sums of a printed report: what it is, whether all is well, and each currency's requirement and resource."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from reportlab.platypus import Flowable

from token_engine.domain.dataset import Cover, Dataset
from token_engine.domain.period import Span
from token_engine.domain.report import CurrencyPart
from token_engine.domain.safeguarding import Role
from token_engine.domain.tally import Extent, Total
from token_engine.publishing.paper import figures, gap, table, text
from token_engine.publishing.printed_words import moment, money

_ROLE: Final = {
    Role.SAFEGUARDING: "safeguarding", Role.SETTLEMENT: "settlement: in transit, not counted",
    Role.OWN_FUNDS: "own funds: not counted",
}  # fmt: skip


def scope_of(dataset: Dataset) -> str:
    """Whose money it is about."""
    scope = dataset.scope
    if scope.account_id is not None:
        return f"account {scope.account_number} {scope.currency}"
    return f"token x{scope.currency}" if scope.currency else "the firm, all accounts"


def front(dataset: Dataset, cover: Cover) -> list[Flowable]:
    """What the report is, of whom, as of when, and the hash of its data."""
    period = dataset.period
    span = "Day" if period.span is Span.DAY else "Month"
    days = "" if period.span is Span.DAY else f" ({period.first} to {period.last}{'' if period.whole else ', so far'})"
    said = [
        ("Scope", scope_of(dataset)), (span, f"{period.name}{days}"),
        ("As of", f"close of {dataset.as_of}, at each bank's cut-off"),
        ("Told until", f"{moment(dataset.until)} (D+1 of the last day)"), ("Report", dataset.id),
        *([("Generated at", moment(cover.generated_at))] if cover.generated_at else []),
        ("Dataset SHA-256", cover.sha256),
    ]  # fmt: skip
    firm: list[Flowable] = [text(cover.firm, "strong")] if cover.firm else []
    return [*firm, text("Safeguarding report", "title"), gap(1), *(text(f"{name}: {value}") for name, value in said)]


def verdict(dataset: Dataset) -> list[Flowable]:
    """The one sentence that a reader looks for."""
    wrong: list[str] = []
    for part in dataset.currencies:
        closing = part.closing
        if closing.excess < 0:
            unproven = f", of which {money(closing.unproven, part.currency)} nothing shows" if closing.unproven else ""
            wrong.append(f"shortfall of {money(-closing.excess, part.currency)} {part.currency}{unproven}")
        elif closing.accounts_in_shortfall:
            wrong.append(_of(closing.accounts_in_shortfall, closing, "in shortfall"))
        for count, words in (
            (closing.accounts_without_evidence, "without evidence"),
            (closing.accounts_not_reconciled, "not reconciled"),
            (closing.closed_late + closing.closing_missed, "not closed in time (D+1)"),
        ):
            if count:
                wrong.append(_of(count, closing, words))
    still = sum(incident.closed_at is None for incident in dataset.incidents)
    if still:
        wrong.append(f"circuit breakers open: {still}")
    attention = sum(part.needs_attention for part in dataset.accounts)
    if attention and not wrong:
        wrong.append(f"accounts with days that were not reconciled, not in time, or in shortfall: {attention}")
    if not any(part.closing.accounts for part in dataset.currencies):
        wrong.append("nothing is shown: no bank was open, or no account is kept")
    if wrong:
        return [gap(2), text(f"ATTENTION: {'; '.join(wrong)}.", "bad")]
    return [gap(2), text("Every account whose bank was open is reconciled, in time, and backed in full.", "good")]


def _of(count: int, closing: Total, words: str) -> str:
    return f"{count:,} of {closing.accounts:,} {closing.currency} accounts {words}"


def of_currency(part: CurrencyPart, dataset: Dataset) -> list[Flowable]:
    """A currency: requirement, resource, what is short, and what is shown beside it."""
    closing, way, currency = part.closing, part.on_the_way, part.currency

    def row(words: str, amount: Decimal, *, total: bool = False) -> tuple[str, str, bool]:
        return words, money(amount, currency), total

    rows = [
        row(f"Tokens outstanding, {part.token}", closing.tokens_outstanding),
        row("Received, not yet credited", closing.uncredited),
        row("Deducted, not yet paid", closing.unpaid),
        row("Safeguarding requirement", closing.requirement, total=True),
        *(row(f"{h.bank}, accounts: {h.accounts:,}" + _unknown(h.accounts_without_evidence), h.balance)
          for h in part.holdings if h.role is Role.SAFEGUARDING),
        row("Safeguarding resource, as evidence shows it", closing.resource, total=True),
        row("Excess" if closing.excess >= 0 else "SHORTFALL", closing.excess, total=True),
    ]  # fmt: skip
    beside = [
        row("Requirement of accounts whose resource nothing shows", closing.unproven),
        row("Outstanding tokens held for payouts that are not sent", way.held),
        row("Outstanding tokens of payouts sent and not debited yet", way.sent),
        *(row(f"{h.bank}, {_ROLE[h.role]}", h.balance) for h in part.holdings if h.role is not Role.SAFEGUARDING),
        row("Credits announced and not booked yet: no resource", way.announced),
        row("Credited to tokens before the bank's credit: no resource", closing.unreceived),
    ]  # fmt: skip
    story: list[Flowable] = [
        text(f"{currency}: close of {dataset.as_of}", "heading"), figures(rows), gap(2), text("Beside it", "faint"),
        figures([each for each in beside if each[1].strip("0.,") or each is beside[0]]), gap(1),
        text(_counts(closing)),
    ]  # fmt: skip
    if dataset.period.span is Span.MONTH:
        story += _month(part)
    return story


def _unknown(count: int) -> str:
    return f" ({count} without evidence, not counted)" if count else ""


def _counts(closing: Total) -> str:
    return (
        f"Accounts: {closing.accounts:,}. {closing.accounts_reconciled} reconciled, "
        f"{closing.accounts_not_reconciled} not reconciled, {closing.accounts_without_evidence} without evidence; "
        f"{closing.accounts_in_shortfall} in shortfall. D+1: {closing.closed_in_time} in time, {closing.closed_late} "
        f"late, {closing.closing_missed} missed, {closing.closing_waited_for} not due yet."
    )


def _month(part: CurrencyPart) -> list[Flowable]:
    currency = part.currency
    extents = [_extent("Requirement", part.requirement, currency), _extent("Resource", part.resource, currency)]
    days = [
        [str(day.day), money(day.requirement, currency), money(day.resource, currency), money(day.excess, currency),
         f"{day.accounts_reconciled} of {day.accounts - day.accounts_carried}",
         str(day.accounts_without_evidence + day.accounts_not_reconciled), f"{day.closed_late + day.closing_missed}"]
        for day in part.days
    ]  # fmt: skip
    return [
        text(f"{currency}: over the month", "heading"),
        table(("", "Highest", "on", "Lowest", "on", "Average", "Days"), [row for row in extents if row],
              (22, 38, 17, 38, 17, 38, 10), frozenset({1, 3, 5})),
        gap(2),
        table(("Day", "Requirement", "Resource", "Excess (shortfall below zero)", "Reconciled", "Not", "Late"), days,
              (17, 38, 38, 38, 25, 12, 12), frozenset({1, 2, 3})),
    ]  # fmt: skip


def _extent(name: str, extent: Extent | None, currency: str) -> list[str]:
    if extent is None:
        return []
    return [
        name, money(extent.highest, currency), str(extent.highest_on), money(extent.lowest, currency),
        str(extent.lowest_on), money(extent.average, currency), str(extent.days),
    ]  # fmt: skip
