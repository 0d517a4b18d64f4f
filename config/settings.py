"""Settings, from the environment alone.

Every variable is described in docs/settings.md (a test checks that).
"""

import os
import secrets
from pathlib import Path

from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured

from arbiter.core.folders import SHIPPED, data_folder
from arbiter.core.privatefiles import SharedFolder, made_once, private_data_folder, private_file
from config import env

ENVIRONMENT = env.choice("ARBITER_ENV", "development", "development", "test", "production")
PRODUCTION = ENVIRONMENT == "production"
DATA = data_folder(os.environ)
DEBUG = env.flag("ARBITER_DEBUG") and not PRODUCTION


def _private_data() -> Path:
    """Return the data folder, which is its user's own."""
    try:
        return private_data_folder(DATA)
    except SharedFolder as error:
        raise ImproperlyConfigured(
            f"ARBITER_DATA is {DATA}, a folder that all users share; name a folder that is Arbiter's alone."
        ) from error


def _secret_key() -> str:
    """Return SECRET_KEY, or outside production one that is made once and kept beside the data."""
    chosen = env.text("SECRET_KEY")
    if chosen:
        return chosen
    if PRODUCTION:
        return env.required("SECRET_KEY", "production needs one of its own: 50 or more random characters")
    if ENVIRONMENT == "test":
        return "test-only-" + "0123456789abcdef" * 4
    return made_once(_private_data() / "secret-key", lambda: secrets.token_urlsafe(50))


SECRET_KEY = _secret_key()
ALLOWED_HOSTS = env.words(
    "ARBITER_ALLOWED_HOSTS", "" if PRODUCTION else "localhost,127.0.0.1,[::1],testserver"
)
CSRF_TRUSTED_ORIGINS = env.words("ARBITER_TRUSTED_ORIGINS")

INSTALLED_APPS = [
    "arbiter.core",
    "benchmark",
    "annotation",
    "judging",
    "arbiter.analysis",
    "arbiter.releases",
    "arbiter.web",
    "arbiter.cli",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django_htmx",
    "csp",
]

MIDDLEWARE = [
    "config.health.answer_probes",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "config.caching.private_pages",
    "arbiter.web.throttle.answer_floods",
    "arbiter.web.sessions.IdleSessions",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "arbiter.web.stale_forms.keeps_what_was_typed",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "csp.middleware.CSPMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [SHIPPED / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

DATABASE_URL = env.text("DATABASE_URL")
DATABASES = {"default": env.database(DATABASE_URL, DATA / "arbiter.sqlite3")}
EMBEDDED = DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3"
_private_data()  # with any database: the key, exports and locks lie in it
if EMBEDDED:
    private_file(Path(str(DATABASES["default"]["NAME"])))
if ENVIRONMENT == "test" and not DATABASE_URL:
    # A file: threads and processes that a test starts see the same database.
    DATABASES["default"]["TEST"] = {"NAME": str(DATA / "test.sqlite3")}
# Rows that no backup keeps, by table: a restored session or spent link would sign in whoever finds it, and a
# restored job would be done again by itself. An import that has not ended is kept: half of it may be there.
NOT_BACKED_UP = {
    "django_session": "1 = 1",
    "annotation_tries": "1 = 1",
    "annotation_accesslink": "user_id IS NOT NULL",
    "core_job": "kind <> 'import' OR state NOT IN ('open', 'leased')",
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# With a broker, tasks wake Celery workers; without one `runworker` looks for work by itself.
CELERY_BROKER_URL = env.text("CELERY_BROKER_URL")
LEASE_SECONDS = env.number("ARBITER_LEASE_SECONDS", 15, 1, 3600)
JOB_DAYS = env.number("ARBITER_JOB_DAYS", 7, 0.01, 3650)
ANSWER_BYTES = round(2**20 * env.number("ARBITER_ANSWER_MB", 8, 0.001, 1000))
ASSIGNMENT_LEASE_MINUTES = env.number("ARBITER_ASSIGNMENT_LEASE_MINUTES", 30, 0.01, 10_000)

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
]
if ENVIRONMENT == "test":
    PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
# To hash a password takes a hundred times what a label takes: so many at once, and the rest is
# refused (arbiter.web.throttle).
HASHES_AT_ONCE = round(env.number("ARBITER_HASHES_AT_ONCE", 1, 1, 64))
PROXIES = round(env.number("ARBITER_PROXIES", 0, 0, 10))
MAIL = env.mail(env.text("ARBITER_MAIL_URL"))
EMAIL_BACKEND = f"django.core.mail.backends.{'smtp' if MAIL else 'dummy'}.EmailBackend"
EMAIL_HOST, EMAIL_PORT = MAIL.get("host", ""), MAIL.get("port", 25)
EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = MAIL.get("user", ""), MAIL.get("password", "")
EMAIL_USE_TLS, EMAIL_USE_SSL = MAIL.get("tls", False), MAIL.get("ssl", False)
EMAIL_TIMEOUT = 20
DEFAULT_FROM_EMAIL = env.text("ARBITER_MAIL_FROM", "arbiter@localhost")
LOGIN_URL = "sign-in"
CSRF_FAILURE_VIEW = "arbiter.web.stale_forms.expired"
LOGIN_REDIRECT_URL = "home"
SESSION_ENGINE = "arbiter.web.sessions"
SESSION_COOKIE_AGE = round(60 * env.number("ARBITER_IDLE_MINUTES", 720, 1, 43_200))
# Asked by pages themselves, though nobody may be there.
ASKED_BY_PAGES = {"label-keep", "study-progress", "study-errors", "study-job-progress"}
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"

USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en-gb"

STATIC_URL = "static/"
STATIC_ROOT = DATA / "static"
STATICFILES_DIRS = [SHIPPED / "static"]
# Outside production files are served from where they lie, so there is nothing to
# collect and nothing goes stale.
WHITENOISE_USE_FINDERS = not PRODUCTION
WHITENOISE_AUTOREFRESH = not PRODUCTION
if PRODUCTION:
    STORAGES = {
        "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
        "staticfiles": {"BACKEND": "config.storage.HashedFiles"},
    }

# Arbiter loads nothing from another host, and runs no inline script or style.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
        "base-uri": [NONE],
    }
}
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"

if PRODUCTION:
    SECURE_SSL_REDIRECT = env.flag("ARBITER_HTTPS", default=True)
    SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = True
    SECURE_HSTS_SECONDS = 31_536_000
    SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = True
    if env.flag("ARBITER_BEHIND_PROXY"):
        SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

DATA_UPLOAD_MAX_MEMORY_SIZE = 12 * 1024 * 1024

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"}},
    "filters": {
        # Of tries at secrets the throttle tells the first: a line for each would let a flood fill the disk.
        "not refused": {
            "()": "django.utils.log.CallbackFilter",
            "callback": lambda record: getattr(record, "status_code", None) != 429,
        }
    },
    "loggers": {
        "django.request": {"filters": ["not refused"]},
        # It tells the address of each call, in which an endpoint's query may hold a key.
        "httpx2": {"level": "WARNING"},
        "httpcore2": {"level": "WARNING"},
    },
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "plain"}},
    "root": {
        "handlers": ["stderr"],
        "level": env.choice("ARBITER_LOG", "WARNING", "DEBUG", "INFO", "WARNING", "ERROR"),
    },
}
