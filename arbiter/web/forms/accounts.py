"""The forms of signing in, of passwords, and of the address to which links to set one are sent."""

from threading import Thread
from typing import Any, cast

from django import forms
from django.contrib.auth.forms import (
    AuthenticationForm,
    PasswordChangeForm,
    PasswordResetForm,
    SetPasswordForm,
    UserCreationForm,
)
from django.contrib.auth.models import User

from arbiter.core.errors import UserError
from arbiter.web.forms.fields import SentForm

LONGEST_PASSWORD = 1000  # characters; nobody types more, and hashing reads them all


def limited(form: forms.BaseForm) -> None:
    """Let a form take passwords of any length that a person has, and none that is a load by itself."""
    for name, field in form.fields.items():
        if "password" in name and isinstance(field, forms.CharField):
            form.fields[name] = forms.CharField(
                label=field.label, strip=False, max_length=LONGEST_PASSWORD, widget=field.widget
            )


class SignInForm(AuthenticationForm):
    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        limited(self)


class NewPerson(UserCreationForm):  # type: ignore[type-arg]
    class Meta:
        model = User
        fields = ["username"]

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        limited(self)

    def hash_password(self) -> None:
        self.instance.set_password(self.cleaned_data["password1"])

    def set_password_and_save(self, user: User, *_: Any, commit: bool = True, **__: Any) -> User:
        """Save the account. Its password was hashed before, in a place of its own."""
        if commit:
            user.save()
        return user


class NewPassword(SetPasswordForm):  # type: ignore[type-arg]
    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        limited(self)
        self.fields["new_password1"].widget.attrs["autofocus"] = True

    def save(self, commit: bool = True) -> User:
        """Set the password. Of two who set it by one link at once, the row count says who was first: the link
        is for the password as it was."""
        before = self.user.password
        self.user.set_password(self.cleaned_data["new_password1"])
        changed = User.objects.filter(pk=self.user.pk, password=before).update(password=self.user.password)
        if not changed:
            raise UserError("This link has been used. Ask whoever sent it for a new one.")
        return cast(User, self.user)


class ChangedPassword(PasswordChangeForm):
    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        limited(self)


class LinkByMail(PasswordResetForm):
    def send_mail(self, *args: Any, **named: Any) -> None:
        """Send the link from a thread of its own: no process waits for the mail server, and how long it takes
        tells nobody whether an address is known."""
        Thread(target=super().send_mail, args=args, kwargs=named, daemon=True).start()


class AddressForm(SentForm):
    """The address to which links to set a password are sent, with the password that one has."""

    email = forms.EmailField(
        label="Address",
        required=False,
        max_length=254,
        widget=forms.EmailInput(attrs={"autocomplete": "email"}),
    )
    password = forms.CharField(
        label="Your password",
        strip=False,
        max_length=LONGEST_PASSWORD,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )
