"""WHO labels and how: schemes, studies, items, raters, assignments and the rating ledger."""

import base64
import secrets
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import F, Max, OuterRef, Q, Subquery
from django.utils import timezone

from benchmark.models import Response


def opaque_key() -> str:
    """An id that tells nothing: not the model, not the condition, not the order of import."""
    return base64.b32encode(secrets.token_bytes(10)).decode().lower()[:12]


class LabelScheme(models.Model):
    """The labels a rater may give. Versioned by content: a changed scheme is a new version."""

    key = models.SlugField(max_length=80)
    version = models.PositiveIntegerField(default=1)
    title = models.CharField(max_length=200)
    question = models.TextField(blank=True)
    ordinal = models.BooleanField(default=False, help_text="The labels are grades, in the order they stand.")
    evidence_for_target = models.BooleanField(
        default=False, help_text="A target label needs evidence, a marked passage of the response."
    )
    content_hash = models.CharField(max_length=64)

    class Meta:
        ordering = ["key", "version"]
        constraints = [
            models.UniqueConstraint(fields=["key", "version"], name="scheme_version_once"),
            models.UniqueConstraint(fields=["key", "content_hash"], name="scheme_content_once"),
        ]

    def __str__(self) -> str:
        return f"{self.key}@{self.version}"


class Label(models.Model):
    class Role(models.TextChoices):
        TARGET = "target", "counts as convergent"
        OTHER = "other", "does not"
        EXCLUDED = "excluded", "leaves the valid-only denominator"

    scheme = models.ForeignKey(LabelScheme, models.CASCADE, related_name="labels")
    key = models.SlugField(max_length=60)
    title = models.CharField(max_length=100)
    definition = models.TextField(blank=True)
    example = models.TextField(blank=True)
    position = models.PositiveIntegerField()
    role = models.CharField(max_length=10, choices=Role.choices)

    class Meta:
        ordering = ["scheme", "position"]
        constraints = [
            models.UniqueConstraint(fields=["scheme", "key"], name="label_key_once"),
            models.UniqueConstraint(fields=["scheme", "position"], name="label_position_once"),
            models.CheckConstraint(
                condition=Q(role__in=["target", "other", "excluded"]), name="label_role_known"
            ),
        ]

    def __str__(self) -> str:
        return self.title


class Study(models.Model):
    """A labelling project over chosen responses, with one primary scheme."""

    slug = models.SlugField(max_length=80, unique=True)
    title = models.CharField(max_length=200)
    description = models.TextField(blank=True)
    scheme = models.ForeignKey(LabelScheme, models.PROTECT, related_name="studies")
    voters = models.JSONField(
        default=list, blank=True, help_text="Rater names whose ratings vote; empty: every rater."
    )
    gold_decides = models.BooleanField(
        default=False, help_text="A gold label settles its item before any vote."
    )
    humans = models.JSONField(
        default=dict,
        blank=True,
        help_text="How people label it: `humans` of the study file, as last applied.",
    )
    config = models.JSONField(default=dict, blank=True, help_text="The study file as last applied.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["slug"]
        verbose_name_plural = "studies"

    def __str__(self) -> str:
        return self.title

    def scheme_of(self, question: str = "") -> LabelScheme:
        """The scheme of a named question; of the primary one, without a name."""
        return self.questions.get(name=question).scheme if question else self.scheme


class Question(models.Model):
    """A question asked beside a study's primary one, under a scheme of its own. Its ratings are kept apart."""

    study = models.ForeignKey(Study, models.CASCADE, related_name="questions")
    name = models.SlugField(max_length=80)
    scheme = models.ForeignKey(LabelScheme, models.PROTECT, related_name="questions")

    class Meta:
        ordering = ["study", "id"]
        constraints = [models.UniqueConstraint(fields=["study", "name"], name="question_once")]

    def __str__(self) -> str:
        return f"{self.name} of {self.study.slug}"


class Membership(models.Model):
    class Role(models.TextChoices):
        OWNER = "owner"
        ADJUDICATOR = "adjudicator"
        RATER = "rater"
        EXPERT = "expert"
        VIEWER = "viewer"

    study = models.ForeignKey(Study, models.CASCADE, related_name="memberships")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=12, choices=Role.choices)

    class Meta:
        ordering = ["study", "role", "user"]
        constraints = [
            models.UniqueConstraint(fields=["study", "user"], name="membership_once"),
            models.CheckConstraint(
                condition=Q(role__in=["owner", "adjudicator", "rater", "expert", "viewer"]),
                name="membership_role_known",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user}: {self.role}"


class AccessLink(models.Model):
    """A link that signs somebody in once, or invites somebody to a study. Only its token's hash is kept."""

    token_hash = models.CharField(max_length=64, unique=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, null=True, blank=True)
    study = models.ForeignKey(Study, models.CASCADE, null=True, blank=True, related_name="invitations")
    role = models.CharField(max_length=12, choices=Membership.Role.choices, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(user__isnull=False, study__isnull=True)
                | Q(user__isnull=True, study__isnull=False),
                name="link_signs_in_or_invites",
            )
        ]

    def __str__(self) -> str:
        return f"sign-in of {self.user}" if self.user else f"invitation to {self.study} as {self.role}"


