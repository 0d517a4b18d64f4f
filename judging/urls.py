from django.urls import path

from judging.views import adjudicating, editing, gold, items, judges, labelling, people, study, verdicts

urlpatterns = [
    path("new-study", editing.new, name="study-new"),
    path("studies/<slug:slug>/", study.show, name="study"),
    path("studies/<slug:slug>/edit/", editing.edit, name="study-edit"),
    path("studies/<slug:slug>/study.yaml", editing.download, name="study-file"),
    path("studies/<slug:slug>/progress", judges.show, name="study-progress"),
    path("studies/<slug:slug>/errors", judges.errors, name="study-errors"),
    path("studies/<slug:slug>/judge", judges.change, name="study-judge"),
    path("studies/<slug:slug>/settle", study.settle_now, name="study-settle"),
    path("studies/<slug:slug>/agreement", study.agreement_page, name="study-agreement"),
    path("studies/<slug:slug>/agreement/confusion.svg", study.confusion_chart, name="confusion-chart"),
    path("studies/<slug:slug>/rates", study.rates_page, name="study-rates"),
    path("studies/<slug:slug>/rates/rates.svg", study.rates_chart, name="rates-chart"),
    path("studies/<slug:slug>/gold/", gold.show, name="study-gold"),
    path("studies/<slug:slug>/gold/promote", gold.promote_now, name="study-gold-promote"),
    path("studies/<slug:slug>/gold/import", gold.import_file, name="study-gold-import"),
    path("studies/<slug:slug>/labelling/", labelling.show, name="study-labelling"),
    path("studies/<slug:slug>/labelling/draw", labelling.draw_now, name="study-draw"),
    path("studies/<slug:slug>/labelling/flagged", labelling.flags, name="study-flags"),
    path("studies/<slug:slug>/labelling/by/<slug:name>", labelling.part, name="study-labelling-part"),
    path("studies/<slug:slug>/people", people.show, name="study-people"),
    path("studies/<slug:slug>/people/figures", people.figures, name="study-people-figures"),
    path("studies/<slug:slug>/people/<int:pk>", people.rater, name="study-rater"),
    path("studies/<slug:slug>/people/<int:pk>/change", people.change, name="study-rater-change"),
    path("studies/<slug:slug>/member", people.member, name="study-member"),
    path("studies/<slug:slug>/invite", people.invite, name="study-invite"),
    path("studies/<slug:slug>/invite/revoke", people.revoke, name="study-invite-revoke"),
    path("studies/<slug:slug>/items/", items.browse, name="study-items"),
    path("studies/<slug:slug>/items/<slug:key>", items.show, name="study-item"),
    path("studies/<slug:slug>/verdicts/", verdicts.browse, name="study-verdicts"),
    path("studies/<slug:slug>/verdicts/<int:pk>", verdicts.show, name="study-verdict"),
    path("studies/<slug:slug>/verdicts/<int:pk>/raw/<int:attempt>", verdicts.raw, name="study-verdict-raw"),
    path("studies/<slug:slug>/adjudicate/", adjudicating.queue, name="adjudicate"),
    path("studies/<slug:slug>/adjudicate/<slug:key>", adjudicating.decide, name="adjudicate-item"),
    path(
        "studies/<slug:slug>/adjudicate/<slug:key>/send-back",
        adjudicating.send_back,
        name="adjudicate-send-back",
    ),
    path(
        "studies/<slug:slug>/adjudicate/<slug:key>/decided", adjudicating.decided, name="adjudicate-decided"
    ),
    path("studies/<slug:slug>/export.<slug:extension>", items.export, name="study-export"),
]
