#!/usr/bin/env python3
"""Checks a signed report of RecallOps. Needs nothing but Python 3.8 or newer: python -I verify_report.py report.zip

    verify_report.py REPORT.zip [--key KEY]                        as it was downloaded
    verify_report.py REPORT.json [REPORT.json.sig] [--key KEY]     as it was unpacked, or written by run_batch

KEY is the public key that you know to be the installation's (64 hexadecimal digits; the page "Report keys" shows it),
or a file that holds one or more of them. Without it the script tells whether the file is whole, but not who signed it.

What it does:
1. takes the SHA-512 and the length of the report's bytes and compares them with those in the signature file,
2. checks the Ed25519 signature (RFC 8032) over the statement that holds them,
3. adds up what the report says: every exported calendar must be in exactly one class, lists must have the length and
   the hash that they claim, and every meeting of the ledger must be counted once.

Exit codes: 0 all is well; 1 the file is not what was signed; 2 it cannot be read; 3 it is what was signed, but what it
says does not add up, or calendars are unaccounted for; 4 it was signed with another key than the one that you gave.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import re
import sys
import zipfile
import zlib

FORMAT = "recallops-report-signature-1"
FIELDS = ("file", "bytes", "sha512", "batch", "signed_at", "key")
PIECE = 1 << 20
LONGEST_SIGNATURE = 10_000
DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError)  # what a broken archive raises
COVERED = ("source", "target", "owner", "attended", "over", "frozen")  # verdicts by which a meeting is covered once

# --- Ed25519, verification only: RFC 8032, 5.1.3 and 5.1.7. Points are (X, Y, Z, T) with x = X/Z, y = Y/Z, xy = T/Z.

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT = pow(2, (P - 1) // 4, P)  # of -1


def add(one, other):
    """Add two points of the curve."""
    a = (one[1] - one[0]) * (other[1] - other[0]) % P
    b = (one[1] + one[0]) * (other[1] + other[0]) % P
    c = 2 * one[3] * other[3] * D % P
    d = 2 * one[2] * other[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def times(number, point):
    """Multiply a point."""
    result = (0, 1, 1, 0)
    while number:
        if number & 1:
            result = add(result, point)
        point = add(point, point)
        number >>= 1
    return result


def same(one, other):
    """Tell whether two points are one."""
    return (one[0] * other[2] - other[0] * one[2]) % P == 0 and (one[1] * other[2] - other[1] * one[2]) % P == 0


def decoded(text):
    """Return the point that 32 bytes stand for, or None when they stand for none."""
    if len(text) != 32:
        return None
    y = int.from_bytes(text, "little")
    sign, y = y >> 255, y & ((1 << 255) - 1)
    if y >= P:
        return None
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    if square == 0:
        return None if sign else (0, y, 1, 0)
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * ROOT % P
    if (x * x - square) % P:
        return None
    if x & 1 != sign:
        x = P - x
    return (x, y, 1, x * y % P)


BASE = decoded((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))


def verify(public, message, signature):
    """Tell whether a signature of 64 bytes over a message was made with the private half of a public key."""
    if len(public) != 32 or len(signature) != 64:
        return False
    key, r = decoded(public), decoded(signature[:32])
    s = int.from_bytes(signature[32:], "little")
    if key is None or r is None or s >= L:
        return False
    if same(times(8, key), (0, 1, 1, 0)):  # a key of small order fits many messages
        return False
    digest = hashlib.sha512(signature[:32] + public + message).digest()
    h = int.from_bytes(digest, "little") % L
    return same(times(s, BASE), add(r, times(h, key)))


# --- the files


class Trouble(Exception):
    """What ends the check: an exit code and a sentence."""

    def __init__(self, code, sentence):
        super().__init__(sentence)
        self.code = code


def statement(claims):
    """Return the text that was signed: one line for each claim, in this order."""
    return "".join([FORMAT + "\n", *(f"{name}: {claims[name]}\n" for name in FIELDS)]).encode()


def measured(file):
    """Return the length and the SHA-512 of a file that is open for reading."""
    digest, size = hashlib.sha512(), 0
    while piece := file.read(PIECE):
        digest.update(piece)
        size += len(piece)
    return size, digest.hexdigest()


def read_claims(text):
    """Return what a signature file claims."""
    try:
        claims = json.loads(text)
        if claims["format"] != FORMAT:
            raise Trouble(2, f"The signature is of another format: this script knows {FORMAT}.")
        for name in (*FIELDS, "public_key", "signature"):
            if not isinstance(claims[name], int if name == "bytes" else str) or "\n" in str(claims[name]):
                raise KeyError(name)
        statement(claims)  # halves of characters cannot have been signed
        return claims, bytes.fromhex(claims["public_key"]), bytes.fromhex(claims["signature"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Trouble(2, "The signature file cannot be read: it is damaged, or no signature.") from error


def open_report(path, signature_path):
    """Return a function that opens the report's bytes, and the text of the signature file."""
    try:
        if not path.endswith(".json"):
            archive = zipfile.ZipFile(path)
            names = archive.namelist()
            reports = [name for name in names if name.endswith(".json")]
            signatures = [name for name in names if name.endswith(".json.sig")]
            if len(reports) != 1 or signatures != [reports[0] + ".sig"]:
                raise Trouble(2, "The archive does not hold one report and its signature.")
            with archive.open(signatures[0]) as file:
                return (lambda: archive.open(reports[0])), file.read(LONGEST_SIGNATURE)
        beside = signature_path or path + ".sig"
        if not os.path.exists(beside):
            raise Trouble(2, f"There is no signature {beside}. Give it as the second argument.")
        with open(beside, "rb") as file:
            return (lambda: open(path, "rb")), file.read(LONGEST_SIGNATURE)
    except (OSError, ValueError, *DAMAGED) as error:
        raise Trouble(2, f"It cannot be read: {error}") from error


