from django.contrib.auth.views import LogoutView
from django.urls import path

from arbiter.web import (
    collection_pages,
    endpoint_pages,
    password_mail,
    password_pages,
    sign_in_pages,
    suite_pages,
)
from arbiter.web.label import own_labels_page, training_pages, workspace

urlpatterns = [
    path("", sign_in_pages.home, name="home"),
    path("sign-in", password_pages.SignIn.as_view(), name="sign-in"),
    path("password", password_pages.ChangePassword.as_view(), name="password"),
    path("password/forgotten", password_mail.ForgottenPassword.as_view(), name="password-forgotten"),
    path("password/address", password_mail.save_address, name="password-address"),
    path("password/<str:uidb64>/<str:token>", password_pages.SetPassword.as_view(), name="password-set"),
    path("sign-out", LogoutView.as_view(next_page="sign-in"), name="sign-out"),
    path("sign-in/link/<str:token>", sign_in_pages.sign_in_by_link, name="sign-in-link"),
    path("invitation/<str:token>", sign_in_pages.invitation, name="invitation"),
    path("collections/", collection_pages.show_all, name="collections"),
    path("collections/<int:collection>/", collection_pages.show, name="collection"),
    path("collections/<int:collection>/progress", collection_pages.progress, name="collection-progress"),
    path("collections/<int:collection>/errors", collection_pages.errors, name="collection-errors"),
    path("collections/<int:collection>/change", collection_pages.change, name="collection-change"),
    path("collections/<int:collection>/responses/", collection_pages.responses, name="collection-responses"),
    path(
        "collections/<int:collection>/responses/<int:response>",
        collection_pages.response,
        name="collection-response",
    ),
    path(
        "collections/<int:collection>/responses/<int:response>/raw/<int:attempt>",
        collection_pages.raw,
        name="collection-response-raw",
    ),
    path("endpoints/", endpoint_pages.show_all, name="endpoints"),
    path("new-endpoint", endpoint_pages.make, name="endpoint-new"),
    path("endpoints/<slug:name>/", endpoint_pages.show, name="endpoint"),
    path("endpoints/<slug:name>/checks", endpoint_pages.checks, name="endpoint-checks"),
    path("endpoints/<slug:name>/check", endpoint_pages.check, name="endpoint-check"),
    path("suites/", suite_pages.show, name="suites"),
    path("suites/give", suite_pages.give, name="suites-give"),
    path("suites/take", suite_pages.take, name="suites-take"),
    path("studies/<slug:slug>/label/", workspace.workspace, name="label"),
    path("studies/<slug:slug>/label/consent", workspace.consent, name="label-consent"),
    path("studies/<slug:slug>/label/next", workspace.following, name="label-next"),
    path("studies/<slug:slug>/label/submit", workspace.submit, name="label-submit"),
    path("studies/<slug:slug>/label/skip", workspace.skip, name="label-skip"),
    path("studies/<slug:slug>/label/draft", workspace.draft, name="label-draft"),
    path("studies/<slug:slug>/label/keep", workspace.keep, name="label-keep"),
    path("studies/<slug:slug>/label/last", workspace.last, name="label-last"),
    path("studies/<slug:slug>/label/mine", own_labels_page.mine, name="label-mine"),
    path("studies/<slug:slug>/label/answered/<slug:key>", own_labels_page.answered, name="label-answered"),
    path("studies/<slug:slug>/label/guidelines", workspace.current_guidelines, name="label-guidelines"),
    path("studies/<slug:slug>/label/preferences", workspace.preferences, name="label-preferences"),
    path("studies/<slug:slug>/label/formatted/<slug:key>", workspace.formatted, name="label-formatted"),
    path("studies/<slug:slug>/label/training/", training_pages.show, name="label-training"),
    path(
        "studies/<slug:slug>/label/training/answer", training_pages.take_answer, name="label-training-answer"
    ),
    path("studies/<slug:slug>/label/training/again", training_pages.again, name="label-training-again"),
    path("studies/<slug:slug>/label/me", training_pages.me, name="label-me"),
]
