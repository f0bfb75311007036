"""A report as pages to print and read: sums and what needs a person's attention. The other forms list all accounts."""

from __future__ import annotations

from typing import Final

from reportlab.platypus import Flowable

from token_engine.domain.dataset import Cover, Dataset
from token_engine.publishing.paper import gap, printed, text
from token_engine.publishing.printed_lists import accounts, discrepancies, incidents, lines, signatures
from token_engine.publishing.printed_sums import front, of_currency, scope_of, verdict

_NOTES: Final = (
    "Requirement: tokens outstanding, and money received and not yet credited, and money deducted and not yet paid, as "
    "of each bank's cut-off. Resource: balances on safeguarding accounts as statements show them; of an account that "
    "no evidence shows, nothing is counted, so that the excess is too low until the evidence is there, never too high. "
    "A day without a snapshot is not reconciled. D+1: the day was to be closed by the end of the next business day. "
    "Amounts are exact, in major units; no currency is converted into another. ? stands for a character that these "
    "pages cannot print; the JSON, CSV and XLSX forms have it."
)


def as_pdf(dataset: Dataset, cover: Cover) -> bytes:
    """The pages, A4."""
    period = dataset.period
    title = f"Safeguarding report - {period.span} {period.name} - {scope_of(dataset)}"
    story: list[Flowable] = [*front(dataset, cover), *verdict(dataset)]
    for part in dataset.currencies:
        story += of_currency(part, dataset)
    story += [*accounts(dataset), *lines(dataset.lines), *discrepancies(dataset.discrepancies), *incidents(dataset)]
    story += [*signatures(cover), gap(), text(_NOTES, "faint")]
    return printed(story, title, f"dataset SHA-256 {cover.sha256}")
