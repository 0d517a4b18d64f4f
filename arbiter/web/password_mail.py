"""Passwords by mail, where mail is set up: the address a person gave, and a link sent to it by Django's own
view."""

from typing import Any, cast

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import views
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse_lazy
from django.views.decorators.http import require_POST

from annotation.access import link_tokens
from arbiter.web import throttle
from arbiter.web.forms.accounts import AddressForm, ChangedPassword, LinkByMail
from arbiter.web.forms.fields import status_of
from arbiter.web.password_pages import with_address


class ForgottenPassword(views.PasswordResetView):
    """Says the same whether or not anybody has the address."""

    template_name = "web/forgotten.html"
    form_class = LinkByMail
    token_generator = link_tokens
    success_url = reverse_lazy("sign-in")
    subject_template_name = "web/mail/password_subject.txt"
    email_template_name = "web/mail/password.txt"

    def dispatch(self, request: Any, *args: Any, **named: Any) -> Any:
        if not settings.MAIL:
            raise Http404
        return super().dispatch(request, *args, **named)

    def post(self, request: Any, *args: Any, **named: Any) -> HttpResponse:
        try:
            throttle.count_mail(request, request.POST.get("email", ""))
        except throttle.TooMany as error:
            return throttle.refused(request, error)
        answer = super().post(request, *args, **named)
        if answer.status_code == 302:
            messages.success(request, "If somebody here has this address, a link is on its way to it.")
        return answer


@login_required
@require_POST
def save_address(request: HttpRequest) -> HttpResponse:
    """Keep where links to set a password are sent. It takes the password: whoever finds a browser open must
    not have them sent."""
    if not settings.MAIL:
        raise Http404
    user, form = cast(User, request.user), AddressForm(request.POST)
    try:
        if form.is_valid() and _is_theirs(request, user, form):
            User.objects.filter(pk=user.pk).update(email=form.cleaned_data["email"])
            messages.success(request, "Saved.")
            return redirect("password")
    except throttle.TooMany as error:
        return throttle.refused(request, error, "web/password.html", lambda: _page(user, form))
    return render(request, "web/password.html", _page(user, form), status=status_of(form))


def _is_theirs(request: HttpRequest, user: User, form: AddressForm) -> bool:
    """Tell whether the password is the person's, and say so beside it where it is not."""
    with throttle.Trying(request, user.get_username()) as tried:
        right = user.check_password(form.cleaned_data["password"])
        if right:
            tried.right()
    if not right:
        form.add_error("password", "The password is not right. Nothing was changed.")
    return right


def _page(user: User, form: AddressForm) -> dict[str, Any]:
    """Return what the page of the password shows around the address that was typed."""
    change = ChangedPassword(user)
    change.fields["old_password"].widget.attrs.pop("autofocus", None)
    return {"form": change, **with_address(user, form)}