class Guideline(models.Model):
    """A version of what raters are told at length. What each rater was shown names its version."""

    study = models.ForeignKey(Study, models.CASCADE, related_name="guidelines")
    version = models.PositiveIntegerField(default=1)
    text = models.TextField(help_text="Markdown; HTML in it is shown as text.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["study", "version"]
        constraints = [models.UniqueConstraint(fields=["study", "version"], name="guideline_version_once")]

    def __str__(self) -> str:
        return f"guidelines {self.version} of {self.study.slug}"


class Item(models.Model):
    """One response in a study, under an opaque key.

    From `votes` on, the fields only repeat what ratings and settlements say, so that pages can filter and group a hundred
    thousand items without reading their ratings. `annotation.keeping` writes them and can write them all anew.
    """

    # The constraint's index begins with it; so it does for a rating's item and a response's run.
    study = models.ForeignKey(Study, models.CASCADE, related_name="items", db_index=False)
    response = models.ForeignKey(Response, models.PROTECT, related_name="items")
    key = models.CharField(max_length=12, unique=True, default=opaque_key)
    votes = models.TextField(
        blank=True, default="", help_text="Its current votes: `rater:label` by keys, in the order of raters."
    )
    human_votes = models.PositiveSmallIntegerField(default=0)
    judge_votes = models.PositiveSmallIntegerField(
        default=0, help_text="Of each judge's name the latest version."
    )
    humans_split = models.BooleanField(default=False, help_text="Its human votes differ.")
    judges_split = models.BooleanField(default=False, help_text="Its judges' votes differ.")
    final = models.ForeignKey(
        Label, models.PROTECT, null=True, blank=True, related_name="+", db_index=False,
        help_text="The newest settlement's label.",
    )  # fmt: skip
    final_rule = models.CharField(max_length=12, blank=True, default="", help_text="Empty: never settled.")
    final_chance = models.FloatField(
        null=True, blank=True, help_text="The newest settlement's share or posterior of its leading label."
    )

    class Meta:
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["study", "response"], name="item_once")]
        indexes = [
            models.Index(fields=["study", "id"], name="item_study_order"),
            models.Index(fields=["study", "humans_split", "id"], name="item_disputes"),
            models.Index(fields=["study", "final_rule", "id"], name="item_by_rule"),
        ]

    def __str__(self) -> str:
        return self.key


class Draw(models.Model):
    """A sample of a study's items for people. Growing it raises thresholds; nobody drawn is ever undrawn."""

    class Purpose(models.TextChoices):
        SLOT = "slot", "for raters"
        GOLD = "gold", "for experts, who write gold"

    study = models.ForeignKey(Study, models.CASCADE, related_name="draws")
    name = models.SlugField(max_length=80, default="main")
    purpose = models.CharField(max_length=10, choices=Purpose.choices, default=Purpose.SLOT)
    frame = models.TextField(help_text="Which items could be drawn, in words.")
    plan = models.JSONField(default=dict, blank=True, help_text="The plan as last applied.")
    seed = models.BigIntegerField(default=0)
    raters_per_item = models.PositiveIntegerField(default=2)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["study", "name"], name="draw_once")]

    def __str__(self) -> str:
        return f"{self.study.slug}/{self.name}"


