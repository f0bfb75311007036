"""Whatever is done to a bundle is found, and said by name."""

from __future__ import annotations

import json
import stat
import subprocess
import tarfile
from datetime import date
from hashlib import sha256
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from archive.bundles import DAY, FILES, KEY, LOG, STRANGER, Log, Part, check, make, owners, parts_of, put_together
from token_engine.archive.blocks import BLOCK, END, header
from token_engine.domain.bundle import MANIFEST, SEAL, Account, BundleError, check_name
from token_engine.domain.merkle import leaf_hash
from token_engine.domain.note import Signer


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("bundle"))


def wrong_of(path: Path, *signers: Signer) -> str:
    """What verifying says; there is something."""
    verdict = check(path, *signers)
    assert verdict.wrong
    return "\n".join(verdict.wrong)


def test_a_bundle_as_it_was_made(bundle: Path) -> None:
    verdict = check(bundle)
    assert verdict.wrong == []
    assert verdict.signed_by == KEY.verifier
    assert verdict.manifest is not None
    assert (verdict.manifest.day, verdict.files) == (DAY, len(FILES) + 2)
    assert verdict.sha256 == sha256(dict(parts_of(bundle))[MANIFEST]).hexdigest()


def test_it_is_opened_and_its_files_checked_without_us(bundle: Path, tmp_path: Path) -> None:
    subprocess.run(["tar", "xf", bundle, "-C", tmp_path], check=True)
    for name, content in FILES.items():
        assert (tmp_path / name).read_bytes() == content
    members = [json.loads(line) for line in (tmp_path / MANIFEST).read_bytes().splitlines()[1:]]
    sums = "".join(f"{member['sha256']}  {member['name']}\n" for member in members)
    subprocess.run(["sha256sum", "-c", "--strict"], input=sums.encode(), cwd=tmp_path, check=True, capture_output=True)
    assert len(members) == len(FILES) + 2
    with tarfile.open(bundle) as tar:
        assert tar.getnames() == [part.name for part in parts_of(bundle)]


def test_others_of_the_machine_cannot_read_it(bundle: Path) -> None:
    assert stat.S_IMODE(bundle.stat().st_mode) == 0o600


def test_the_same_makes_the_same_bytes(bundle: Path, tmp_path: Path) -> None:
    assert make(tmp_path).read_bytes() == bundle.read_bytes()


@pytest.mark.slow
def test_no_byte_can_be_another(bundle: Path, tmp_path: Path) -> None:
    """Every byte of every file, of the blocks before them and of what fills them up."""
    raw = bundle.read_bytes()
    altered = tmp_path / "altered.tar"
    for byte, name in enumerate(owners(bundle)):
        altered.write_bytes(raw[:byte] + bytes([raw[byte] ^ 1 << byte % 8]) + raw[byte + 1 :])
        assert name in wrong_of(altered), f"byte {byte}"


@given(byte=st.integers(0), other=st.binary(min_size=1, max_size=600))
def test_no_bytes_can_be_others(bundle: Path, byte: int, other: bytes) -> None:
    raw = bundle.read_bytes()
    byte %= len(raw)
    altered = raw[:byte] + other + raw[byte + len(other) :]
    if altered == raw:
        return
    path = bundle.with_name("others.tar")
    path.write_bytes(altered)
    assert wrong_of(path)


def test_it_cannot_be_cut_anywhere(bundle: Path, tmp_path: Path) -> None:
    raw = bundle.read_bytes()
    for size in [*range(0, len(raw), 97), len(raw) - 1, len(raw) - BLOCK]:
        cut = tmp_path / "cut.tar"
        cut.write_bytes(raw[:size])
        assert "cut" in wrong_of(cut)


def test_nothing_can_be_put_behind_it(bundle: Path, tmp_path: Path) -> None:
    for more in (b"\0", b"x", bytes(BLOCK), Part("x", b"x").tar() + END):
        longer = tmp_path / "longer.tar"
        longer.write_bytes(bundle.read_bytes() + more)
        assert SEAL in wrong_of(longer)


def test_a_file_that_was_dropped_is_missing(bundle: Path, tmp_path: Path) -> None:
    parts = parts_of(bundle)
    for part in parts:
        path = put_together(tmp_path / "x.tar", [p for p in parts if p != part])
        wrong = check(path).wrong
        assert len(wrong) == 1
        assert part.name in wrong[0]
        assert "missing" in wrong[0]


