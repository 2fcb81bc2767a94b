"""The demo's line to the sandbox: its control API."""

from __future__ import annotations

import http.client
import json
from typing import Any
from urllib.parse import urlsplit

from recallops.demo.place import DemoError

LONGEST = 300.0  # seconds; filling a large world takes a while


class Sandbox:
    """A running sandbox: what it said at its start, and its control API."""

    def __init__(self, line: dict[str, Any]) -> None:
        self.line = line
        self._at = urlsplit(line["control"]).netloc

    def base_url(self, region: str) -> str:
        """Return where a region answers."""
        return str(self.line["regions"][region]["base_url"])

    def key(self, region: str, workspace: str) -> str:
        """Return an API key of a workspace."""
        return str(self.line["regions"][region]["workspaces"][workspace]["api_keys"][0])

    def identity(self) -> dict[str, str]:
        """Return the settings that lead people to its identity provider."""
        home = self.line["identity"]
        places = ("authorize", "token", "account", "revoke")
        return {
            f"{service}_{place}_URL".upper(): f"{home}/{service}/{place}"
            for service in ("google", "microsoft")
            for place in places
            if (service, place) != ("microsoft", "revoke")  # there is none
        }

    def ask(self, command: str, **arguments: Any) -> dict[str, Any]:
        """Run a control command. Raises DemoError with the sandbox's own words."""
        connection = http.client.HTTPConnection(self._at, timeout=LONGEST)
        try:
            connection.request("POST", f"/{command}", json.dumps(arguments), {"Content-Type": "application/json"})
            response = connection.getresponse()
            answer: dict[str, Any] = json.loads(response.read())
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise DemoError(f"The sandbox did not answer to “{command}”: {error}") from error
        finally:
            connection.close()
        if response.status != 200:
            raise DemoError(str(answer.get("error", answer)))
        return answer
