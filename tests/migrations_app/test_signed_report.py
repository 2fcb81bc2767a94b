"""The signed report: whole or not, by whom, and whether it adds up; checked by a script that needs only Python."""

from __future__ import annotations

import importlib.util
import io
import json
import random
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from calendars.models import AuditEntry
from migrations_app import coverage, report, report_format, report_signing
from migrations_app.models import Batch, ItemStatus, ReportKey
from recallops import clock
from recallops.snapshots import one_moment
from tests.admin import builders as make
from tests.admin.pressing import press

SCRIPT = Path(__file__).resolve().parents[2] / "docs" / "verify_report.py"

# RFC 8032, 7.1: secret key, public key, message, signature
VECTORS = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24"
        "655141438e7a100b",
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aee"
        "b00d291612bb0c00",
    ),
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28d"
        "c027beceea1ec40a",
    ),
    (
        "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
        "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
        "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e"
        "2a9ac94fa54ca49f",
        "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17a"
        "d9bef1177331a704",
    ),
]
SMALL_ORDER = [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
]


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("verify_report", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def batch(db: None) -> Iterator[Batch]:
    """Two calendars, one of which failed."""
    with clock.use(clock.ManualClock(make.NOON)):
        made = make.make_batch("autumn", started_at=make.NOON)
        make.make_item(made, status=ItemStatus.FAILED, reason="The provider refused it.")
        make.make_item(made)
        make.make_reading(made, "before", {"source": 3, "missed": 1})
        make.make_assignment(made.source, calendars=(made.items.all()[0].connection.calendar,))  # type: ignore[union-attr]
        yield made


@pytest.fixture
def key(db: None) -> ReportKey:
    return report_signing.make_key(label="2026", actor=None)


def signed(batch: Batch, key: ReportKey) -> dict[str, bytes]:
    """The files of a signed report, by name."""
    with one_moment():
        pieces = list(report_format.pieces(report.build(batch, whole=True)))
    made = b"".join(report_signing.archive(pieces, key, batch=batch.slug))
    with zipfile.ZipFile(io.BytesIO(made)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


def stored(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder / "autumn-report.json"


def checked(script: ModuleType, *arguments: Any, **named: Any) -> tuple[int, str]:
    said = io.StringIO()
    code = script.check(*map(str, arguments), **named, out=said)
    return code, said.getvalue()


# --- Ed25519


@pytest.mark.parametrize(("secret", "public", "message", "signature"), VECTORS)
def test_the_script_accepts_the_signatures_of_the_standard(
    script: ModuleType, secret: str, public: str, message: str, signature: str
) -> None:
    public_key, said, sig = bytes.fromhex(public), bytes.fromhex(message), bytes.fromhex(signature)
    assert Ed25519PrivateKey.from_private_bytes(bytes.fromhex(secret)).sign(said) == sig
    assert script.verify(public_key, said, sig)
    assert not script.verify(public_key, said + b"x", sig)


def test_the_script_refuses_any_signature_with_one_bit_turned(script: ModuleType) -> None:
    _, public, message, signature = VECTORS[2]
    numbers = random.Random(8032)
    for _ in range(40):
        turned = bytearray(bytes.fromhex(signature))
        place = numbers.randrange(64 * 8)
        turned[place // 8] ^= 1 << place % 8
        assert not script.verify(bytes.fromhex(public), bytes.fromhex(message), bytes(turned))


def test_a_signature_whose_second_half_is_not_reduced_is_refused(script: ModuleType) -> None:
    _, public, message, signature = VECTORS[1]
    raw = bytes.fromhex(signature)
    more = int.from_bytes(raw[32:], "little") + script.L
    assert not script.verify(bytes.fromhex(public), bytes.fromhex(message), raw[:32] + more.to_bytes(32, "little"))


@pytest.mark.parametrize("public", SMALL_ORDER)
def test_a_key_that_fits_many_messages_is_refused(script: ModuleType, public: str) -> None:
    forged = bytes.fromhex("01" + "00" * 31) + bytes(32)
    assert not script.verify(bytes.fromhex(public), b"anything", forged)


def test_the_script_agrees_with_the_library_on_random_keys_and_messages(script: ModuleType) -> None:
    numbers = random.Random(1)
    for _ in range(10):
        secret, message = Ed25519PrivateKey.generate(), numbers.randbytes(numbers.randrange(200))
        assert script.verify(secret.public_key().public_bytes_raw(), message, secret.sign(message))


# --- the file


def test_a_signed_report_is_found_whole_and_its_sums_are_said(
    script: ModuleType, batch: Batch, key: ReportKey, tmp_path: Path
) -> None:
    path = stored(tmp_path, signed(batch, key))
    code, said = checked(script, path, key=key.public)
    assert code == 0, said
    assert "2 exported = 0 moved + 0 back + 1 waiting + 0 not movable + 1 failed + 0 unaccounted." in said
    assert "It is one of the keys that you gave." in said
    assert "Ledger “before”: 3 of 4 meetings covered once, 1 not." in said


def test_one_turned_bit_anywhere_in_the_report_is_found(
    script: ModuleType, batch: Batch, key: ReportKey, tmp_path: Path
) -> None:
    files = signed(batch, key)
    path = stored(tmp_path, files)
    whole = files["autumn-report.json"]
    for place in random.Random(2).sample(range(len(whole)), 25):
        turned = bytearray(whole)
        turned[place] ^= 1
        path.write_bytes(turned)
        code, said = checked(script, path)
        assert (code, said.startswith("CHANGED")) == (1, True), f"byte {place}: {said}"


@pytest.mark.parametrize("change", [b"", b"\n", b" "])
def test_a_report_that_lost_or_gained_a_byte_is_found(
    script: ModuleType, batch: Batch, key: ReportKey, tmp_path: Path, change: bytes
) -> None:
    files = signed(batch, key)
    path = stored(tmp_path, files)
    path.write_bytes(files["autumn-report.json"][:-1] + change + change)
    assert checked(script, path)[0] == 1


@pytest.mark.parametrize("name", ["file", "bytes", "sha512", "batch", "signed_at", "key", "public_key", "signature"])
def test_a_signature_file_with_anything_changed_is_found(
    script: ModuleType, batch: Batch, key: ReportKey, tmp_path: Path, name: str
) -> None:
    files = signed(batch, key)
    claims = json.loads(files["autumn-report.json.sig"])
    old = claims[name]
    claims[name] = old + 1 if isinstance(old, int) else ("0" if old[0] != "0" else "1") + old[1:]
    path = stored(tmp_path, {**files, "autumn-report.json.sig": json.dumps(claims).encode()})
    code, said = checked(script, path)
    assert code == 1, said


def test_a_report_signed_by_somebody_else_is_whole_but_not_yours(
    script: ModuleType, batch: Batch, key: ReportKey, tmp_path: Path
) -> None:
    other = report_signing.make_key(label="another", actor=None)
    path = stored(tmp_path, signed(batch, other))
    code, said = checked(script, path, key=key.public)
    assert code == 4
    assert "NOT YOURS" in said


def test_without_a_key_the_script_says_that_it_did_not_look_whose_it_is(
    script: ModuleType, batch: Batch, key: ReportKey, tmp_path: Path
) -> None:
    code, said = checked(script, stored(tmp_path, signed(batch, key)))
    assert code == 0
    assert "Whose key that is was not checked" in said


def test_keys_may_come_from_a_file_of_several(script: ModuleType, batch: Batch, key: ReportKey, tmp_path: Path) -> None:
    keys = tmp_path / "keys.txt"
    keys.write_text(f"old: {'ab' * 32}\nnew: {key.public}\n")
    assert checked(script, stored(tmp_path, signed(batch, key)), key=str(keys))[0] == 0


@pytest.mark.parametrize("text", [b"", b"{}", b"[]", b"null", b'{"format": "another"}', b"\xff\xfe", b"[" * 9000])
def test_what_is_no_signature_is_said_to_be_none(
    script: ModuleType, batch: Batch, key: ReportKey, tmp_path: Path, text: bytes
) -> None:
    path = stored(tmp_path, {**signed(batch, key), "autumn-report.json.sig": text})
    code, said = checked(script, path)
    assert code == 2
    assert said.strip().endswith((".", "1."))


def test_a_file_of_somebody_else_says_nothing_that_the_terminal_obeys(
    script: ModuleType, key: ReportKey, tmp_path: Path
) -> None:
    hides = "a\x1b[2J\x1b[1;1H\rAll is well.\u202e"
    signer = report_signing.Signer(key, file=hides, batch="autumn")
    report = {"ledger": {}, "\x9b2K": 0}
    content = json.dumps(report).encode()
    signer.update(content)
    path = stored(tmp_path, {"autumn-report.json": content, "autumn-report.json.sig": signer.finish()})
    for known in (None, "ab" * 32):
        _code, said = checked(script, path, key=known)
        assert all(letter.isprintable() or letter == "\n" for letter in said)
        assert "a?[2J?[1;1H?All is well.?" in said


def test_half_a_character_in_a_signature_file_is_not_called_signed(
    script: ModuleType, batch: Batch, key: ReportKey, tmp_path: Path
) -> None:
    files = signed(batch, key)
    claims = {**json.loads(files["autumn-report.json.sig"]), "file": "\ud800"}
    path = stored(tmp_path, {**files, "autumn-report.json.sig": json.dumps(claims).encode()})
    code, said = checked(script, path)
    assert code == 2
    assert "what was signed" not in said


def test_an_archive_with_a_turned_byte_ends_with_a_sentence_and_is_never_another_report(
    script: ModuleType, batch: Batch, key: ReportKey, tmp_path: Path
) -> None:
    with one_moment():
        pieces = list(report_format.pieces(report.build(batch, whole=True)))
    made = b"".join(report_signing.archive(pieces, key, batch=batch.slug))
    path = tmp_path / "autumn-report.zip"
    path.write_bytes(made)
    whole = checked(script, path)
    assert whole[0] == 0
    for place in range(0, len(made), max(1, len(made) // 150)):
        path.write_bytes(made[:place] + bytes([made[place] ^ 0x55]) + made[place + 1 :])
        code, said = checked(script, path)
        assert (code, said) == whole or code in (1, 2), (place, said)


def test_a_report_without_a_signature_asks_for_it(script: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "autumn-report.json").write_text("{}")
    code, said = checked(script, tmp_path / "autumn-report.json")
    assert (code, "There is no signature" in said) == (2, True)


# --- what it says


def falsified(batch: Batch, key: ReportKey, change: Any) -> dict[str, bytes]:
    """A report that says something false and is signed all the same."""
    whole = json.loads(signed(batch, key)["autumn-report.json"])
    change(whole)
    text = json.dumps(whole, ensure_ascii=False)
    made = b"".join(report_signing.archive([text], key, batch=batch.slug))
    with zipfile.ZipFile(io.BytesIO(made)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_a_sum_that_does_not_add_up_is_found_though_it_is_signed(
    script: ModuleType, batch: Batch, key: ReportKey, tmp_path: Path
) -> None:
    def change(whole: dict[str, Any]) -> None:
        whole["items"]["exported"] += 1

    code, said = checked(script, stored(tmp_path, falsified(batch, key, change)), key=key.public)
    assert code == 3
    assert "DOES NOT ADD UP" in said
    assert "Not so: 3 exported = " in said


def test_an_unaccounted_calendar_is_said(script: ModuleType, batch: Batch, key: ReportKey, tmp_path: Path) -> None:
    make.make_item(batch, status=ItemStatus.DONE)  # done, and its id in the target is not on record
    code, said = checked(script, stored(tmp_path, signed(batch, key)), key=key.public)
    assert code == 3
    assert "1 calendar(s) are unaccounted for." in said


def test_a_row_that_was_taken_out_is_found_by_length_and_hash(
    script: ModuleType, batch: Batch, key: ReportKey, tmp_path: Path
) -> None:
    code, said = checked(
        script, stored(tmp_path, falsified(batch, key, lambda whole: whole["inventory"]["rows"].pop())), key=key.public
    )
    assert code == 3
    assert "Not so: inventory has the 2 row(s)" in said
    assert "Not so: inventory has the hash" in said


def test_the_script_calls_covered_what_the_ledger_calls_covered(script: ModuleType) -> None:
    assert set(script.COVERED) == {verdict.value for verdict in coverage.COVERED}


def test_the_script_needs_nothing_but_python(batch: Batch, key: ReportKey, tmp_path: Path) -> None:
    with one_moment():
        made = b"".join(
            report_signing.archive(report_format.pieces(report.build(batch, whole=True)), key, batch="autumn")
        )
    (tmp_path / "report.zip").write_bytes(made)
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(SCRIPT), "report.zip", "--key", key.public],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        encoding="utf-8",
        env={"PATH": "", "PYTHONIOENCODING": "utf-8"},
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("All is well.\n")


def test_a_report_in_a_file_gets_its_signature_beside_it(
    script: ModuleType, batch: Batch, key: ReportKey, tmp_path: Path
) -> None:
    path = tmp_path / "r.json"
    report.write(batch, path)
    beside = report_signing.sign_file(path, batch=batch.slug)
    assert beside == tmp_path / "r.json.sig"
    assert checked(script, path, key=key.public)[0] == 0
    ReportKey.objects.update(retired_at=make.NOON)
    assert report_signing.sign_file(path, batch=batch.slug) is None
    assert not beside.exists()


def test_a_big_report_is_packed_while_it_is_read(key: ReportKey) -> None:
    numbers = random.Random(3)
    sizes = [
        len(one)
        for one in report_signing.archive((numbers.randbytes(20_000).hex() for _ in range(100)), key, batch="big")
    ]
    assert len(sizes) > 10
    assert max(sizes) < 300_000


# --- in the admin


def test_the_page_offers_the_signed_report_and_the_script(
    client: Client, batch: Batch, key: ReportKey, script: ModuleType, tmp_path: Path
) -> None:
    client.force_login(make.make_staff(superuser=True))
    page = client.get(reverse("admin:migrations_app_batch_report", args=[batch.pk])).content.decode()
    link = reverse("admin:migrations_app_batch_report_zip", args=[batch.pk])
    assert link in page
    assert key.key_id in page
    made = client.get(link)
    (tmp_path / "report.zip").write_bytes(b"".join(made.streaming_content))  # type: ignore[attr-defined]
    assert made["Content-Disposition"] == 'attachment; filename="autumn-report.zip"'
    assert checked(script, tmp_path / "report.zip", key=key.public)[0] == 0
    handed = client.get(reverse("admin:migrations_app_batch_verifier"))
    assert b"".join(handed.streaming_content) == SCRIPT.read_bytes()  # type: ignore[attr-defined]


def test_without_a_key_the_page_says_who_makes_one(client: Client, batch: Batch) -> None:
    client.force_login(make.make_staff(superuser=True))
    page = client.get(reverse("admin:migrations_app_batch_report", args=[batch.pk])).content.decode()
    assert "an administrator makes a key" in page
    answer = client.get(reverse("admin:migrations_app_batch_report_zip", args=[batch.pk]))
    assert (answer.status_code, "There is no report key yet" in answer.content.decode()) == (409, True)


def test_a_key_made_in_the_admin_signs_at_once_and_its_private_half_is_nowhere(client: Client, db: None) -> None:
    client.force_login(make.make_staff(superuser=True))
    answer = client.post(reverse("admin:migrations_app_reportkey_add"), {"label": "2027"}, follow=True)
    key = ReportKey.objects.get()
    assert ReportKey.objects.signing() == key
    pages = answer.content.decode() + client.get(reverse("admin:migrations_app_reportkey_changelist")).content.decode()
    pages += client.get(reverse("admin:migrations_app_reportkey_change", args=[key.pk])).content.decode()
    assert key.public in pages
    assert key.private not in pages
    assert key.private not in str(list(AuditEntry.objects.values()))


def test_a_retired_key_signs_no_more_and_the_one_before_it_does(client: Client, key: ReportKey) -> None:
    newer = report_signing.make_key(label="2027", actor=None)
    assert ReportKey.objects.signing() == newer
    client.force_login(make.make_staff(superuser=True))
    press(client, newer, "retire", reason="it leaked")
    assert ReportKey.objects.signing() == key
    assert AuditEntry.objects.filter(action="reportkey.retire", subject_id=newer.pk).exists()


def test_the_command_makes_lists_and_retires_keys_and_never_shows_a_private_half(
    db: None, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("report_key")
    assert "There is no report key yet" in capsys.readouterr().out
    call_command("report_key", "--new", "2026")
    key = ReportKey.objects.get()
    said = capsys.readouterr().out
    assert f"{key.key_id}  {key.public}  signs  2026" in said
    call_command("report_key", "--retire", key.key_id)
    said += capsys.readouterr().out
    assert f"{key.key_id}  {key.public}  retired  2026" in said
    assert key.private not in said
    with pytest.raises(CommandError, match="There is no report key nobody"):
        call_command("report_key", "--retire", "nobody")


def test_the_private_half_is_sealed_in_the_database(key: ReportKey) -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT private FROM migrations_app_reportkey")
        [[stored_value]] = cursor.fetchall()
    assert key.private not in stored_value
