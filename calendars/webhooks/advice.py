"""What staff do about webhooks that were refused: one sentence for each cause."""

from __future__ import annotations

from calendars.models import WebhookRefusal

Cause = WebhookRefusal.Cause

WHAT_TO_DO = {
    Cause.OTHER_WORKSPACE: (
        "The dashboard of the workspace that is named sends to this address. Paste there the address of its own "
        "endpoint, or store its secret here if this is meant."
    ),
    Cause.ROTATED: (
        "The vendor still signs with a secret that is switched off here. Switch it on again until the rotation is "
        "finished in the dashboard."
    ),
    Cause.ALTERED: (
        "Something between the vendor and this address (a proxy, a function, another application) reads the JSON and "
        "writes it anew. Let it pass the bytes on as they came."
    ),
    Cause.NO_SECRET: (
        "Copy the signing secret from the vendor's dashboard of this region and add it under “Webhook secrets”."
    ),
    Cause.UNSIGNED: (
        "The vendor sends no signature headers until a workspace secret exists in its dashboard: create one there and "
        "add it here. If there is one, a proxy removes the headers."
    ),
    Cause.MIXED: "No vendor sends both kinds of headers: look which proxy adds some, and who else knows this address.",
    Cause.MALFORMED: (
        "A proxy changes or joins headers, or somebody tries the address by hand: compare with what the dashboard sent."
    ),
    Cause.TOO_OLD: (
        "A proxy or queue holds webhooks back, or somebody sends old ones again. If all are refused, set this "
        "machine's clock."
    ),
    Cause.TOO_NEW: "This machine's clock is behind. Let it be set by NTP.",
    Cause.TOO_LARGE: "No webhook of the catalogue is so large. If it is a real one, raise WEBHOOK_MAX_BYTES.",
    Cause.DISABLED: "Switch this endpoint on again, or remove its address from the vendor's dashboard.",
    Cause.UNKNOWN: (
        "Compare the last four characters of the secret in the dashboard of this region with those stored here; after "
        "a move it is most often the other region's secret. Add the right one."
    ),
}
