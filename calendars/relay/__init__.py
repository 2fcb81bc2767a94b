"""The relay: passes webhooks on to the company's own application, in order, again and again until it has them.

`routing` says which are passed on and which are held, `outbox` puts rows and takes them out, `post` makes one request,
`hosts` says where a request may go, `tasks` is what the queue wakes.
"""

from __future__ import annotations
