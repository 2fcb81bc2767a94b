"""The one door to HTTP: the only module that imports httpx, and the only place that retries.

A call, step by step:

1. take a slot of the rate budget (raises BudgetBusy rather than wait long);
2. send, through a pool of connections shared by all workspaces of a region; redirects are not followed, no proxy and
   no .netrc is taken from the environment, cookies are not kept;
3. read the body up to a bound, decode it, write one line to the log and one record to `on_call`;
4. a read that was lost or met 502/503/504 is sent again, at most three times in all; a write only when no connection
   could be made. Longer waits are never slept here: the error carries `retry_after`, and a row keeps it.

After a 429 the whole budget of that endpoint is moved, for all workers.
"""

from __future__ import annotations

import json
import logging
import os
import random
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx

from calendars.providers import errors, losses, redaction
from calendars.providers.bodies import BodyError, decode_json, read_body
from calendars.providers.calls import TRIES, Answer, CallRecord, RateBudget, Timeouts
from calendars.providers.cursor import normal_base
from calendars.providers.losses import Attempted
from calendars.providers.refusals import NO_DATA, Refused, parse_http_date, parse_retry_after, refusal
from recallops import clock

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping
    from datetime import datetime

calls_log = logging.getLogger("recallops.calls")
# The libraries' own lines hold whole URLs, with e-mail addresses and cursors in them.
logging.getLogger("httpx").setLevel(logging.WARNING)
logging.getLogger("httpcore").setLevel(logging.WARNING)

Transport = httpx.BaseTransport  # for those who hand in one of their own

USER_AGENT = "RecallOps"
_RETRIED_STATUSES = {502, 503, 504}
_REQUEST_ID_HEADERS = ("x-request-id", "x-amzn-requestid", "x-amz-cf-id")


@dataclass(frozen=True, slots=True)
class _Failure:
    error: errors.ProviderError
    again: bool


