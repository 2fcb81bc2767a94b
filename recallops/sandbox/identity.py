"""The identity provider: Google's and Microsoft's OAuth 2.0 code flow with PKCE, over the accounts of a world.

A person is asked on a page which account it is to be; nobody types a password. What is allowed becomes a grant of the
world (`world.grant`), which opens the account for the regions like any other.
"""

from __future__ import annotations

import base64
import hashlib
import re
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote_plus, urlencode

from recallops.sandbox import identity_assertion, identity_page
from recallops.sandbox.identity_faults import TokenRefused, account_refusal, token_refusal
from recallops.sandbox.identity_tokens import EMAIL_SCOPE, GOOGLE_SCOPE, TOKEN_LIFETIME, Tokens
from recallops.sandbox.meetings import GOOGLE, OUTLOOK
from recallops.sandbox.messages import HTML, NOT_FOUND_PAGE, Response, answer

if TYPE_CHECKING:
    from recallops.sandbox.meetings import Account, OAuthClient
    from recallops.sandbox.messages import Request
    from recallops.sandbox.world import World

PLATFORMS = {"google": GOOGLE, "microsoft": OUTLOOK}
NAMES = {GOOGLE: "Google", OUTLOOK: "Microsoft"}
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
# Google calls these by their long names in what it answers.
_LONG_NAMES = {"email": EMAIL_SCOPE, "profile": f"{GOOGLE_SCOPE}userinfo.profile"}
_CALENDAR_SCOPES = {"calendars.read", "calendars.readwrite"}
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")  # a SHA-256 in base64url
_FIELDS = ("email", "decision")  # the page's own; all else in its form is the client's


