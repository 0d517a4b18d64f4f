from django.contrib.auth.views import LoginView, LogoutView
from django.urls import path

from annotation.views import labelling, signing, training

urlpatterns = [
    path("", signing.home, name="home"),
    path(
        "sign-in",
        LoginView.as_view(template_name="sign_in.html", redirect_authenticated_user=True),
        name="sign-in",
    ),
    path("sign-out", LogoutView.as_view(next_page="sign-in"), name="sign-out"),
    path("sign-in/link/<str:token>", signing.sign_in_by_link, name="sign-in-link"),
    path("invitation/<str:token>", signing.invitation, name="invitation"),
    path("studies/<slug:slug>/label/", labelling.workspace, name="label"),
    path("studies/<slug:slug>/label/consent", labelling.consent, name="label-consent"),
    path("studies/<slug:slug>/label/next", labelling.following, name="label-next"),
    path("studies/<slug:slug>/label/submit", labelling.submit, name="label-submit"),
    path("studies/<slug:slug>/label/skip", labelling.skip, name="label-skip"),
    path("studies/<slug:slug>/label/draft", labelling.draft, name="label-draft"),
    path("studies/<slug:slug>/label/keep", labelling.keep, name="label-keep"),
    path("studies/<slug:slug>/label/last", labelling.last, name="label-last"),
    path("studies/<slug:slug>/label/guidelines", labelling.current_guidelines, name="label-guidelines"),
    path("studies/<slug:slug>/label/preferences", labelling.preferences, name="label-preferences"),
    path("studies/<slug:slug>/label/formatted/<slug:key>", labelling.formatted, name="label-formatted"),
    path("studies/<slug:slug>/label/training/", training.show, name="label-training"),
    path("studies/<slug:slug>/label/training/answer", training.answer, name="label-training-answer"),
    path("studies/<slug:slug>/label/training/again", training.again, name="label-training-again"),
    path("studies/<slug:slug>/label/me", training.me, name="label-me"),
]
