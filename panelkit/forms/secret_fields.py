"""Secrets in forms: operators can write them, but forms never show them."""

from typing import Any

from django import forms
from unfold.widgets import UnfoldAdminPasswordWidget

STORED = "A value is stored. Leave empty to keep it."
NOT_KEPT = "Enter this value again: it was not saved, and forms never show secrets."


class SecretInput(UnfoldAdminPasswordWidget):
    """A password input that never renders its value, not even when a form with errors is shown again."""

    def __init__(self, attrs: dict[str, Any] | None = None) -> None:
        super().__init__(attrs={"autocomplete": "new-password", "spellcheck": "false", **(attrs or {})})
        self.render_value = False


class SecretField(forms.CharField):
    widget = SecretInput

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(strip=True, **kwargs)


class SecretForm(forms.ModelForm):
    """A model form whose SecretFields write encrypted model fields of the same names.

    Exclude these model fields in Meta: then Django neither reads nor fills them, and the stored value is not decrypted.
    An empty field keeps the stored value. A BooleanField `remove_NAME` removes an optional secret. If the form has
    errors, each secret that was typed gets a note to enter it again.
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
        # The database compares: the instance would have to decrypt the value.
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
            # Also when only another form on the page has errors.
            self.fields[name].widget.attrs["placeholder"] = NOT_KEPT
        if self.errors:
            for name in typed:
                self.add_error(name, NOT_KEPT)

    @property
    def written_secrets(self) -> list[str]:
        """The secrets that the submitted form replaces or removes."""
        given = self.cleaned_data
        return [name for name in self.secret_names() if given.get(name) or given.get(f"remove_{name}")]