class Http:
    """Calls one provider's region with one API key. Cheap to make; safe to share between threads."""

    __slots__ = ("_budget", "_headers", "_jitter", "_key", "_on_call", "_sleep", "_transport", "base_url", "max_body",
                 "max_wait", "provider", "timeouts")  # fmt: skip

    def __init__(
        self,
        *,
        base_url: str,
        authorization: str,
        secret: str,
        provider: str,
        budget: RateBudget,
        transport: httpx.BaseTransport | None = None,
        timeouts: Timeouts | None = None,
        max_wait: float = 5.0,
        max_body: int = 8 * 1024 * 1024,
        on_call: Callable[[CallRecord], None] | None = None,
        sleep: Callable[[float], None] = time.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.base_url = normal_base(base_url)
        self.provider = provider
        self.timeouts = timeouts or Timeouts()
        self.max_wait = max_wait
        self.max_body = max_body
        self._budget = budget
        self._key = secret
        self._headers = httpx.Headers(
            {
                "Host": urlsplit(self.base_url).netloc,
                "Accept": "application/json",
                "Accept-Encoding": "gzip",
                "User-Agent": USER_AGENT,
                "Authorization": authorization,
            }
        )
        self._transport = transport or _pool(self.base_url)
        self._on_call = on_call
        self._sleep = sleep
        self._jitter = jitter

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.base_url}>"

    def __reduce__(self) -> Any:
        raise TypeError("A client holds an API key and is not pickled: pass the workspace's id.")

    def with_options(self, *, max_wait: float | None, on_call: Callable[[CallRecord], None] | None) -> Http:
        """Return the same door with another patience or another collector; the connections are shared."""
        other = object.__new__(type(self))
        for name in Http.__slots__:
            object.__setattr__(other, name, getattr(self, name))
        other.max_wait = self.max_wait if max_wait is None else max_wait
        other._on_call = on_call or self._on_call
        return other

    def call(
        self,
        method: str,
        path: str,
        *,
        endpoint: str,
        query: str = "",
        body: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
        empty_ok: bool = False,
    ) -> Answer:
        """Make one call and return its answer; any ProviderError otherwise.

        `path` and `query` are encoded already. `endpoint` is the name under which budget, log and counts know it.
        """
        failure: _Failure | None = None
        for attempt in range(1, TRIES + 1):
            waited = 0.0
            try:
                waited = self._budget.take(endpoint, self.max_wait)
            except errors.BudgetBusy:
                if failure is None:
                    raise
                break  # the trouble that made us try again says more than a busy budget
            request = self._request(method, path, query=query, body=body, idempotency_key=idempotency_key)
            outcome = self._try(
                request, endpoint=endpoint, body=body, empty_ok=empty_ok, waited=waited, attempt=attempt
            )
            if isinstance(outcome, Answer):
                return outcome
            failure = outcome
            if not failure.again or attempt == TRIES:
                break
            self._sleep(0.1 * 2**attempt * (0.5 + self._jitter()))
        assert failure is not None  # noqa: S101 - the loop runs at least once
        raise failure.error

    def _request(
        self, method: str, path: str, *, query: str, body: Mapping[str, Any] | None, idempotency_key: str | None
    ) -> httpx.Request:
        url = f"{self.base_url}{path}"
        headers = self._headers.copy()
        content = None
        if body is not None:
            content = json.dumps(body, separators=(",", ":")).encode()
            headers["Content-Type"] = "application/json"
        if idempotency_key is not None:
            headers["Idempotency-Key"] = idempotency_key
        limits = self.timeouts
        return httpx.Request(
            method,
            f"{url}?{query}" if query else url,
            headers=headers,
            content=content,
            extensions={
                "timeout": {"connect": limits.connect, "read": limits.read, "write": limits.write, "pool": limits.pool}
            },
        )

    def _try(
        self,
        request: httpx.Request,
        *,
        endpoint: str,
        body: Mapping[str, Any] | None,
        empty_ok: bool,
        waited: float,
        attempt: int,
    ) -> Answer | _Failure:
        """Send once. Errors are returned, not raised: so none of httpx's, which hold the request, hangs on to ours."""
        call = Attempted(
            provider=self.provider, host=urlsplit(self.base_url).netloc, method=request.method, endpoint=endpoint
        )
        begun_at, started = clock.now(), time.monotonic()
        response, raw, trouble, unusable = self._exchange(request, deadline=started + self.timeouts.total)
        took_ms = (time.monotonic() - started) * 1000

        outcome: Answer | _Failure
        if response is None:
            outcome = _lost(trouble, call)
        else:
            data: Any = NO_DATA
            if not unusable:
                try:
                    data = decode_json(raw) if raw.strip() else None
                except BodyError as error:
                    unusable = str(error)
            outcome = answer = _answer(response, data=data, begun_at=begun_at, took_ms=took_ms)
            if answer.status >= 300:
                outcome = self._refused(answer, call, raw=raw, body=body)
            else:
                if data is None and not empty_ok and answer.status != 204:
                    unusable = "is empty instead of JSON"
                if unusable:
                    error_ = losses.unusable(call, unusable, status=answer.status, request_id=answer.request_id)
                    outcome = _Failure(error_, again=trouble is not None and not call.is_write)
        self._record(outcome, endpoint=endpoint, took_ms=took_ms, waited=waited, attempt=attempt, begun_at=begun_at)
        return outcome

    def _exchange(
        self, request: httpx.Request, *, deadline: float
    ) -> tuple[httpx.Response | None, bytes, httpx.TransportError | None, str]:
        """Send and read. Returns the response if there was one, its body, what broke it off, why it is unusable."""
        response: httpx.Response | None = None
        try:
            response = self._transport.handle_request(request)
            stream = response.stream
            assert isinstance(stream, httpx.SyncByteStream)  # noqa: S101 - the transport is a synchronous one
            encoding = response.headers.get("content-encoding", "")
            return response, read_body(stream, encoding=encoding, limit=self.max_body, deadline=deadline), None, ""
        except httpx.TransportError as trouble:
            return response, b"", trouble, "stops in the middle"
        except BodyError as error:
            return response, b"", None, str(error)
        finally:
            if response is not None:
                response.close()

    def _refused(self, answer: Answer, call: Attempted, *, raw: bytes, body: Mapping[str, Any] | None) -> _Failure:
        """The answer is no success: say which, and move the budget after a 429."""
        told = parse_retry_after(answer.headers.get("retry-after"), now=answer.server_date or answer.begun_at)
        error = refusal(
            Refused(
                provider=self.provider,
                endpoint=call.endpoint,
                status=answer.status,
                data=answer.data,
                text=raw[:4_000].decode("utf-8", "replace") if answer.data is NO_DATA else "",
                retry_after=told,
                request_id=answer.request_id,
                is_write=call.is_write,
                secrets=[self._key, *redaction.secrets_in(body)],
            )
        )
        if isinstance(error, errors.Throttled) and error.retry_after is not None:
            self._budget.push(call.endpoint, error.retry_after.total_seconds() / clock.speed())
        again = not call.is_write and answer.status in _RETRIED_STATUSES and told is None
        return _Failure(error, again=again)

    def _record(
        self,
        outcome: Answer | _Failure,
        *,
        endpoint: str,
        took_ms: float,
        waited: float,
        attempt: int,
        begun_at: datetime,
    ) -> None:
        error = ""
        found: Answer | errors.ProviderError = outcome if isinstance(outcome, Answer) else outcome.error
        if not isinstance(found, Answer):
            error = type(found).__name__
        level = logging.WARNING if error else logging.INFO
        if calls_log.isEnabledFor(level):
            shown = (f" {error}" if error else "") + (f" id {found.request_id}" if found.request_id else "")
            calls_log.log(level, "%s %s %.0f ms try %d%s", endpoint, found.status or "-", took_ms, attempt, shown)
        if self._on_call is not None:
            self._on_call(
                CallRecord(
                    endpoint=endpoint,
                    status=found.status,
                    error=error,
                    took_ms=took_ms,
                    waited_ms=waited * 1000,
                    attempt=attempt,
                    begun_at=begun_at,
                    request_id=found.request_id,
                )
            )


