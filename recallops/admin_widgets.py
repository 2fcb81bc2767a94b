"""Inputs of our own forms, dressed as the admin's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms

if TYPE_CHECKING:
    from django.forms import Select

    INPUT_CLASSES: list[str] = []
    TEXTAREA_CLASSES: list[str] = []
else:
    from unfold.widgets import INPUT_CLASSES, TEXTAREA_CLASSES
    from unfold.widgets import UnfoldAdminSelectWidget as Select

__all__ = ["JsonText", "PlainText", "SecretInput", "SecretText", "Select", "SelectMultiple", "TextInput", "UnseenInput"]


def _dress(attrs: dict[str, Any] | None, classes: list[str]) -> dict[str, Any]:
    return {"class": " ".join(classes), **(attrs or {})}


class TextInput(forms.TextInput):
    """One line of text."""

    def __init__(self, attrs: dict[str, Any] | None = None) -> None:
        super().__init__(_dress(attrs, INPUT_CLASSES))


class SelectMultiple(forms.SelectMultiple):
    """Some of several."""

    def __init__(self, attrs: dict[str, Any] | None = None, choices: Any = ()) -> None:
        super().__init__({"size": 10, "class": "ro-many", **(attrs or {})}, choices)


class SecretInput(forms.PasswordInput):
    """A secret in one line: what was typed is never sent back."""

    def __init__(self, attrs: dict[str, Any] | None = None) -> None:
        super().__init__({"autocomplete": "off", **_dress(attrs, INPUT_CLASSES)}, render_value=False)


class UnseenInput(TextInput):
    """A line that may hold a secret, such as an address: seen while it is typed, and never sent back."""

    def __init__(self, attrs: dict[str, Any] | None = None) -> None:
        super().__init__({"autocomplete": "off", "spellcheck": "false", **(attrs or {})})

    def get_context(self, name: str, value: Any, attrs: Any) -> dict[str, Any]:
        """Show nothing, whatever there is."""
        return super().get_context(name, "", attrs)


class SecretText(forms.Textarea):
    """A secret of several lines: what was typed is never sent back."""

    def __init__(self, attrs: dict[str, Any] | None = None) -> None:
        super().__init__({"autocomplete": "off", "rows": 4, **_dress(attrs, TEXTAREA_CLASSES)})

    def get_context(self, name: str, value: Any, attrs: Any) -> dict[str, Any]:
        """Show nothing, whatever there is."""
        return super().get_context(name, "", attrs)


class PlainText(forms.Textarea):
    """Text of several lines, as it is."""

    def __init__(self, attrs: dict[str, Any] | None = None) -> None:
        super().__init__({"rows": 16, **_dress(attrs, [*TEXTAREA_CLASSES, "ro-code"])})


class JsonText(forms.Textarea):
    """JSON of several lines."""

    def __init__(self, attrs: dict[str, Any] | None = None) -> None:
        look = _dress(attrs, [*TEXTAREA_CLASSES, "ro-code"])
        super().__init__({"rows": 18, "spellcheck": "false", "autocomplete": "off", **look})
