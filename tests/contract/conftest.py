"""One bank, and before it a validating proxy for each standard, once for all tests."""

from __future__ import annotations

from collections.abc import Iterator

import httpx2
import msgspec
import pytest

from contract.pipe import Pipe
from contract.prism import description, proxy
from simulated_bank.running import BERLIN, IBAN, OTHER, UAE, UK, RunningBank, running

# Each with the path that comes before those of its description: Prism leaves that to its callers.
_DESCRIPTIONS = {
    BERLIN: ("berlin-group-nextgenpsd2-v1.3.11.yaml", "/psd2"),
    UK: ("uk-open-banking-account-information-v4.0.0.yaml", UK),
    UAE: ("uae-open-finance-account-information-v2.1.yaml", UAE),
}
KUWAITI = "KW81CBKU0000000000001234560101"


class Checked(msgspec.Struct):
    """A bank behind the proxy of one standard: client, `front`, the proxy, `back`, bank."""

    api: str
    bank: RunningBank
    front: Pipe
    back: Pipe

    def get(self, path: str, **headers: str | None) -> httpx2.Response:
        """Ask for a path under `/accounts`. An answer of the proxy's own fails, whatever its status, and so does one
        that it lets pass with a warning (a status that the description does not have)."""
        answer = self.ask(path, **headers)
        assert "sl-violations" not in answer.headers, answer.headers["sl-violations"]
        assert "problem+json" not in answer.headers.get("content-type", ""), answer.text
        return answer

    def ask(self, path: str, **headers: str | None) -> httpx2.Response:
        url = f"{self.front.url}{self.api}/accounts{path}"
        return httpx2.get(url, headers=self.bank.headers(**headers), timeout=20)


@pytest.fixture(scope="session")
def any_bank(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningBank]:
    with running(tmp_path_factory.mktemp("contract")) as bank:
        bank.open((IBAN, "AED", "1000000.00"), (OTHER, "USD", "-250.50"), (KUWAITI, "KWD", "1.234"))
        bank.open(*((f"AE{n:02}0331234567890{n:06}", "AED", "1.00") for n in range(10, 130)))
        yield bank


@pytest.fixture(scope="session", params=list(_DESCRIPTIONS))
def one(request: pytest.FixtureRequest, any_bank: RunningBank) -> Iterator[Checked]:
    name, prefix = _DESCRIPTIONS[request.param]
    file = description(name)
    front, back = Pipe(prefix=prefix), Pipe(any_bank.url)
    back.links = (any_bank.url, front.url)  # as a reverse proxy does, so that a next page is found by the same way
    try:
        with proxy(file, back.url + prefix) as front.upstream:
            yield Checked(request.param, any_bank, front, back)
    finally:
        front.close()
        back.close()


@pytest.fixture
def checked(one: Checked) -> Iterator[Checked]:
    yield one
    one.bank.well_again()