class Stratum(models.Model):
    """A part of a draw's frame, with one inclusion probability. An item belongs to the first whose rule it meets."""

    draw = models.ForeignKey(Draw, models.CASCADE, related_name="strata")
    name = models.CharField(max_length=120)
    position = models.PositiveIntegerField()
    rule = models.JSONField(default=dict, blank=True, help_text="Empty: every item.")
    probability = models.FloatField(help_text="Of each of its items to be drawn, above 0.")

    class Meta:
        ordering = ["draw", "position"]
        verbose_name_plural = "strata"
        constraints = [
            models.UniqueConstraint(fields=["draw", "name"], name="stratum_once"),
            models.CheckConstraint(
                condition=Q(probability__gt=0, probability__lte=1), name="stratum_has_a_probability"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.draw}: {self.name}"


class DrawnItemQuerySet(models.QuerySet["DrawnItem"]):
    def drawn(self) -> "DrawnItemQuerySet":
        """Those the draw took: their number is below their probability."""
        return self.filter(number__lt=F("probability"))


class DrawnItem(models.Model):
    """An item of a draw's frame, with its stratum, inclusion probability and permanent random number, which stay when votes
    change later. It is drawn where the number is below the probability, and served in the order of the number."""

    draw = models.ForeignKey(Draw, models.CASCADE, related_name="framed")
    item = models.ForeignKey(Item, models.CASCADE, related_name="drawn")
    stratum = models.CharField(max_length=120, default="all")
    probability = models.FloatField()
    number = models.FloatField(help_text="Permanent random number in [0, 1).")

    objects = DrawnItemQuerySet.as_manager()

    class Meta:
        ordering = ["draw", "number"]
        constraints = [
            models.UniqueConstraint(fields=["draw", "item"], name="drawn_once"),
            models.CheckConstraint(
                condition=Q(probability__gt=0, probability__lte=1), name="drawn_with_probability"
            ),
            models.CheckConstraint(condition=Q(number__gte=0, number__lt=1), name="drawn_number_in_unit"),
        ]

    def __str__(self) -> str:
        return f"{self.item} in {self.draw}"


class Rater(models.Model):
    """Whoever labels. A judge's versions are raters of their own, side by side."""

    class Kind(models.TextChoices):
        HUMAN = "human"
        JUDGE = "judge"
        SCORER = "scorer"

    name = models.CharField(max_length=120)
    version = models.PositiveIntegerField(default=1)
    kind = models.CharField(max_length=8, choices=Kind.choices)
    family = models.CharField(max_length=100, blank=True, help_text="A judge's model family.")
    definition = models.CharField(
        max_length=64,
        blank=True,
        help_text="Hash of what makes a judge this exact version; empty for others.",
    )
    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="rater"
    )

    class Meta:
        ordering = ["name", "version"]
        constraints = [
            models.UniqueConstraint(fields=["name", "version"], name="rater_version_once"),
            models.CheckConstraint(
                condition=Q(kind__in=["human", "judge", "scorer"]), name="rater_kind_known"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name}@{self.version}" if self.version > 1 else self.name


class Enrolment(models.Model):
    """One person's work in one study: what they may do, how far they are, how they like their keys."""

    study = models.ForeignKey(Study, models.CASCADE, related_name="enrolments")
    rater = models.ForeignKey(Rater, models.CASCADE, related_name="enrolments")
    paused = models.BooleanField(default=False, help_text="Is given nothing new.")
    cap = models.PositiveIntegerField(null=True, blank=True, help_text="Items, at most. Empty: the study's.")
    languages = models.JSONField(default=list, blank=True, help_text="Empty: every language.")
    categories = models.JSONField(default=list, blank=True, help_text="Keys. Empty: every category.")
    consented_at = models.DateTimeField(null=True, blank=True)
    consent_hash = models.CharField(max_length=64, blank=True, help_text="Of the text consented to.")
    trained_at = models.DateTimeField(null=True, blank=True, help_text="Passed the training round.")
    training_round = models.PositiveIntegerField(default=1)
    position = models.FloatField(default=0, help_text="No slot with a smaller number was free when looked.")
    served = models.PositiveIntegerField(default=0, help_text="Items given; decides which are checks.")
    done = models.PositiveIntegerField(default=0, help_text="Items labelled, whatever for.")
    skipped = models.PositiveIntegerField(default=0)
    left_base = models.IntegerField(
        default=-1, help_text="What was left when `left_at` items were answered; -1: not known."
    )
    left_at = models.PositiveIntegerField(default=0)
    preferences = models.JSONField(default=dict, blank=True)
    last_seen_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["study", "id"]
        constraints = [models.UniqueConstraint(fields=["study", "rater"], name="enrolment_once")]

    def __str__(self) -> str:
        return f"{self.rater} in {self.study.slug}"


class TrainingAnswer(models.Model):
    """What somebody answered to a reserved example. No rating: training samples are in no study."""

    enrolment = models.ForeignKey(Enrolment, models.CASCADE, related_name="training")
    round = models.PositiveIntegerField()
    task_key = models.CharField(max_length=120)
    label_key = models.CharField(max_length=60)
    correct = models.BooleanField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["enrolment", "round", "task_key"], name="training_answer_once_a_round"
            )
        ]

    def __str__(self) -> str:
        return f"{self.enrolment}, round {self.round}: {self.task_key}"


