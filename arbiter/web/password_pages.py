"""Signing in by password, and changing or setting one: Django's own views, throttled."""

from typing import Any, cast

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import views
from django.contrib.auth.mixins import LoginRequiredMixin
from django.contrib.auth.models import User
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse_lazy

from annotation.access import link_tokens
from arbiter.core.errors import UserError
from arbiter.web import throttle
from arbiter.web.forms.accounts import AddressForm, ChangedPassword, NewPassword, SignInForm


class SignIn(views.LoginView):
    template_name = "web/sign_in.html"
    redirect_authenticated_user = True
    authentication_form = SignInForm

    def get_context_data(self, **named: Any) -> dict[str, Any]:
        return super().get_context_data(**named) | {"mail": settings.MAIL}

    def post(self, request: Any, *args: Any, **named: Any) -> HttpResponse:
        name = request.POST.get("username", "")
        try:
            with throttle.Trying(request, name) as tried:
                answer = super().post(request, *args, **named)
                if request.user.is_authenticated:
                    tried.right()
                return answer
        except throttle.TooMany as error:
            return throttle.refused(request, error, self.template_name, lambda: self._typed(name))

    def _typed(self, name: str) -> dict[str, Any]:
        form = self.authentication_form(self.request, initial={"username": name})
        return {"form": form, "next": self.request.POST.get("next", ""), "mail": settings.MAIL}


class ChangePassword(LoginRequiredMixin, views.PasswordChangeView):
    """Ends every other session of the person's."""

    template_name = "web/password.html"
    form_class = ChangedPassword
    success_url = reverse_lazy("password")

    def get_context_data(self, **named: Any) -> dict[str, Any]:
        return super().get_context_data(**named) | with_address(cast(User, self.request.user))

    def post(self, request: Any, *args: Any, **named: Any) -> HttpResponse:
        try:
            with throttle.Trying(request, request.user.get_username()) as tried:
                answer = super().post(request, *args, **named)
                if answer.status_code == 302:
                    tried.right()
                    messages.success(
                        request,
                        "Your password is changed. Other browsers you were signed in on are signed out.",
                    )
                return answer
        except throttle.TooMany as error:
            form = self.form_class(request.user)
            return throttle.refused(
                request, error, self.template_name, lambda: self.get_context_data(form=form)
            )


def with_address(user: User, form: AddressForm | None = None) -> dict[str, Any]:
    """Return what the page of a person's password needs beside the form to change it."""
    return {
        "has_one": user.has_usable_password(),
        "mail": settings.MAIL,
        "address": form or AddressForm(initial={"email": user.email}),
    }


class SetPassword(views.PasswordResetConfirmView):
    """By a one-time link, which setting a password or signing in with one spends. Looking at it spends
    nothing."""

    template_name = "web/password_set.html"
    form_class = NewPassword
    token_generator = link_tokens
    success_url = reverse_lazy("sign-in")

    def render_to_response(self, context: Any, **named: Any) -> HttpResponse:
        if not context.get("validlink"):
            return self._useless("This link has been used or has expired. Ask whoever sent it for a new one.")
        return super().render_to_response(context, **named)

    def post(self, request: Any, *args: Any, **named: Any) -> HttpResponse:
        try:
            with throttle.hashing():
                answer = super().post(request, *args, **named)
        except throttle.TooMany as error:
            form = self.form_class(self.user)
            return throttle.refused(
                request, error, self.template_name, lambda: self.get_context_data(form=form)
            )
        except UserError as error:
            return self._useless(str(error))
        if answer.status_code == 302:
            messages.success(request, "Your password is set. Sign in with it.")
        return answer

    def _useless(self, message: str) -> HttpResponse:
        try:
            throttle.count_wrong_link(self.request)
        except throttle.TooMany as error:
            return throttle.refused(self.request, error)
        return render(self.request, "web/refusal.html", {"message": message}, status=410)