def known_keys(text):
    """Return the public keys that were given: one in hexadecimal, or a file of them."""
    try:
        if os.path.exists(text):
            with open(text, encoding="utf-8", errors="replace") as file:
                text = file.read()
    except OSError as error:
        raise Trouble(2, f"--key cannot be read: {error}") from error
    keys = {bytes.fromhex(found) for found in re.findall(r"(?<![0-9a-fA-F])[0-9a-fA-F]{64}(?![0-9a-fA-F])", text)}
    if not keys:
        raise Trouble(2, "--key holds no public key: it wants 64 hexadecimal digits, or a file with them.")
    return keys


def check_signature(opened, signature, key):
    """Check that the bytes are those that were signed, and by whom. Returns sentences."""
    claims, public, signed = read_claims(signature)
    if not verify(public, statement(claims), signed):
        raise Trouble(1, "CHANGED: the signature does not fit what the signature file says. Somebody changed it.")
    try:
        with opened() as file:
            size, digest = measured(file)
    except DAMAGED as error:
        raise Trouble(1, f"CHANGED: the archive is damaged ({error}).") from error
    except OSError as error:
        raise Trouble(2, f"It cannot be read: {error}") from error
    if size != claims["bytes"]:
        raise Trouble(1, f"CHANGED: the report has {size} bytes, signed were {claims['bytes']}.")
    if digest != claims["sha512"]:
        raise Trouble(1, "CHANGED: the report's bytes are not those that were signed (SHA-512 differs).")
    mark = hashlib.sha256(public).hexdigest()[:16]
    if mark != claims["key"]:
        raise Trouble(1, "CHANGED: the id of the key is not that of the public key beside it.")
    said = [
        f"Whole: all {size} bytes of {claims['file']} are those that were signed at {claims['signed_at']}.",
        f"Signed with key {mark}, public key {public.hex()}.",
    ]
    if key is None:
        return [*said, "Whose key that is was not checked: compare it with the installation's, or give it by --key."]
    if public not in known_keys(key):
        raise Trouble(4, "\n".join([*said, "NOT YOURS: that is none of the keys that you gave."]))
    return [*said, "It is one of the keys that you gave."]