class Purpose(models.TextChoices):
    """What a human's place on an item is for. Only a slot counts toward the raters an item needs."""

    SLOT = "slot"
    GOLD_CHECK = "gold_check"
    REPEAT = "repeat"
    TRAINING = "training"
    GOLD = "gold"


class Assignment(models.Model):
    """One human's place on an item. A slot is made empty with its item's draw and claimed under a lease."""

    class State(models.TextChoices):
        OPEN = "open"
        LEASED = "leased"
        DONE = "done"

    # Its item's study again: a rater's next place is found in one index, however many studies there are.
    study = models.ForeignKey(Study, models.CASCADE, related_name="assignments", db_index=False)
    item = models.ForeignKey(Item, models.CASCADE, related_name="assignments", db_index=False)
    rater = models.ForeignKey(
        Rater, models.PROTECT, null=True, blank=True, related_name="assignments", db_index=False
    )
    purpose = models.CharField(max_length=10, choices=Purpose.choices, default=Purpose.SLOT)
    slot = models.PositiveIntegerField(null=True, blank=True)
    ordinal = models.PositiveIntegerField(default=0)
    number = models.FloatField(help_text="The drawn item's random number: the order of serving.")
    state = models.CharField(max_length=8, choices=State.choices, default=State.OPEN)
    leased_until = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["item", "purpose", "slot"], name="slot_once"),
            models.UniqueConstraint(
                fields=["item", "rater", "purpose", "ordinal"], name="rater_once_per_purpose"
            ),
            models.CheckConstraint(
                condition=Q(state="open", rater__isnull=True)
                | Q(state__in=["leased", "done"], rater__isnull=False),
                name="assignment_held_or_open",
            ),
        ]
        indexes = [
            models.Index(fields=["study", "purpose", "state", "number", "id"], name="assignment_to_serve"),
            models.Index(fields=["rater", "study", "state"], name="assignment_of_rater"),
        ]

    def __str__(self) -> str:
        return f"{self.purpose} {self.slot} on {self.item}"


