"""The reports that stand in a day's bundle: the firm's, or those of the accounts it is about, in every form."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from token_engine.domain.dataset import Cover
from token_engine.domain.period import Span
from token_engine.publishing.canonical import digest
from token_engine.publishing.forms import Form
from token_engine.storage.archive import Within
from token_engine.storage.database import Transaction
from token_engine.tiers import report
from token_engine.tiers.documents import printed_report
from token_engine.tiers.report import Asked


async def reports_of_day(
    tx: Transaction, of: Within, *, now: datetime, firm: str | None = None
) -> Sequence[tuple[str, bytes]]:
    """Name and bytes of each. They bear the moment until which they tell of the day, and not that of their making: of
    the same database they are the same bytes. `firm` is whose name stands on them.
    """
    files = []
    for account in [None] if of.accounts is None else of.accounts:
        asked = Asked(span=Span.DAY, date=of.day.isoformat(), account=str(account) if account else None)
        dataset = await report.dataset(tx, asked, now)
        sha256 = digest(dataset)
        signatures = await report.signatures(tx, dataset.id, sha256)
        cover = Cover(sha256=sha256, firm=firm, signatures=signatures)
        documents = [await printed_report(dataset, cover, form) for form in Form]
        files += [(document.name, document.content) for document in documents]
    return files
