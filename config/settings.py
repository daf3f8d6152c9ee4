"""Every setting of the installation, in one file, read from top to bottom.

What varies comes from the environment through the typed helpers below, which fail at boot with a sentence
that names the variable. `.env.example` lists them all. Secrets have no default in production.
"""

import os
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

import dj_database_url

from config.production import dangers

BASE_DIR = Path(__file__).resolve().parent.parent


def refuse(sentence: str) -> NoReturn:
    """End the process with one sentence on standard error: every process of ours reads this file before it works."""
    sys.exit(f"Tuzo can't start: {sentence}")


def env(name: str, default: str | None = None) -> str:
    """The variable's text. Without a default it is required."""
    value = os.environ.get(name, "") or default
    if value is None:
        refuse(f"Set {name}: it has no default. ./tuzo sets it for development.")
    return value


def env_int(name: str, default: int) -> int:
    value = env(name, str(default))
    try:
        return int(value)
    except ValueError:
        refuse(f"{name} must be a whole number, not {value!r}.")


def env_bool(name: str, *, default: bool) -> bool:
    value = env(name, str(default)).lower()
    if value in {"1", "true", "yes", "on"}:
        return True
    if value in {"0", "false", "no", "off"}:
        return False
    refuse(f"{name} must be true or false, not {value!r}.")


def env_url(name: str, *beginnings: str) -> str:
    """An address of another service. It may hold a password, so it is not repeated."""
    value = env(name)
    if not value.startswith(beginnings):
        refuse(f"{name} must begin with {' or '.join(beginnings)}.")
    return value


def env_list(name: str, default: str | None = "") -> list[str]:
    return [item.strip() for item in env(name, default).split(",") if item.strip()]


def env_pairs(name: str) -> dict[str, str]:
    """`a=1,b=2`"""
    pairs = [item.partition("=") for item in env_list(name)]
    for key, equals, value in pairs:
        if not (key and equals and value):
            refuse(f"{name} must be a list of name=value, not {key + equals + value!r}.")
    return {key: value for key, _, value in pairs}


# ---------------------------------------------------------------------------------------------------------------------
# What this installation is
# ---------------------------------------------------------------------------------------------------------------------

TUZO_ENV = env("TUZO_ENV", "development")
if TUZO_ENV not in {"development", "test", "production"}:
    refuse(f"TUZO_ENV must be development, test or production, not {TUZO_ENV!r}.")
IN_PRODUCTION = TUZO_ENV == "production"
DEBUG = env_bool("DEBUG", default=False)

TUZO_DATA = Path(env("TUZO_DATA", str(BASE_DIR / ".tuzo")))
TUZO_PORT = env_int("TUZO_PORT", 8000)
TUZO_SERVE = env("TUZO_SERVE", "all")
if TUZO_SERVE not in {"all", "web", "hooks"}:
    refuse(f"TUZO_SERVE must be all, web or hooks, not {TUZO_SERVE!r}.")

# Where people and Safaricom reach us: the platform host itself, businesses as <slug>.<platform host>.
TUZO_PUBLIC_URL = env("TUZO_PUBLIC_URL", f"http://localhost:{TUZO_PORT}").rstrip("/")
TUZO_PLATFORM_HOST = env("TUZO_PLATFORM_HOST", urlsplit(TUZO_PUBLIC_URL).hostname or "localhost")
ALLOWED_HOSTS = ["*"]  # TenantMiddleware answers 404 to every host that is not the platform's or a business's

_development_secret = None if IN_PRODUCTION else "development-only-not-a-secret-0000000000000000000000"
SECRET_KEY = env("SECRET_KEY", _development_secret)
# 32 random bytes in URL-safe base64 each, newest first; the first one encrypts, all of them decrypt.
_development_key = None if IN_PRODUCTION else "ZGV2ZWxvcG1lbnQtb25seS1ub3QtYS1zZWNyZXQtISE="
ENCRYPTION_KEYS = env_list("ENCRYPTION_KEYS", _development_key)
# Signs the audit chain, so that someone with the database alone can't rebuild it.
AUDIT_KEY = env("AUDIT_KEY", _development_secret)

# ---------------------------------------------------------------------------------------------------------------------
# Applications: public ones first, then the ones whose tables every business has in its own schema
# ---------------------------------------------------------------------------------------------------------------------

SHARED_APPS = [
    "django_tenants",
    "tenants",
    "audit",
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.admin",
    "django.forms",
    "django_htmx",
    "django_otp",
    "django_otp.plugins.otp_totp",
    "django_otp.plugins.otp_static",
    "axes",
    "rest_framework",
    "rest_framework_simplejwt.token_blacklist",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "csp",
]
TENANT_APPS = ["audit", "channels", "payments", "loyalty"]
INSTALLED_APPS = [*SHARED_APPS, "channels", "payments", "loyalty", "config"]