@pytest.mark.parametrize("place", [0, 3, 7])
@pytest.mark.parametrize("name", ["zzz", "README.txt", "../../etc/passwd", "/etc/passwd", "a\nb", MANIFEST])
def test_a_file_that_was_added_is_named(bundle: Path, tmp_path: Path, place: int, name: str) -> None:
    parts = parts_of(bundle)
    content = b"added"
    path = put_together(tmp_path / "x.tar", [*parts[:place], Part(name, content), *parts[place:]])
    wrong = wrong_of(path)
    assert "was added" in wrong
    assert (repr(name)[1:-1] if name[0] in "./a" else name) in wrong
    assert "missing" not in wrong


def test_files_in_another_order_are_named(bundle: Path, tmp_path: Path) -> None:
    parts = parts_of(bundle)
    parts[1], parts[3] = parts[3], parts[1]
    wrong = check(put_together(tmp_path / "x.tar", parts)).wrong
    assert wrong == [f"{parts[n].name} stands in another place than was signed" for n in (2, 3)]


@given(data=st.data())
def test_whatever_files_it_is_put_together_of(bundle: Path, data: st.DataObject) -> None:
    """Some left out, some twice, in any order: which are missing, and which were added, is said exactly."""
    *files, manifest, seal = parts_of(bundle)
    chosen = data.draw(st.lists(st.sampled_from(files), max_size=10) | st.permutations(files))
    wrong = check(put_together(bundle.with_name("any.tar"), [*chosen, manifest, seal])).wrong
    assert bool(wrong) == (chosen != files)
    missing = {part.name for part in files if part not in chosen}
    assert {line.removesuffix(" is missing") for line in wrong if line.endswith(" is missing")} == missing
    twice = [part.name for part in chosen if chosen.count(part) > 1]
    assert {line.split(" was added")[0] for line in wrong if "was added" in line} == set(twice)


def test_a_file_under_another_name(bundle: Path, tmp_path: Path) -> None:
    parts = parts_of(bundle)
    parts[2] = Part("messages/0000/9.raw", parts[2].content)
    wrong = wrong_of(put_together(tmp_path / "x.tar", parts))
    assert "messages/0000/9.raw was added" in wrong
    assert "messages/0000/1.raw is missing" in wrong


def test_a_file_of_another_day(bundle: Path, tmp_path: Path) -> None:
    parts = parts_of(bundle)
    parts[3] = Part(parts[3].name, b"y" * 600)
    assert check(put_together(tmp_path / "x.tar", parts)).wrong == [
        "messages/0000/2.raw is altered: its content is not what was signed"
    ]


def test_a_size_that_is_a_lie(bundle: Path, tmp_path: Path) -> None:
    """It claims eight gigabytes: read is what is there, and nothing is unpacked."""
    parts = parts_of(bundle)
    at = len(parts[0].tar())
    raw = bundle.read_bytes()
    path = tmp_path / "x.tar"
    path.write_bytes(raw[:at] + header("messages.jsonl", 8**11 - 1) + raw[at + BLOCK :])
    assert "messages.jsonl is altered: it has " in wrong_of(path)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.GNUTYPE_SPARSE, tarfile.XHDTYPE])
def test_a_file_made_a_link_or_a_hole(bundle: Path, tmp_path: Path, kind: bytes) -> None:
    parts = parts_of(bundle)
    link = tarfile.TarInfo("README.txt")
    link.type, link.linkname, link.size = kind, "/etc/passwd", len(parts[0].content)
    block = link.tobuf(tarfile.USTAR_FORMAT)
    path = tmp_path / "x.tar"
    path.write_bytes(block + bundle.read_bytes()[BLOCK:])
    assert "README.txt is altered" in wrong_of(path)


def test_a_manifest_that_was_made_to_fit(bundle: Path, tmp_path: Path) -> None:
    """Who alters a file and the manifest with it has no signature for that."""
    parts = parts_of(bundle)
    old = sha256(parts[2].content).hexdigest().encode()
    parts[2] = Part(parts[2].name, b"<Forgery />")
    new = sha256(parts[2].content).hexdigest().encode()
    fitted = [Part(p.name, p.content.replace(old, new)) if p.name == MANIFEST else p for p in parts]
    assert wrong_of(put_together(tmp_path / "x.tar", fitted)) == f"{MANIFEST} is not the one that was signed"


def test_a_bundle_of_another_key(tmp_path: Path) -> None:
    forged = make(tmp_path, signer=STRANGER)
    strange = f"{STRANGER.verifier.name}+{STRANGER.verifier.key_id}"
    assert wrong_of(forged) == f"{SEAL}: signed by {strange}, which is no key that was given"
    assert check(forged, STRANGER).wrong == []