class Identity:
    """The two sign-in services of a world. `handle()` takes a request and returns a response, as a region does."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.base_url = "https://identity.sandbox"
        self.tokens = Tokens(world)

    def handle(self, request: Request) -> Response:
        """Answer one call, after everything that was due before it has happened."""
        self.world.advance()
        service, _, place = request.path.strip("/").partition("/")
        platform = PLATFORMS.get(service)
        calls = {
            "authorize": {"GET": self._authorize, "POST": self._authorize},
            "token": {"POST": self._token},
            "account": {"GET": self._account},
            "revoke": {"POST": self._revoke},
        }
        if platform is None or place not in calls or (platform == OUTLOOK and place == "revoke"):
            return Response(404, NOT_FOUND_PAGE, HTML)
        call = calls[place].get(request.method)
        if call is None:
            return Response(405, headers={"Allow": ", ".join(calls[place])})
        return call(platform, request)

    # --- asking a person ----------------------------------------------------------------------------------------

    def _authorize(self, platform: str, request: Request) -> Response:
        """Show the page, or carry out what was pressed on it."""
        google = platform == GOOGLE
        asked, repeated = _read(request.query)
        form = _form(request)
        asked = {**asked, **{name: value for name, value in form.items() if name not in _FIELDS}}
        client = self.world.clients.get((platform, asked.get("client_id", "")))
        if client is None:
            code, sentence = "invalid_client" if google else "AADSTS700016", "The application is not known here."
            return identity_page.refusal(NAMES[platform], code, sentence)
        redirect_uri = asked.get("redirect_uri", "")
        if redirect_uri not in client.redirect_uris:
            code = "redirect_uri_mismatch" if google else "AADSTS50011"
            sentence = f"The application has no such redirect URI: {redirect_uri}"
            return identity_page.refusal(NAMES[platform], code, sentence)
        state = {"state": asked["state"]} if "state" in asked else {}
        fault = ("invalid_request", "A parameter is given twice.") if repeated else _fault(asked)
        if fault is None and form.get("decision") == "cancel":
            fault = ("access_denied", "The user denied access.")
        if fault is not None:
            return _redirect(redirect_uri, {"error": fault[0], "error_description": fault[1], **state})
        account, trouble = None, ""
        if request.method == "POST":
            account, trouble = self._pressed(platform, form)
        if account is not None:
            return _redirect(redirect_uri, {"code": self._code(client, account, asked), **state})
        return identity_page.consent(
            NAMES[platform],
            client_id=client.client_id,
            scopes=asked["scope"].split(),
            email=form.get("email", asked.get("login_hint", "")),
            query=urlencode(asked),
            trouble=trouble,
        )

    def _pressed(self, platform: str, form: dict[str, str]) -> tuple[Account | None, str]:
        """Return the account that was allowed, or what is wrong with the form."""
        if form.get("decision") != "allow":
            return None, "Press Allow or Cancel."
        email = form.get("email", "").strip().casefold()
        for account in self.world.accounts.values():
            if account.platform == platform and account.email.casefold() == email:
                return account, ""
        return None, f"The sandbox has no {NAMES[platform]} account with this e-mail address. Type another one."

    def _code(self, client: OAuthClient, account: Account, asked: dict[str, str]) -> str:
        """Return a code for what the client asked and the account allowed."""
        scopes = dict.fromkeys(asked["scope"].split())
        if client.platform == GOOGLE:
            scopes = dict.fromkeys(_LONG_NAMES.get(scope, scope) for scope in scopes)
            # Whom Google gave a refresh token it gives no second one, unless the person is asked anew.
            anew = "consent" in asked.get("prompt", "").split()
            offline = asked.get("access_type") == "offline" and (
                anew or not self.tokens.standing(account, client.client_id)
            )
        else:
            offline = "offline_access" in scopes
            scopes.pop("offline_access", None)
        return self.tokens.new_code(
            client,
            account,
            redirect_uri=asked["redirect_uri"],
            challenge=asked.get("code_challenge", ""),
            scopes=tuple(scopes),
            offline=offline,
        )

    # --- what clients call --------------------------------------------------------------------------------------

    def _token(self, platform: str, request: Request) -> Response:
        """Turn a code, or a refresh token, into tokens."""
        form = _form(request)
        try:
            client = self._client(platform, form, request.headers.get("authorization", ""))
            kind = _needed(form, "grant_type")
            if kind == "authorization_code":
                code, redirect_uri = _needed(form, "code"), _needed(form, "redirect_uri")
                issued = self.tokens.redeem(client, code, redirect_uri, form.get("code_verifier", ""))
            elif kind == "refresh_token":
                issued = self.tokens.refresh(client, _needed(form, "refresh_token"))
            else:
                raise TokenRefused("grant_type", kind)
        except TokenRefused as refused:
            return token_refusal(self.world, platform, refused)
        value = {
            "access_token": issued.access_token,
            "expires_in": int(TOKEN_LIFETIME.total_seconds()),
            "scope": " ".join(issued.scopes),
            "token_type": "Bearer",
        }
        if issued.refresh_token is not None:
            value["refresh_token"] = issued.refresh_token
        response = answer(200, value)
        response.headers["Cache-Control"] = "no-store"
        return response

    def _client(self, platform: str, form: dict[str, str], authorization: str) -> OAuthClient:
        """Return the client that proved itself: by a secret in the form or by HTTP Basic, or by its certificate."""
        scheme, _, packed = authorization.partition(" ")
        if scheme.lower() == "basic":
            try:
                client_id, _, secret = base64.b64decode(packed, validate=True).decode().partition(":")
            except ValueError:
                raise TokenRefused("secret") from None
            form = {**form, "client_id": unquote_plus(client_id), "client_secret": unquote_plus(secret)}
        client_id = _needed(form, "client_id")
        client = self.world.clients.get((platform, client_id))
        if client is None:
            raise TokenRefused("client", client_id)
        if client.certificate:
            if form.get("client_assertion_type") != ASSERTION_TYPE or not form.get("client_assertion"):
                raise TokenRefused("no_secret")
            flaw = identity_assertion.flaw(
                form["client_assertion"],
                client.certificate,
                client_id=client_id,
                audience=f"{self.base_url}/microsoft/token",
                now=self.world.now(),
            )
            if flaw:
                raise TokenRefused(flaw)
        elif form.get("client_secret", "") != client.secret:
            raise TokenRefused("secret" if form.get("client_secret") else "no_secret")
        return client

    def _account(self, platform: str, request: Request) -> Response:
        """Say whose token this is, as Google's userinfo and Microsoft Graph's `/me/calendar` do."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        access = self.tokens.find(platform, token.strip()) if scheme.lower() == "bearer" else None
        if access is None:
            return account_refusal(platform, 401)
        account = self.world.accounts[access.account]
        mark = hashlib.blake2b(":".join(account.key).encode(), digest_size=30).digest()
        if platform == GOOGLE:
            if EMAIL_SCOPE not in access.scopes:
                return account_refusal(platform, 403)
            sub = f"{int.from_bytes(mark, 'big') % 10**21:021d}"
            return answer(200, {"sub": sub, "email": account.email, "email_verified": True, "name": account.name})
        if not _CALENDAR_SCOPES.intersection(scope.rpartition("/")[2].lower() for scope in access.scopes):
            return account_refusal(platform, 403)
        owner = {"name": account.name, "address": account.email}
        return answer(200, {"id": f"AAMk{mark.hex()}", "name": "Calendar", "owner": owner})

    def _revoke(self, platform: str, request: Request) -> Response:
        if self.tokens.revoke(platform, _form(request).get("token", "")):
            return answer(200, {})
        return answer(400, {"error": "invalid_token", "error_description": "Token expired or revoked"})


def _read(text: str) -> tuple[dict[str, str], bool]:
    """Return the parameters of a query or a form, and whether one is there twice."""
    pairs = parse_qsl(text, keep_blank_values=True)
    values = dict(pairs)
    return values, len(values) < len(pairs)


def _form(request: Request) -> dict[str, str]:
    return _read(request.body.decode("utf-8", "replace"))[0]


def _needed(form: dict[str, str], name: str) -> str:
    if not form.get(name):
        raise TokenRefused("missing", name)
    return form[name]


def _fault(asked: dict[str, str]) -> tuple[str, str] | None:
    """Return what is wrong with a request for consent: what the client is told through its redirect URI."""
    if asked.get("response_type") != "code":
        return "unsupported_response_type", "Ask for response_type=code."
    if not asked.get("scope", "").split():
        return "invalid_scope", "Missing required parameter: scope"
    challenge, method = asked.get("code_challenge", ""), asked.get("code_challenge_method", "")
    if (challenge or method) and (method != "S256" or not _CHALLENGE.fullmatch(challenge)):
        return "invalid_request", "Send code_challenge_method=S256 and a code_challenge of 43 characters, or neither."
    return None


def _redirect(redirect_uri: str, values: dict[str, str]) -> Response:
    """Send the browser back to the client."""
    location = f"{redirect_uri}{'&' if '?' in redirect_uri else '?'}{urlencode(values)}"
    return Response(302, b"", HTML, {"Location": location, "Cache-Control": "no-store"})