TENANT_MODEL = "tenants.Tenant"
TENANT_DOMAIN_MODEL = "tenants.Domain"
TENANT_SYNC_ROUTER = "tenants.routers.SchemaRouter"
TENANT_LIMIT_SET_CALLS = True
ROOT_URLCONF = "config.urls"
PUBLIC_SCHEMA_URLCONF = "config.urls_public"
AUTH_USER_MODEL = "tenants.User"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

MIDDLEWARE = [
    "config.middleware.RequestIdMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.gzip.GZipMiddleware",
    "csp.middleware.CSPMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "tenants.middleware.TenantMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "tenants.middleware.TenantSessionMiddleware",
    "tenants.preferences.PreferencesMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "django_otp.middleware.OTPMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "tenants.pages.edges.RefusalMiddleware",
    "axes.middleware.AxesMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "tenants.pages.shell.page_context",
                "channels.pages.shown.page_context",
            ]
        },
    }
]

# ---------------------------------------------------------------------------------------------------------------------
# PostgreSQL, Redis or Valkey, Celery
# ---------------------------------------------------------------------------------------------------------------------

DATABASE_URL = env_url("DATABASE_URL", "postgresql://", "postgres://")
DATABASES: dict[str, dict[str, Any]] = {
    "default": {
        **dj_database_url.parse(
            DATABASE_URL, engine="django_tenants.postgresql_backend", conn_max_age=300, conn_health_checks=True
        ),
    }
}
DATABASES["default"].setdefault("OPTIONS", {})["connect_timeout"] = 5
DATABASE_ROUTERS = [TENANT_SYNC_ROUTER]

REDIS_URL = env_url("REDIS_URL", "redis://", "rediss://", "unix://")
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": REDIS_URL,
        "KEY_PREFIX": "tuzo",
        "KEY_FUNCTION": "django_tenants.cache.make_key",
        "REVERSE_KEY_FUNCTION": "django_tenants.cache.reverse_key",
        "OPTIONS": {"socket_connect_timeout": 0.5, "socket_timeout": 1},
    }
}

# PostgreSQL holds what is to be done (tenants.DueTask, tenants.InboundCallback); Celery is the bell and the hands.
CELERY_BROKER_URL = REDIS_URL.replace("unix://", "redis+socket://", 1)
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = False
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
# Tasks wait for PostgreSQL, Daraja and SMS providers most of the time, so a process runs several at once (ADR 0010).
CELERY_WORKER_POOL = "threads"
CELERY_WORKER_CONCURRENCY = 8
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {"socket_connect_timeout": 0.5, "socket_timeout": 5, "max_retries": 0}
CELERY_TIMEZONE = "Africa/Nairobi"
# A slow SMS provider must not delay payments: messages are sent from a queue that workers of their own can take.
CELERY_TASK_ROUTES = {"channels.sms.tasks.*": {"queue": "sms"}}
CELERY_WORKER_HIJACK_ROOT_LOGGER = False

# ---------------------------------------------------------------------------------------------------------------------
# Safaricom's Daraja, and our simulator of it
# ---------------------------------------------------------------------------------------------------------------------