def test_a_checkpoint_of_another_key(tmp_path: Path) -> None:
    """The key was changed: whoever verifies needs both."""
    changed = make(tmp_path, proof=LOG.proof(STRANGER))
    assert STRANGER.verifier.key_id in wrong_of(changed)
    assert check(changed, KEY, STRANGER).wrong == []


def test_two_days_under_each_others_names(bundle: Path, tmp_path: Path) -> None:
    other = make(tmp_path, day=date(2025, 11, 19))
    path = tmp_path / bundle.name
    path.write_bytes(other.read_bytes())
    assert (
        wrong_of(path)
        == "the file is called token-engine-2025-11-18.tar, and what it holds was signed as token-engine-2025-11-19.tar"
    )


def test_a_seal_of_another_day(bundle: Path, tmp_path: Path) -> None:
    other = parts_of(make(tmp_path, day=date(2025, 11, 19)))
    assert MANIFEST in wrong_of(put_together(tmp_path / "x.tar", [*parts_of(bundle)[:-1], other[-1]]))


def test_what_was_signed_for_something_else_is_no_seal(bundle: Path, tmp_path: Path) -> None:
    """The same key signs checkpoints."""
    parts = parts_of(bundle)
    parts[-1] = Part(SEAL, LOG.proof().checkpoint.encode())
    assert wrong_of(put_together(tmp_path / "x.tar", parts)) == "what was signed is not the seal of a bundle"


@pytest.mark.parametrize("raw", [b"", b"x", bytes(BLOCK), bytes(100 * BLOCK), b"PK\x03\x04" * 5000, END])
def test_what_is_no_bundle_at_all(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "x.tar"
    path.write_bytes(raw)
    assert f"{SEAL}, the seal at the end, is missing" in wrong_of(path)


def test_a_bomb_is_not_unpacked(tmp_path: Path) -> None:
    squeezed = BytesIO()
    with tarfile.open(fileobj=squeezed, mode="w:gz") as tar:
        big = tarfile.TarInfo("big")
        big.size = 50_000_000
        tar.addfile(big, BytesIO(bytes(big.size)))
    path = tmp_path / "x.tar"
    path.write_bytes(squeezed.getvalue())
    assert SEAL in wrong_of(path)


# The signer itself may be wrong: what its audit log proves is held against the checkpoints all the same.


def test_a_log_that_lacks_a_line(tmp_path: Path) -> None:
    assert "lacks 1 of the day's entries" in wrong_of(make(tmp_path, shown=LOG.day[1:]))


def test_a_log_with_another_line(tmp_path: Path) -> None:
    assert "lines that are not among the leaves" in wrong_of(make(tmp_path, shown=[*LOG.day[:-1], b"{}"]))


def test_a_log_in_another_order(tmp_path: Path) -> None:
    assert "lines that are not among the leaves" in wrong_of(make(tmp_path, shown=LOG.day[::-1]))


def test_some_accounts_see_some_lines_of_the_day(tmp_path: Path) -> None:
    some = make(tmp_path, shown=LOG.day[1::2], accounts=(Account("AE07", "AED"),))
    assert check(some).wrong == []
    assert some.name == "token-engine-2025-11-18-AE07-AED.tar"


def test_a_log_that_was_rewritten_before_the_day(tmp_path: Path) -> None:
    """Today's checkpoint is of the forged log, yesterday's of the true one."""
    forged = Log([b"forged", *LOG.lines[1:]], LOG.first)
    mixed = structs.replace(forged.proof(), previous_checkpoint=LOG.proof().previous_checkpoint)
    wrong = wrong_of(make(tmp_path, log=forged, proof=mixed))
    assert "did not only grow" in wrong
    assert "not those of the checkpoint before" in wrong


def test_a_proof_of_other_leaves(tmp_path: Path) -> None:
    proof = structs.replace(LOG.proof(), day_root=leaf_hash(b"x").hex(), size=12)
    wrong = wrong_of(make(tmp_path, proof=proof))
    assert "does not lead to the day's root" in wrong
    assert "another size" in wrong


@pytest.mark.parametrize("first", [0, 1, 2, 3, 4, 8, 11])
def test_wherever_the_day_begins_in_the_log(tmp_path: Path, first: int) -> None:
    assert check(make(tmp_path, log=Log(LOG.lines, first))).wrong == []


@pytest.mark.parametrize("name", ["../x", "/x", "a//b", "a/../b", "", ".", "a/.x", "a b", "é", "x" * 101, "-x", "a\n"])
def test_names_that_lead_elsewhere_are_not_written(name: str) -> None:
    with pytest.raises(BundleError):
        check_name(name)
