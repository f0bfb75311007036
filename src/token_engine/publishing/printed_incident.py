"""The report of an incident as pages."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from reportlab.platypus import Flowable

from token_engine.domain.closing import Closing
from token_engine.domain.dataset import Cover
from token_engine.domain.incident import Incident, Noted
from token_engine.domain.override import Override
from token_engine.publishing.canonical import compact
from token_engine.publishing.paper import figures, gap, printed, table, text
from token_engine.publishing.printed_words import moment, money

_LISTED: Final = 100
_LONGEST: Final = 300


def incident_as_pdf(incident: Incident, cover: Cover) -> bytes:
    """The pages, A4."""
    title = f"Incident {incident.id} - circuit breaker of account {incident.account_number} {incident.currency}"
    story: list[Flowable] = [*_front(incident, cover), *_judgement(incident), *_announced(incident)]
    story += [*_refused(incident), *_closings(incident.closings), *_overrides(incident.overrides), *_audit(incident)]
    return printed(story, title, f"dataset SHA-256 {cover.sha256}")


def _front(incident: Incident, cover: Cover) -> list[Flowable]:
    lasted = incident.lasted
    over = (
        text(f"Closed at {moment(incident.until)} by {incident.closed_by}, after {lasted}.", "good")
        if incident.until is not None else text("The circuit breaker is OPEN.", "bad")
    )  # fmt: skip
    said = [
        ("Account", f"{incident.account_number} {incident.currency} ({incident.account_id})"),
        ("Opened at", f"{moment(incident.opened_at)} by {incident.opened_by}; it was {incident.opened_from}"),
        ("Because", incident.cause), *([("Generated at", moment(cover.generated_at))] if cover.generated_at else []),
        ("Dataset SHA-256", cover.sha256),
    ]  # fmt: skip
    firm: list[Flowable] = [text(cover.firm, "strong")] if cover.firm else []
    lines = (text(f"{name}: {value}") for name, value in said)
    return [*firm, text(f"Incident {incident.id}", "title"), gap(1), *lines, gap(2), over]


def _judgement(incident: Incident) -> list[Flowable]:
    heading = text("What opened it", "heading")
    judged, evidence = incident.judgement, incident.evidence
    story: list[Flowable] = [heading]
    if judged is None:
        story.append(text("No judgement of a balance is known from that moment."))
    else:
        currency, short = incident.currency, judged.difference < 0
        rows = [
            (f"Ledger: tokens outstanding, judged {judged.severity}", money(judged.ledger, currency), False),
            ("Bank", money(judged.bank, currency), False),
            ("Shortfall" if short else "Excess", money(judged.difference, currency), True),
        ]
        story.append(figures(rows))
    if evidence is None:
        return [*story, gap(1), text("No message of the bank was its evidence.")]
    words = (
        f"Evidence: message {evidence.message} ({evidence.bank_message_id or 'without an id'}), received "
        f"{moment(evidence.received_at)} by {evidence.door} from {evidence.source}, {evidence.size:,} bytes, SHA-256 "
        f"{evidence.sha256}."
    )
    return [*story, gap(1), text(words)]


def _announced(incident: Incident) -> list[Flowable]:
    rows: list[list[str | Flowable]] = [
        [moment(told.at), told.subject, "published" if told.published else "WAITS to be published"]
        for told in incident.announced[:_LISTED]
    ]
    return [
        text("Who was told: events to Risk & Finance and every other consumer", "heading"),
        table(("At", "Event", ""), rows, (28, 100, 52), frozenset()),
    ]


def _refused(incident: Incident) -> list[Flowable]:
    story: list[Flowable] = [
        text("What was refused meanwhile", "heading"),
        text(
            f"Mints and payouts refused because a breaker was open, of all accounts (a refused request is kept by its "
            f"key, not by its account): {incident.refused_requests:,}."
        ),
    ]
    return [*story, gap(1), *_noted(incident.refused_acts, "Nobody was refused an act on the breaker.")]


def _closings(found: Sequence[Closing]) -> list[Flowable]:
    rows: list[list[str | Flowable]] = [
        [c.state.value, f"{c.requested_by}, {moment(c.requested_at)}", c.reason, _by(c.settled_by, c.settled_at),
         c.settled_reason or ""]
        for c in found[:_LISTED]
    ]  # fmt: skip
    return _acts("Requests to close it: two persons", ("State", "Asked by", "Reason", "Settled by", "Reason"), rows)


def _overrides(found: Sequence[Override]) -> list[Flowable]:
    rows: list[list[str | Flowable]] = [
        [o.state.value, f"{o.requested_by}, {moment(o.requested_at)}", f"{o.reason} (until {moment(o.expires_at)})",
         _by(o.approved_by, o.approved_at), "; ".join(filter(None, (o.ended_reason, _by(o.ended_by, o.ended_at))))]
        for o in found[:_LISTED]
    ]  # fmt: skip
    return _acts("Overrides: two persons", ("State", "Asked by", "Reason", "Approved by", "Ended"), rows)


def _acts(heading: str, columns: Sequence[str], rows: list[list[str | Flowable]]) -> list[Flowable]:
    shown: Flowable = table(columns, rows, (22, 38, 48, 36, 36), frozenset()) if rows else text("None.")
    return [text(heading, "heading"), shown]


def _by(person: str | None, at: datetime | None) -> str:
    return "" if person is None or at is None else f"{person}, {moment(at)}"


def _audit(incident: Incident) -> list[Flowable]:
    story = [text("Audit log of the account while it was open", "heading"), *_noted(incident.audit, "Nothing.")]
    if incident.audit_cut or len(incident.audit) > _LISTED:
        story.append(text("The audit log has more; these are the first lines.", "strong"))
    return story


def _noted(found: Sequence[Noted], none: str) -> list[Flowable]:
    if not found:
        return [text(none)]
    rows: list[list[str | Flowable]] = [
        [moment(line.at), line.actor, line.action, _details(line.details)] for line in found[:_LISTED]
    ]
    return [table(("At", "Who", "Did", "Details"), rows, (26, 30, 44, 80), frozenset())]


def _details(details: dict[str, Any]) -> str:
    words = compact(details).decode()
    return words if len(words) <= _LONGEST else f"{words[:_LONGEST]}..."