def _answer(response: httpx.Response, *, data: Any, begun_at: datetime, took_ms: float) -> Answer:
    headers = response.headers
    request_id = next((headers[name] for name in _REQUEST_ID_HEADERS if name in headers), "")
    return Answer(
        status=response.status_code,
        data=data,
        headers=headers,
        begun_at=begun_at,
        server_date=parse_http_date(headers.get("date")),
        took_ms=took_ms,
        request_id=redaction.quote(request_id, limit=100) if request_id else "",
    )


def _lost(trouble: httpx.TransportError | None, call: Attempted) -> _Failure:
    """No answer came at all. Sent again is a read, and a write that found no connection."""
    if isinstance(trouble, httpx.PoolTimeout):
        return _Failure(losses.no_free_connection(call), again=True)
    if isinstance(trouble, httpx.ConnectError | httpx.ConnectTimeout):
        if "CERTIFICATE" in str(trouble).upper():
            return _Failure(losses.bad_certificate(call), again=False)
        return _Failure(losses.no_connection(call), again=True)
    if isinstance(trouble, httpx.LocalProtocolError | httpx.UnsupportedProtocol):
        return _Failure(losses.not_sendable(call), again=False)
    in_time = not isinstance(trouble, httpx.TimeoutException)
    return _Failure(losses.no_answer(call, in_time=in_time), again=not call.is_write)


# One pool of connections for each base URL and process. After a fork the child starts with none: two processes on one
# socket would read each other's answers. The parent's are kept referenced, unclosed, since closing them would end its
# connections.
_pools: dict[str, httpx.HTTPTransport] = {}
_inherited: list[dict[str, httpx.HTTPTransport]] = []
_pools_lock = threading.Lock()
_ssl_context: ssl.SSLContext | None = None


def _pool(base_url: str) -> httpx.HTTPTransport:
    global _ssl_context
    parts = urlsplit(base_url)
    if parts.scheme != "https" and parts.hostname not in {"127.0.0.1", "localhost", "::1"}:
        raise errors.ProviderError(
            f"{base_url} would send the API key over an unencrypted connection. Use https.",
            kind=errors.ErrorKind.CONFIGURATION,
        )
    place = f"{parts.scheme}://{parts.netloc}"
    with _pools_lock:
        if place not in _pools:
            if _ssl_context is None:
                _ssl_context = httpx.create_ssl_context()
            _pools[place] = httpx.HTTPTransport(
                verify=_ssl_context,
                trust_env=False,
                limits=httpx.Limits(max_connections=32, max_keepalive_connections=16, keepalive_expiry=20.0),
            )
        return _pools[place]


def close_pools() -> None:
    """Close the kept connections of this process. Clients made before must not be used afterwards."""
    with _pools_lock:
        for pool in _pools.values():
            pool.close()
        _pools.clear()


def _after_fork() -> None:
    global _pools, _pools_lock
    _inherited.append(_pools)
    _pools = {}
    _pools_lock = threading.Lock()


os.register_at_fork(after_in_child=_after_fork)