# --- what the report says


def lists_of(report):
    """Return the lists of the report with their names."""
    items = report["items"]
    return {
        "inventory": report["inventory"],
        "id_map": report["id_map"],
        "acts": report["acts"],
        "findings": report["findings"],
        "items.not_moved": items["not_moved"],
        "items.unaccounted": items["unaccounted"],
    }


def check_sums(report):
    """Add up what the report says. Returns (sentences of what fits, sentences of what does not)."""
    fits, wrong = [], []

    def demand(holds, sentence, otherwise=""):
        (fits if holds else wrong).append(sentence if holds else otherwise or f"Not so: {sentence}")

    items = report["items"]
    classes = [(name, items[name]) for name in ("moved", "back", "waiting", "not_movable", "failed")]
    missing = items["unaccounted"]["total"]
    total = sum(number for _, number in classes) + missing
    words = " + ".join(f"{number} {name.replace('_', ' ')}" for name, number in [*classes, ("unaccounted", missing)])
    demand(items["exported"] == total, f"{items['exported']} exported = {words}.")
    demand(missing == 0, "No calendar is unaccounted for.", f"{missing} calendar(s) are unaccounted for.")
    demand(items["adds_up"] == (missing == 0), "What the report says of its own sum is true.")
    counted = sum(row["count"] for row in items["counts"] if row["kind"] == "connection")
    demand(report["inventory"]["calendars"] == counted, f"The inventory's {counted} calendars are those of the items.")
    for name, listed in lists_of(report).items():
        rows = listed["rows"]
        demand(len(rows) == listed["total"], f"{name} has the {listed['total']} row(s) that it claims.")
        if "sha256" in listed:
            digest = hashlib.sha256()
            for row in rows:
                line = json.dumps(row, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
                digest.update(line.encode() + b"\n")
            demand(digest.hexdigest() == listed["sha256"], f"{name} has the hash that it claims.")
    for moment, reading in report["ledger"].items():
        if reading is None:
            continue
        sums = sum(row["count"] for row in reading["counts"])
        covered = sum(row["count"] for row in reading["counts"] if row["verdict"] in COVERED)
        holds = sums == reading["total"] and covered == reading["covered"] == sums - reading["not_covered"]
        demand(holds, f"Ledger “{moment}”: {covered} of {sums} meetings covered once, {sums - covered} not.")
    return fits, wrong


def plain(text):
    """Return a line that quotes a file, without what moves a terminal's cursor, hides words or begins a line."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def check(path, signature_path=None, key=None, out=sys.stdout):
    """Check a report. Returns the exit code."""
    try:
        opened, signature = open_report(path, signature_path)
        for sentence in check_signature(opened, signature, key):
            print(plain(sentence), file=out)
        with opened() as file:
            report = json.load(io.TextIOWrapper(file, encoding="utf-8"))
        fits, wrong = check_sums(report)
    except Trouble as trouble:
        print(*map(plain, str(trouble).split("\n")), sep="\n", file=out)
        return trouble.code
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        print(f"The file is what was signed, but it is no report that this script knows ({error!r}).", file=out)
        return 3
    for sentence in fits:
        print(f"  {plain(sentence)}", file=out)
    if wrong:
        print("DOES NOT ADD UP:", file=out)
        for sentence in wrong:
            print(f"  {plain(sentence)}", file=out)
        return 3
    print("All is well.", file=out)
    return 0


def main(arguments=None):
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("report", help="report.zip, or report.json")
    parser.add_argument("signature", nargs="?", help="report.json.sig; default: beside the report")
    parser.add_argument("--key", help="the installation's public key, or a file with its keys")
    chosen = parser.parse_args(arguments)
    return check(chosen.report, chosen.signature, chosen.key)


if __name__ == "__main__":
    sys.exit(main())
