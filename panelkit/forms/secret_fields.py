"""Secrets in forms: written, never read back."""

from typing import Any

from django import forms
from unfold.widgets import UnfoldAdminPasswordWidget

STORED = "Stored. Leave empty to keep it."
NOT_KEPT = "Enter it again: a secret is never shown, and this one was not saved."


class SecretInput(UnfoldAdminPasswordWidget):
    """A password input that never renders what it was given, not even what was just typed into a form with errors."""

    def __init__(self, attrs: dict[str, Any] | None = None) -> None:
        super().__init__(attrs={"autocomplete": "new-password", "spellcheck": "false", **(attrs or {})})
        self.render_value = False


class SecretField(forms.CharField):
    widget = SecretInput

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(strip=True, **kwargs)


class SecretForm(forms.ModelForm):
    """A model form whose SecretFields stand for encrypted model fields of the same names.

    Exclude those model fields in Meta: Django then neither reads nor fills them, and the stored value is not even
    decrypted. An empty submit keeps what is stored. An optional secret gets a box that removes it. A form that comes
    back with errors says at each secret that was typed to enter it again.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance._state.adding:
            return
        for name in self.secret_names():
            field = self.fields[name]
            field.required = False
            if self._is_stored(name):
                field.widget.attrs["placeholder"] = STORED

    def _is_stored(self, name: str) -> bool:
        # Asked of the database: the instance would have to decrypt it.
        this = type(self.instance)._base_manager.filter(pk=self.instance.pk)
        return this.exclude(**{name: ""}).exists()

    def secret_names(self) -> list[str]:
        return [name for name, field in self.fields.items() if isinstance(field, SecretField)]

    def _post_clean(self) -> None:
        super()._post_clean()  # type: ignore[misc]  # Django's hook, not in the stubs
        for name in self.written_secrets:
            setattr(self.instance, name, self.cleaned_data[name])
        typed = [name for name in self.secret_names() if self.data.get(self.add_prefix(name))]
        for name in typed:
            # For the errors of other forms on the page, too.
            self.fields[name].widget.attrs["placeholder"] = NOT_KEPT
        if self.errors:
            for name in typed:
                self.add_error(name, NOT_KEPT)

    @property
    def written_secrets(self) -> list[str]:
        """The secrets that this submit replaces or removes."""
        given = self.cleaned_data
        return [name for name in self.secret_names() if given.get(name) or given.get(f"remove_{name}")]
