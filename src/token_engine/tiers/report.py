"""The safeguarding report of a day or a month: of an account, a token or the firm (DESIGN 3.4; docs/adr/0017)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final

import msgspec

from token_engine.domain.dataset import Dataset, Discrepancy, Opening, Signature
from token_engine.domain.period import WEEKDAYS, Period, Scope, Span, period_of, report_id
from token_engine.domain.person import check_actor, check_reason
from token_engine.domain.refusal import RefusedError
from token_engine.domain.report import AtTheClose, Fold
from token_engine.domain.safeguarding import line_of
from token_engine.publishing.canonical import digest
from token_engine.storage import incidents
from token_engine.storage import report as stored
from token_engine.storage.database import Transaction
from token_engine.tiers.changes import Changes
from token_engine.tiers.orders import find_account

SIGNED: Final = "reconciliation.report.signed"
_SHA256_DIGITS: Final = 64


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """Which report a person asks for: `date` is 2025-11-18 or 2025-11; no account and no token is the firm."""

    span: Span
    date: str
    account: str | None = None
    token: str | None = None
    currency: str | None = None
    """Where one account number is kept in several."""


class SignOff(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What a person says who stands for a report. `sha256` is of the dataset that was read: if the data has changed
    since, nothing is signed.
    """

    actor: str
    reason: str
    sha256: str | None = None


async def dataset(
    tx: Transaction, asked: Asked, now: datetime, progress: Callable[[date], None] = lambda _: None
) -> Dataset:
    """The report as of this moment. `progress` hears the day of each row. Raises RefusedError naming the field.

    Call in a transaction that sees one moment: it asks several questions.
    """
    period = period_of(asked.span, asked.date, now.astimezone(UTC).date())
    scope = await _scope(tx, asked)
    days = list(period.days())
    start = datetime.combine(period.first, time(), UTC)
    # D+1: whoever closed the last day had until then, and what was found by then belongs to it.
    until = min(now, _until(period))
    calendars = await stored.calendars_of(tx, scope)
    close = AtTheClose(
        await stored.under_way(tx, scope, period.as_of, calendars),
        await stored.notified(tx, scope, period.first, period.as_of),
    )
    of_one = scope.account_id is not None
    # A day of which only few rows are shown: its books cost nothing. Those of a month of closed days are never shown.
    all_books = of_one or period.span is Span.DAY or not any(map(WEEKDAYS.business_day, days))
    fold = Fold(period, close, keep_lines=of_one)
    async for row in stored.account_days(tx, scope, days, calendars, all_books=all_books):
        fold.take(line_of(row, now))
        progress(row.day)
    figures = fold.figures()
    return Dataset(
        id=report_id(period, scope), period=period, scope=scope, as_of=period.as_of, until=_until(period),
        currencies=figures.currencies, accounts=figures.accounts, lines=figures.lines,
        discrepancies=[_discrepancy(row, until) for row in await stored.discrepancies(tx, scope, start, until)],
        incidents=[await _opening(tx, row, until) for row in await incidents.openings(tx, scope, until, start=start)],
    )  # fmt: skip


async def signatures(tx: Transaction, report: str, sha256: str) -> tuple[Signature, ...]:
    """Who has signed the report, and whether it was this state of it."""
    found = await stored.sign_offs(tx, report)
    hashes = [row.pop("dataset_sha256").hex() for row in found]
    return tuple(
        Signature(**row, sha256=signed, current=signed == sha256) for row, signed in zip(found, hashes, strict=True)
    )


async def sign_off(tx: Transaction, report: str, said: SignOff, now: datetime) -> dict[str, Any]:
    """Sign a report as it is at this moment, by its id. The same again by the same person changes nothing.

    Call first in a transaction. Raises RefusedError: `unknown_report`, `report_changed`, `report_not_over`, or what is
    wrong with the words.
    """
    actor, reason = check_actor(said.actor), check_reason(said.reason)
    if said.sha256 is not None and len(said.sha256) != _SHA256_DIGITS:
        raise RefusedError("invalid_sha256", f"sha256: {_SHA256_DIGITS} hexadecimal digits", "sha256")
    asked = asked_of(report)
    await stored.at_one_moment(tx)
    found = await dataset(tx, asked, now)
    if found.id != report:
        raise RefusedError("unknown_report", f"report_id: {report[:200]!r} is the report {found.id}", "report_id")
    if not found.period.whole or now < found.until:
        text = f"the report is signed when its last day could be closed: from {found.until:%Y-%m-%dT%H:%M:%SZ} on"
        raise RefusedError("report_not_over", text)
    sha256 = digest(found)
    if said.sha256 is not None and said.sha256.lower() != sha256:
        raise RefusedError("report_changed", f"the report's data has changed since: it is {sha256} now", "sha256")
    if await stored.sign(tx, report, bytes.fromhex(sha256), actor, reason, now):
        changes = Changes(now)
        told = {"report_id": report, "dataset_sha256": sha256, "reason": reason}
        changes.announce(SIGNED, f"report.{report}.{sha256}.{actor}"[:100], None, told | {"actor": actor, "at": now})
        changes.note("report_signed", found.scope.account_id, None, told, actor)
        await changes.write(tx)
    return {"report_id": report, "sha256": sha256, "sign_offs": await signatures(tx, report, sha256)}


def asked_of(report: str) -> Asked:
    """What a report's id asks for. Raises RefusedError."""
    match report.split(".", 2):
        case [("day" | "month") as span, day, "firm"]:
            return Asked(span=Span(span), date=day)
        case [("day" | "month") as span, day, name] if name.startswith("token-"):
            return Asked(span=Span(span), date=day, token=name.removeprefix("token-"))
        case [("day" | "month") as span, day, name] if name.startswith("account-"):
            return Asked(span=Span(span), date=day, account=name.removeprefix("account-"))
        case _:
            text = f"report_id: {report[:60]!r} is no report's id, such as month.2025-11.firm"
            raise RefusedError("unknown_report", text, "report_id")


async def _scope(tx: Transaction, asked: Asked) -> Scope:
    if asked.account is not None and asked.token is not None:
        raise RefusedError("invalid_scope", "token: give it, or account_id, and not both", "token")
    if asked.account is not None:
        return await stored.account_of(tx, await find_account(tx, asked.account, asked.currency))
    if asked.token is None:
        return Scope()
    currency = asked.token.removeprefix("x").upper()
    if not await stored.has_currency(tx, currency):
        raise RefusedError("unknown_token", f"token: no account stands behind {asked.token[:12]!r}", "token")
    return Scope(currency=currency)


def _until(period: Period) -> datetime:
    return datetime.combine(WEEKDAYS.next_business_day(period.last) + timedelta(days=1), time(), UTC)


def _discrepancy(row: dict[str, Any], until: datetime) -> Discrepancy:
    row["expected"], row["actual"] = row.pop("expected_value"), row.pop("actual_value")
    age = (row["signed_off_at"] or until) - row["opened_at"]
    return Discrepancy(**row, age_days=age.days)


async def _opening(tx: Transaction, row: dict[str, Any], until: datetime) -> Opening:
    overrides = await incidents.overrides(tx, row["account_id"], row["opened_at"], row["closed_at"] or until)
    names = Opening.__struct_fields__
    return Opening(**{name: row[name] for name in names if name != "overrides"}, overrides=len(overrides))
