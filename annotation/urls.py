from django.contrib.auth.views import LoginView, LogoutView
from django.urls import path

from annotation.views import labelling, signing

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
    path("studies/<slug:slug>/label/<slug:key>/submit", labelling.submit, name="label-submit"),
    path("studies/<slug:slug>/label/<slug:key>/skip", labelling.skip, name="label-skip"),
    path("studies/<slug:slug>/label/<slug:key>/keep", labelling.keep, name="label-keep"),
]
