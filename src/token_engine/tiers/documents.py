"""Reports and incidents as documents: the dataset, what it says of itself, its bytes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import date, datetime
from hashlib import sha256
from typing import Any, NamedTuple

from token_engine.domain.dataset import Cover, Dataset
from token_engine.domain.incident import Incident
from token_engine.publishing.canonical import compact, digest, plain
from token_engine.publishing.forms import Form, published
from token_engine.storage.database import Database
from token_engine.storage.streaming import read_as_of_now
from token_engine.tiers import incidents, report
from token_engine.tiers.report import Asked


class Document(NamedTuple):
    """A document's bytes, what it is called, and the hash of the dataset that it was made of."""

    name: str
    form: Form
    sha256: str
    content: bytes


async def report_of(
    database: Database, asked: Asked, now: datetime, firm: str | None = None,
    progress: Callable[[date], None] = lambda _: None,
) -> tuple[Dataset, Cover]:  # fmt: skip
    """The dataset as of one moment, with its cover. Raises RefusedError naming the field."""
    async with database.transaction() as tx:
        await read_as_of_now(tx)
        found = await report.dataset(tx, asked, now, progress)
        hashed = await asyncio.to_thread(digest, found)
        signatures = await report.signatures(tx, found.id, hashed)
    return found, Cover(sha256=hashed, generated_at=now, firm=firm, signatures=signatures)


async def printed_report(dataset: Dataset, cover: Cover, form: Form) -> Document:
    """A report in one of its forms. In a thread of its own: others on this loop wait for none of it."""
    content = await asyncio.to_thread(published, dataset, cover, form)
    return Document(f"{dataset.id}.{form}", form, cover.sha256, content)


def shown(dataset: Dataset, cover: Cover) -> dict[str, Any]:
    """A report as the API answers it: the dataset, and beside it its hash, who signed it, when it was made."""
    return {
        "id": dataset.id, "sha256": cover.sha256, "generated_at": cover.generated_at,
        "sign_offs": [plain(signature) for signature in cover.signatures], "report": plain(dataset),
    }  # fmt: skip


async def incident_of(
    database: Database, number: int, now: datetime, firm: str | None = None
) -> tuple[Incident, Cover]:
    """The report of an incident, with its cover. Raises RefusedError."""
    async with database.transaction() as tx:
        await read_as_of_now(tx)
        found = await incidents.show(tx, number, now)
    return found, Cover(sha256=sha256(compact(found)).hexdigest(), generated_at=now, firm=firm)


def printed_incident(incident: Incident, cover: Cover, form: Form) -> Document:
    """An incident as JSON or PDF."""
    content = compact(incident)
    if form is Form.PDF:
        # Loaded when something is drawn: see publishing/forms.py.
        from token_engine.publishing.printed_incident import incident_as_pdf

        content = incident_as_pdf(incident, cover)
    return Document(f"incident-{incident.id}.{form}", form, cover.sha256, content)
