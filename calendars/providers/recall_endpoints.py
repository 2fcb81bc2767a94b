"""The names of Recall's endpoints: under these, budget, limits, log and counts know a call."""

from __future__ import annotations

LIST_CALENDARS = "GET /api/v2/calendars/"
CREATE_CALENDAR = "POST /api/v2/calendars/"
GET_CALENDAR = "GET /api/v2/calendars/{id}/"
UPDATE_CALENDAR = "PATCH /api/v2/calendars/{id}/"
DELETE_CALENDAR = "DELETE /api/v2/calendars/{id}/"
ACCESS_TOKEN = "POST /api/v2/calendars/{id}/access-token/"  # noqa: S105 - a path
LIST_EVENTS = "GET /api/v2/calendar-events/"
GET_EVENT = "GET /api/v2/calendar-events/{id}/"
ADD_BOT = "POST /api/v2/calendar-events/{id}/bot/"
REMOVE_BOT = "DELETE /api/v2/calendar-events/{id}/bot/"
LIST_BOTS = "GET /api/v1/bot/"
CREATE_BOT = "POST /api/v1/bot/"
GET_BOT = "GET /api/v1/bot/{id}/"
UPDATE_BOT = "PATCH /api/v1/bot/{id}/"
DELETE_BOT = "DELETE /api/v1/bot/{id}/"
LEAVE_CALL = "POST /api/v1/bot/{id}/leave_call/"
DELETE_MEDIA = "POST /api/v1/bot/{id}/delete_media/"
LIST_SCREENSHOTS = "GET /api/v1/bot/{id}/screenshots/"

ENDPOINTS = (
    LIST_CALENDARS, CREATE_CALENDAR, GET_CALENDAR, UPDATE_CALENDAR, DELETE_CALENDAR, ACCESS_TOKEN,
    LIST_EVENTS, GET_EVENT, ADD_BOT, REMOVE_BOT,
    LIST_BOTS, CREATE_BOT, GET_BOT, UPDATE_BOT, DELETE_BOT, LEAVE_CALL, DELETE_MEDIA, LIST_SCREENSHOTS,
)  # fmt: skip
