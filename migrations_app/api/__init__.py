"""What the API says of batches; built on `calendars.api`."""

from __future__ import annotations