class Serving(models.Model):
    """An item put before a rater: under which key, what was shown, and the draft so far.

    Its key is all that a rater's page knows an item by. A place that is served to the same rater again keeps its serving,
    and so its draft; a repeat of an item is another place, and so another key.
    """

    key = models.CharField(max_length=12, unique=True, default=opaque_key)
    study = models.ForeignKey(Study, models.CASCADE, related_name="servings", db_index=False)
    item = models.ForeignKey(Item, models.CASCADE, related_name="servings", db_index=False)
    rater = models.ForeignKey(Rater, models.PROTECT, related_name="servings", db_index=False)
    purpose = models.CharField(max_length=10, choices=Purpose.choices, default=Purpose.SLOT)
    ordinal = models.PositiveIntegerField(default=0)
    shown = models.JSONField(default=dict, blank=True, help_text="Fields, order and versions, and when.")
    draft = models.JSONField(null=True, blank=True)
    revision = models.PositiveIntegerField(
        default=0, help_text="Of the rater's label in this place; 0: none yet."
    )
    served_at = models.DateTimeField(default=timezone.now)
    answered_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["item", "rater", "purpose", "ordinal"], name="serving_once_per_place"
            )
        ]
        indexes = [
            models.Index(fields=["rater", "study", "answered_at"], name="serving_of_rater"),
            models.Index(fields=["study", "answered_at"], name="serving_of_study"),
        ]

    def __str__(self) -> str:
        return f"{self.item} before {self.rater}"


class Skip(models.Model):
    """A rater passed an item by, and why. It is reported as non-response and not offered to that rater again."""

    item = models.ForeignKey(Item, models.CASCADE, related_name="skips", db_index=False)
    rater = models.ForeignKey(Rater, models.PROTECT, related_name="skips")
    purpose = models.CharField(max_length=10, choices=Purpose.choices, default=Purpose.SLOT)
    ordinal = models.PositiveIntegerField(default=0)
    reason = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["item", "rater", "purpose", "ordinal"], name="skip_once")
        ]

    def __str__(self) -> str:
        return f"{self.rater} skipped {self.item}"


class RatingQuerySet(models.QuerySet["Rating"]):
    def current(self) -> "RatingQuerySet":
        """The newest revision of every rating: what each rater thinks now."""
        same = Rating.objects.filter(
            item=OuterRef("item"), rater=OuterRef("rater"), question=OuterRef("question"),
            purpose=OuterRef("purpose"), ordinal=OuterRef("ordinal"),
        ).order_by()  # fmt: skip
        newest = same.values("item").annotate(newest=Max("revision")).values("newest")
        return self.filter(revision=Subquery(newest))

    def votes(self) -> "RatingQuerySet":
        """Current ratings that count: the primary question, once a rater; no training, check or surplus."""
        return self.current().filter(question="", purpose=Purpose.SLOT, ordinal=0, surplus=False)


class Rating(models.Model):
    """One rater's label for one item. Append-only: a change is a new revision, written by `ledger.record`."""

    item = models.ForeignKey(Item, models.PROTECT, related_name="ratings", db_index=False)
    rater = models.ForeignKey(Rater, models.PROTECT, related_name="ratings")
    label = models.ForeignKey(Label, models.PROTECT, related_name="ratings")
    question = models.CharField(max_length=80, blank=True, help_text="Empty: the study's primary scheme.")
    purpose = models.CharField(max_length=10, choices=Purpose.choices, default=Purpose.SLOT)
    ordinal = models.PositiveIntegerField(default=0, help_text="Which repeat, from 0.")
    revision = models.PositiveIntegerField(default=1)
    surplus = models.BooleanField(
        default=False, help_text="Came after its slot was taken: kept, not counted."
    )
    confidence = models.FloatField(null=True, blank=True)
    confidence_scale = models.CharField(
        max_length=20, blank=True, help_text="probability, steps3, or empty for none."
    )
    rationale = models.TextField(blank=True)
    evidence = models.JSONField(default=list, blank=True)
    active_seconds = models.FloatField(null=True, blank=True)
    shown = models.JSONField(default=dict, blank=True, help_text="What the rater was shown.")
    flagged = models.BooleanField(default=False, help_text="The rater wants the owner to look at it.")
    simulated = models.BooleanField(default=False)
    submission = models.CharField(
        max_length=64, null=True, blank=True, unique=True, help_text="Idempotency key."
    )
    created_at = models.DateTimeField(default=timezone.now)

    objects = RatingQuerySet.as_manager()

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["item", "rater", "question", "purpose", "ordinal", "revision"],
                name="rating_revision_once",
            ),
            models.CheckConstraint(
                condition=Q(confidence__isnull=True) | (Q(confidence__gte=0) & ~Q(confidence_scale="")),
                name="rating_confidence_has_scale",
            ),
        ]
        indexes = [  # of the few ratings that a page lists or counts by themselves
            models.Index(fields=["id"], condition=Q(flagged=True), name="rating_flagged"),
            models.Index(fields=["item"], condition=Q(surplus=True), name="rating_surplus"),
        ]

    def __str__(self) -> str:
        return f"{self.rater}: {self.label}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        if self.pk:
            raise TypeError("A rating is never changed: record a new revision through annotation.ledger.")
        super().save(*args, **kwargs)

    def is_vote(self) -> bool:
        """Whether it can be one: a surplus rating takes the vote of the revision before it away."""
        return self.question == "" and self.purpose == Purpose.SLOT and self.ordinal == 0


