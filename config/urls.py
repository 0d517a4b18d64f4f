from django.urls import URLPattern, URLResolver, include, path

urlpatterns: list[URLPattern | URLResolver] = [
    path("", include("arbiter.web.label.urls")),
    path("", include("arbiter.web.study.urls")),
]
handler400 = "arbiter.web.error_answers.bad_request"
handler403 = "arbiter.web.error_answers.forbidden"
handler404 = "arbiter.web.error_answers.not_found"
handler500 = "arbiter.web.error_answers.broken"
