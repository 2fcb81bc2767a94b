"""Reads what was asked: every parameter is checked, an unknown one is refused, and each refusal says what to do."""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from django.db.models import Model, QuerySet
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from calendars.api.errors import BadRequest
from calendars.models import Workspace

if TYPE_CHECKING:
    from rest_framework.request import Request

USUAL, MOST = 100, 500
LARGEST = 2**63 - 1

ID = "An id has 1 to 80 visible ASCII characters. Copy it whole, as the provider writes it."
CURSOR = "This is no cursor. Take it from an answer as it stands, or leave it out to begin at the start."
SLUG = "A name has letters, digits, - and _, at most 50."
NO_WORKSPACE = "There is no workspace of this name. The id map and the calendars name those that there are."
MOMENT = "Write a moment with its offset, such as 2026-11-23T12:00:00Z (in an address a + is written %2B)."
TRUE_OR_FALSE = "Write true or false."
LIMIT = f"Write a number from 1 to {MOST}."
UNKNOWN = "“{name}” is not known here. {takes}"
TAKES = "This address takes: {names}."
TAKES_NONE = "This address takes no parameters."
ONCE = "Give “{name}” only once."
NO_OBJECT = "Send a JSON object with these names: {names}."

_ID = re.compile(r"[!-~]{1,80}")
_SLUG = re.compile(r"[A-Za-z0-9_-]{1,50}")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:\d\d)", re.ASCII)

Row = TypeVar("Row", bound=Model)


class Text(serializers.Field[Any, Any, Any, Any]):
    """A text of a certain form."""

    form = re.compile(".")

    def to_internal_value(self, data: Any) -> str:
        """Take texts of the form and nothing else: no number that looks like one, no NUL, no half of a surrogate."""
        if not isinstance(data, str) or not self.form.fullmatch(data):
            self.fail("invalid")
        return data

    def to_representation(self, value: str) -> str:
        """Return it as it is."""
        return value


@extend_schema_field({"type": "string", "pattern": "^[!-~]+$", "minLength": 1, "maxLength": 80})
class RemoteId(Text):
    """An id as the provider writes it."""

    form = _ID
    default_error_messages = {"invalid": ID}


@extend_schema_field({"type": "string", "pattern": "^[A-Za-z0-9_-]+$", "minLength": 1, "maxLength": 50})
class Slug(Text):
    """A short name."""

    form = _SLUG
    default_error_messages = {"invalid": SLUG}


class WorkspaceName(Slug):
    """The name of a workspace that exists. Becomes its key."""

    def to_internal_value(self, data: Any) -> Any:
        """Look it up, so that a typing error is not taken for an empty answer."""
        key = Workspace.objects.filter(slug=super().to_internal_value(data)).values_list("pk", flat=True).first()
        if key is None:
            raise serializers.ValidationError(NO_WORKSPACE)
        return key


@extend_schema_field({"type": "string", "format": "date-time"})
class Moment(Text):
    """A moment with an offset."""

    form = _MOMENT
    default_error_messages = {"invalid": MOMENT}

    def to_internal_value(self, data: Any) -> Any:
        """Return it as a moment."""
        try:
            moment = datetime.fromisoformat(super().to_internal_value(data))
            moment.utctimetuple()  # what leaves the calendar at its ends is no moment
        except (ValueError, OverflowError):
            self.fail("invalid")
        return moment


@extend_schema_field({"type": "boolean"})
class TrueOrFalse(Text):
    """A yes or no of a query."""

    form = re.compile("true|false")
    default_error_messages = {"invalid": TRUE_OR_FALSE}

    def to_internal_value(self, data: Any) -> Any:
        """Return it as a truth value."""
        return super().to_internal_value(data) == "true"


@extend_schema_field({"type": "integer", "minimum": 1, "maximum": MOST, "default": USUAL})
class Limit(Text):
    """How many rows an answer has at most."""

    form = re.compile("[0-9]{1,4}")
    default_error_messages = {"invalid": LIMIT}

    def to_internal_value(self, data: Any) -> Any:
        """Return it as a number."""
        number = int(super().to_internal_value(data))
        if not 1 <= number <= MOST:
            self.fail("invalid")
        return number


@extend_schema_field({"type": "string", "pattern": "^[0-9]{1,18}$"})
class Cursor(Text):
    """Where the last page ended."""

    form = re.compile("[0-9]{1,18}")
    default_error_messages = {"invalid": CURSOR}

    def to_internal_value(self, data: Any) -> Any:
        """Return it as the key of a row."""
        return int(super().to_internal_value(data))


class OneOf(serializers.ChoiceField):
    """One of a few words; the refusal names them."""

    def __init__(self, choices: Any, **kwargs: Any) -> None:
        super().__init__(choices, **kwargs)
        self.error_messages["invalid_choice"] = f"Write one of: {', '.join(map(str, self.choices))}."


class Paging(serializers.Serializer[Any]):
    """Which part of a list."""

    limit = Limit(default=USUAL, help_text=f"Most rows of an answer: 1 to {MOST}.")
    after = Cursor(required=False, help_text="Where to go on. `next` of an answer has it.")


def query_of(request: Request, form: type[serializers.Serializer[Any]] | None = None) -> dict[str, Any]:
    """Return the checked parameters of an address, or raise with a sentence."""
    known = form().fields if form is not None else {}
    for name, values in request.query_params.lists():
        if name not in known:
            takes = TAKES.format(names=", ".join(known)) if known else TAKES_NONE
            raise BadRequest(UNKNOWN.format(name=name[:40], takes=takes), code="unknown_parameter")
        if len(values) > 1:
            raise BadRequest(ONCE.format(name=name), code="repeated_parameter")
    return checked(form, request.query_params.dict()) if form is not None else {}


def body_of(request: Request, form: type[serializers.Serializer[Any]]) -> dict[str, Any]:
    """Return the checked body, or raise with a sentence."""
    query_of(request)
    body, known = request.data, form().fields
    if not isinstance(body, dict) or set(body) - set(known):
        raise BadRequest(NO_OBJECT.format(names=", ".join(known)))
    return checked(form, body)


def checked(form: type[serializers.Serializer[Any]], values: dict[str, Any]) -> dict[str, Any]:
    """Return what a form makes of values."""
    filled = form(data=values)
    filled.is_valid(raise_exception=True)
    found: dict[str, Any] = filled.validated_data
    return found


def page_of(rows: QuerySet[Row], asked: dict[str, Any], request: Request) -> tuple[list[Row], str | None]:
    """Return the rows of a page in the order of their keys, and the address of the next one."""
    found = list(rows.filter(pk__gt=asked.get("after", 0)).order_by("pk")[: asked["limit"] + 1])
    if len(found) <= asked["limit"]:
        return found, None
    found.pop()
    onwards = request.query_params.copy()
    onwards["after"] = str(found[-1].pk)
    return found, request.build_absolute_uri(f"{request.path}?{onwards.urlencode()}")