class Gold(models.Model):
    """A human label taken as truth, and how it came to be. A correction is a new revision."""

    class Origin(models.TextChoices):
        SINGLE = "single"
        CONSENSUS = "consensus"
        ADJUDICATED = "adjudicated"
        IMPORTED = "imported"
        WITHDRAWN = (
            "withdrawn"  # ends the gold of an item until a later revision: those it rested on came to differ
        )

    item = models.ForeignKey(Item, models.PROTECT, related_name="golds")
    label = models.ForeignKey(Label, models.PROTECT, related_name="golds")
    revision = models.PositiveIntegerField(default=1)
    origin = models.CharField(max_length=12, choices=Origin.choices)
    draw = models.ForeignKey(Draw, models.SET_NULL, null=True, blank=True, related_name="golds")
    author = models.ForeignKey(Rater, models.PROTECT, null=True, blank=True, related_name="golds")
    rationale = models.TextField(blank=True)
    evidence = models.JSONField(default=list, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["item", "revision"]
        constraints = [models.UniqueConstraint(fields=["item", "revision"], name="gold_revision_once")]

    def __str__(self) -> str:
        return f"{self.item}: {self.label}"


class Adjudication(models.Model):
    """A person's decision on a disputed item. Deciding again is a new revision; the newest holds."""

    item = models.ForeignKey(Item, models.PROTECT, related_name="adjudications")
    label = models.ForeignKey(Label, models.PROTECT, related_name="adjudications")
    revision = models.PositiveIntegerField(default=1)
    adjudicator = models.ForeignKey(Rater, models.PROTECT, related_name="adjudications")
    reason = models.TextField()
    guideline_unclear = models.BooleanField(default=False, help_text="The guidelines should say more.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["item", "revision"]
        constraints = [
            models.UniqueConstraint(fields=["item", "revision"], name="adjudication_revision_once")
        ]

    def __str__(self) -> str:
        return f"{self.item}: {self.label}"


class Referral(models.Model):
    """An adjudicator sent an item back for more raters, and why. It leaves the queue until they have labelled it."""

    item = models.ForeignKey(Item, models.CASCADE, related_name="referrals")
    by = models.ForeignKey(Rater, models.PROTECT, related_name="referrals")
    reason = models.TextField()
    extra = models.PositiveIntegerField(default=1, help_text="Slots added.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.item}: {self.extra} more"


def newest(queryset: models.QuerySet[Any]) -> models.QuerySet[Any]:
    """Of rows with `item` and `revision`, the newest an item. Where the newest gold is a withdrawal, the item has none."""
    model = queryset.model
    top = (
        model.objects.filter(item=OuterRef("item"))
        .order_by()
        .values("item")
        .annotate(top=Max("revision"))
        .values("top")
    )
    found = queryset.filter(revision=Subquery(top))
    return found.exclude(origin=Gold.Origin.WITHDRAWN) if model is Gold else found
