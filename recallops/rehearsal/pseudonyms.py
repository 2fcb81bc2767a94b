"""Names that stand for names: the same for the same thing throughout one rehearsal, and for nothing outside of it.

A keyed digest; the key is made for one rehearsal, never stored, and forgotten with the process.
"""

from __future__ import annotations

import hashlib
import secrets

LETTERS = "abcdefghijklmnopqrstuvwxyz"


class Pseudonyms:
    """Replaces what names somebody."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)

    def name(self, kind: str, text: str) -> str:
        """Return what stands for a text of a kind."""
        return hashlib.blake2b(text.encode(), digest_size=8, key=self._key, person=kind.encode()[:16]).hexdigest()

    def url(self, url: str, platform: str) -> str:
        """Return a link that stands for another: of the same kind, so that bots can join it, to no meeting."""
        if not url:
            return ""
        code = self.name("link", url)
        if platform == "zoom":
            return f"https://rehearsal.zoom.us/j/{int(code, 16) % 10**11:011d}"
        if platform == "microsoft_teams":
            return f"https://teams.microsoft.com/l/meetup-join/rehearsal-{code}"
        if platform == "webex":
            return f"https://rehearsal.webex.com/meet/{code}"
        number, word = int(code, 16), ""
        for _ in range(10):
            number, place = divmod(number, 26)
            word += LETTERS[place]
        return f"https://meet.google.com/{word[:3]}-{word[3:7]}-{word[7:]}"