SIMULATOR_URL = env("SIMULATOR_URL", "http://127.0.0.1:8001").rstrip("/")
SIMULATOR_CONTROL_TOKEN = env("SIMULATOR_CONTROL_TOKEN", None if IN_PRODUCTION else "practice-control")
# Nothing outside production can reach the live host by accident: it has to be named.
DARAJA_URLS = {
    "PRACTICE": SIMULATOR_URL,
    "SANDBOX": env("DARAJA_SANDBOX_URL", "https://sandbox.safaricom.co.ke"),
    "PRODUCTION": env("DARAJA_PRODUCTION_URL", "https://api.safaricom.co.ke" if IN_PRODUCTION else "not-configured"),
}
# PEM files with the key that Safaricom decrypts initiator passwords with; empty: the published ones we ship.
DARAJA_SANDBOX_CERTIFICATE = env("DARAJA_SANDBOX_CERTIFICATE", "")
DARAJA_PRODUCTION_CERTIFICATE = env("DARAJA_PRODUCTION_CERTIFICATE", "")
DARAJA_TIMEOUT_S = (env_int("DARAJA_CONNECT_TIMEOUT_S", 5), env_int("DARAJA_READ_TIMEOUT_S", 25))
# How often one pair of keys may call, over all processes; Safaricom publishes no limit.
_CALLS_PER_SECOND = env_int("DARAJA_CALLS_PER_SECOND", 20)
DARAJA_CALLS_PER_SECOND = {"PRACTICE": 500, "SANDBOX": _CALLS_PER_SECOND, "PRODUCTION": _CALLS_PER_SECOND}
BALANCE_EVERY = timedelta(minutes=env_int("BALANCE_EVERY_MINUTES", 60))  # 0: only when somebody asks
# Paths that Safaricom's go-live e-mail gives another way than its portal: {"bill_opt_in": "/v1/…"}
DARAJA_PATHS = env_pairs("DARAJA_PATHS")
# Two numberings of Ratiba's frequencies are published (docs/daraja.md section 20); true once Safaricom confirmed ours.
RATIBA_FREQUENCIES_CONFIRMED = env_bool("RATIBA_FREQUENCIES_CONFIRMED", default=False)
# Addresses that Safaricom publishes for its callbacks; "flag" notes an unlisted one, "enforce" quarantines it.
CALLBACK_ADDRESSES = env_list(
    "CALLBACK_ADDRESSES",
    "196.201.214.200,196.201.214.206,196.201.214.207,196.201.214.208,196.201.213.114,196.201.213.44,"
    "196.201.212.127,196.201.212.128,196.201.212.129,196.201.212.132,196.201.212.136,196.201.212.138,"
    "196.201.212.74,196.201.212.69",
)
CALLBACK_ADDRESS_POLICY = env("CALLBACK_ADDRESS_POLICY", "flag")
if CALLBACK_ADDRESS_POLICY not in {"flag", "enforce"}:
    refuse(f"CALLBACK_ADDRESS_POLICY must be flag or enforce, not {CALLBACK_ADDRESS_POLICY!r}.")
# How many proxies of ours stand in front and append to X-Forwarded-For; 0 trusts only the socket's address.
TRUSTED_PROXIES = env_int("TRUSTED_PROXIES", 0)
# Deliveries that PostgreSQL could not take are kept here, fsynced, until it can.
JOURNAL_DIR = Path(env("JOURNAL_DIR", str(TUZO_DATA / "journal")))

# ---------------------------------------------------------------------------------------------------------------------
# SMS and e-mail
# ---------------------------------------------------------------------------------------------------------------------

SMS_PROVIDER = env("SMS_PROVIDER", "console")
AFRICASTALKING_URL = env("AFRICASTALKING_URL", "https://api.africastalking.com")
AFRICASTALKING_USERNAME = env("AFRICASTALKING_USERNAME", "")
AFRICASTALKING_API_KEY = env("AFRICASTALKING_API_KEY", "")
AFRICASTALKING_SENDER_ID = env("AFRICASTALKING_SENDER_ID", "")

EMAIL_BACKEND = env("EMAIL_BACKEND", "django.core.mail.backends.console.EmailBackend")
EMAIL_HOST = env("EMAIL_HOST", "localhost")
EMAIL_PORT = env_int("EMAIL_PORT", 25)
EMAIL_HOST_USER = env("EMAIL_HOST_USER", "")
EMAIL_HOST_PASSWORD = env("EMAIL_HOST_PASSWORD", "")
EMAIL_USE_TLS = env_bool("EMAIL_USE_TLS", default=False)
EMAIL_TIMEOUT = 10  # seconds
DEFAULT_FROM_EMAIL = env("DEFAULT_FROM_EMAIL", f"Tuzo <no-reply@{TUZO_PLATFORM_HOST}>")

# ---------------------------------------------------------------------------------------------------------------------
# People: passwords, sessions, tokens, second factor
# ---------------------------------------------------------------------------------------------------------------------

AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
PASSWORD_HASHERS = (
    ["django.contrib.auth.hashers.MD5PasswordHasher"]
    if TUZO_ENV == "test"
    else ["django.contrib.auth.hashers.Argon2PasswordHasher", "django.contrib.auth.hashers.PBKDF2PasswordHasher"]
)
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
AXES_FAILURE_LIMIT = 8
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_USERNAME_FORM_FIELD = "username"  # what Django calls the e-mail address in the credentials that it reports
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_ON_SUCCESS = True
AXES_CLIENT_IP_CALLABLE = "tenants.actors.client_address"
AXES_VERBOSE = False
AXES_DISABLE_ACCESS_LOG = True

OTP_TOTP_ISSUER = "Tuzo"
PASSWORD_RESET_TIMEOUT = 60 * 60  # seconds that the link in a mail is good for
LOGIN_URL = "/sign-in/"

SESSION_COOKIE_AGE = 12 * 60 * 60
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = IN_PRODUCTION
SESSION_COOKIE_NAME = "__Host-tuzo" if IN_PRODUCTION else "tuzo"  # never a Domain: one host, one session
CSRF_COOKIE_SECURE = IN_PRODUCTION
CSRF_COOKIE_NAME = "__Host-tuzo-csrf" if IN_PRODUCTION else "tuzo-csrf"
CSRF_COOKIE_HTTPONLY = True

