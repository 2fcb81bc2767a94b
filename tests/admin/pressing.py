"""Pressing buttons as a browser does: with what the page showed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.auth.models import User
from django.contrib.messages import get_messages
from django.test import Client, RequestFactory
from django.urls import reverse

from recallops.admin_base import ModelAdmin

if TYPE_CHECKING:
    from django.db.models import Model


def admin_of(subject: Model) -> ModelAdmin:
    """Return the pages of a row's kind."""
    found = admin.site.get_model_admin(type(subject))
    assert isinstance(found, ModelAdmin)
    return found


def shown(subject: Model) -> str:
    """Return what a form on the page of a row carries now; nothing for a row that is gone."""
    request = RequestFactory().get("/")
    request.user = User(is_staff=True, is_superuser=True)
    pages = admin_of(subject)
    row = pages.get_object(request, str(subject.pk))
    return pages.shown(row) if row is not None else ""


def address(subject: Model, act: str) -> str:
    """Return where an act on a row is posted to."""
    return reverse(f"admin:{subject._meta.app_label}_{subject._meta.model_name}_{act}", args=[subject.pk])


def press(client: Client, subject: Model, act: str, **data: Any) -> Any:
    """Press a button on a page that was just loaded; return the response."""
    return client.post(address(subject, act), {"shown": shown(subject), **data})


def said(response: Any) -> str:
    """Return what the next page will say."""
    return " ".join(str(message) for message in get_messages(response.wsgi_request))
