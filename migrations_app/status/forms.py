"""What a customer may type on their status page."""

from __future__ import annotations

from django import forms
from django.utils.translation import gettext_lazy as _


class InquiryForm(forms.Form):
    """A few lines, and where to answer."""

    text = forms.CharField(
        label=_("What is wrong, or what do you want to know?"),
        max_length=2000,
        widget=forms.Textarea(attrs={"rows": 4}),
        error_messages={"required": _("Write a few words.")},
    )
    email = forms.EmailField(label=_("Your e-mail address, if you want an answer"), required=False, max_length=254)


class SubscribeForm(forms.Form):
    """Where e-mails shall go."""

    address = forms.EmailField(
        label=_("E-mail address"),
        max_length=254,
        widget=forms.EmailInput(attrs={"autocomplete": "email"}),
        error_messages={"required": _("Write your e-mail address.")},
    )