SIMPLE_JWT = {
    "ACCESS_TOKEN_LIFETIME": timedelta(minutes=10),
    "REFRESH_TOKEN_LIFETIME": timedelta(days=14),
    "ROTATE_REFRESH_TOKENS": True,
    "BLACKLIST_AFTER_ROTATION": True,
    "ALGORITHM": "HS256",
    "SIGNING_KEY": SECRET_KEY,
    "USER_ID_CLAIM": "sub",
    "CHECK_REVOKE_TOKEN": False,
    "UPDATE_LAST_LOGIN": False,
}

# ---------------------------------------------------------------------------------------------------------------------
# The API
# ---------------------------------------------------------------------------------------------------------------------

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "config.api.TenantTokenAuthentication",
        "config.api.TenantSessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["config.api.IsMemberOfTenant"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["tenants.parsers.JSONParser"],
    "DEFAULT_PAGINATION_CLASS": "config.api.CursorPages",
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_THROTTLE_RATES": {"sign_up": "20/hour", "sign_in": "60/hour"},
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    "EXCEPTION_HANDLER": "config.api.problem_response",
    "UNAUTHENTICATED_USER": None,
    "PAGE_SIZE": 50,
    "COERCE_DECIMAL_TO_STRING": True,
    "NUM_PROXIES": TRUSTED_PROXIES,
}

SPECTACULAR_SETTINGS = {
    "TITLE": "Tuzo API",
    "VERSION": "1",
    "OAS_VERSION": "3.1.1",
    "DESCRIPTION": (
        "Payments, points and messages of one business. Identifiers are texts with a prefix (`pay_…`), amounts are "
        "decimals as text, times are ISO 8601. Lists come in pages: follow `next`. Every refusal is a `Problem`."
    ),
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SERVE_AUTHENTICATION": [],
    "SCHEMA_PATH_PREFIX": "/api/v1/",
    "COMPONENT_SPLIT_REQUEST": True,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enum_id_removal",  # states stand where they are used, unnamed
        "config.api_docs.describe_refusals",
    ],
}

# ---------------------------------------------------------------------------------------------------------------------
# Pages: language, time, static files, headers
# ---------------------------------------------------------------------------------------------------------------------

LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("sw", "Kiswahili")]
LOCALE_PATHS = [BASE_DIR / "locale"]
FORMAT_MODULE_PATH = "config.formats"  # of dates and times where nothing else is said: on the operators' site
LANGUAGE_COOKIE_NAME = "tuzo-language"
LANGUAGE_COOKIE_AGE = 365 * 24 * 60 * 60  # seconds
LANGUAGE_COOKIE_SECURE = IN_PRODUCTION
TIME_ZONE = "Africa/Nairobi"
USE_TZ = True

STATIC_URL = "/static/"
STATIC_ROOT = BASE_DIR / "staticfiles" if IN_PRODUCTION else None  # elsewhere WhiteNoise takes them where they are
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"
        if IN_PRODUCTION
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
}
WHITENOISE_USE_FINDERS = not IN_PRODUCTION
WHITENOISE_AUTOREFRESH = False

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "font-src": ["'self'"],
        "connect-src": ["'self'"],
        "manifest-src": ["'self'"],
        "form-action": ["'self'"],
        "base-uri": ["'none'"],
        "frame-ancestors": ["'none'"],
        "object-src": ["'none'"],
    }
}
X_FRAME_OPTIONS = "DENY"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_SSL_REDIRECT = IN_PRODUCTION
SECURE_REDIRECT_EXEMPT = [r"^health/$"]
SECURE_HSTS_SECONDS = 31_536_000 if IN_PRODUCTION else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = IN_PRODUCTION
SECURE_HSTS_PRELOAD = IN_PRODUCTION
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if TRUSTED_PROXIES else None
DATA_UPLOAD_MAX_MEMORY_SIZE = 1_048_576

# ---------------------------------------------------------------------------------------------------------------------
# Logs: one line each on standard error, secrets and phone numbers taken out
# ---------------------------------------------------------------------------------------------------------------------

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {"()": "config.logs.RedactingFormatter", "format": "%(asctime)s %(levelname)s %(name)s %(message)s"}
    },
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": env("LOG_LEVEL", "INFO")},
    "loggers": {
        "django.server": {"level": "WARNING"},
        "axes": {"level": "WARNING"},
        "celery.worker.strategy": {"level": "WARNING"},
        "celery.app.trace": {"level": "WARNING"},
    },
}

if IN_PRODUCTION and (found := list(dangers(sys.modules[__name__]))):
    refuse("; ".join(f"{danger.sentence} ({danger.hint})" for danger in found) + ".")
