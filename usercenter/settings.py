"""All settings, read from the environment or `.env`; each is listed in `.env.example`.

What has no setting is not read from the environment, but for a command's own answers (DJANGO_SUPERUSER_…). What is
wrong is gathered here and told by `start.refuse_if_wrong`, which every process calls first.
"""

from pathlib import Path
from typing import Any

from celery.schedules import crontab

from usercenter.environment import Environment
from usercenter.logs import logging_config

BASE_DIR = Path(__file__).resolve().parent.parent

env = Environment()
env.read_env(BASE_DIR / ".env")

DEBUG = env.bool("DEBUG", default=False)

# Work out of the box on a laptop; `start` refuses both outside DEBUG.
DEVELOPMENT_SECRET_KEY = "django-insecure-for-development-only-and-refused-outside-debug"  # noqa: S105
DEVELOPMENT_SIGNING_KEY = (
    "LS0tLS1CRUdJTiBQUklWQVRFIEtFWS0tLS0tCk1DNENBUUF3QlFZREsyVndCQ0lFSUZyK1pxS01Bbm5Pbmx3VVZt"
    "eE9HVXMvcGg5Z3lRUDc0dVpzMjBoZGEwQVQKLS0tLS1FTkQgUFJJVkFURSBLRVktLS0tLQo="
)

# Django raises at an empty one wherever it is read first; this one is refused in words.
SECRET_KEY = env.str("SECRET_KEY", default="") or DEVELOPMENT_SECRET_KEY
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"] if DEBUG else [])
PUBLIC_URL = env.str("PUBLIC_URL", default="http://localhost:8080" if DEBUG else "").rstrip("/")
ALLOW_INSECURE_PUBLIC_URL = env.bool("ALLOW_INSECURE_PUBLIC_URL", default=False)
HTTPS_ONLY = env.bool("HTTPS_ONLY", default=not DEBUG)
# Whose X-Forwarded-For and X-Forwarded-Proto are believed; nobody's by default.
TRUSTED_PROXIES = env.list("TRUSTED_PROXIES", default=[])
# Whose pages may read the API from a browser; nobody's by default, and then the middleware is not there.
CORS_ALLOWED_ORIGINS = env.list("CORS_ALLOWED_ORIGINS", default=[])
BIND = env.str("BIND", default="127.0.0.1")
PORT = env.int("PORT", default=8080)
WEB_WORKERS = env.int("WEB_WORKERS", default=2)
METRICS_ALLOWED_CIDRS = env.list(
    "METRICS_ALLOWED_CIDRS",
    default=["127.0.0.0/8", "::1/128", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"],
)
METRICS_TOKEN = env.str("METRICS_TOKEN", default="")
API_DOCS = env.bool("API_DOCS", default=True)

INSTALLED_APPS = [
    "accounts",  # before django.contrib.auth: its createsuperuser goes through the services
    "corsheaders",
    "events",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "django_prometheus",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "rest_framework",
]
MIDDLEWARE = [
    "django_prometheus.middleware.PrometheusBeforeMiddleware",
    "usercenter.middleware.TraceMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "usercenter.middleware.AnswerMiddleware",
    *(["corsheaders.middleware.CorsMiddleware"] if CORS_ALLOWED_ORIGINS else []),
    "usercenter.middleware.ProblemMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "usercenter.middleware.SiteMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "accounts.admin_sign_in.StaffMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "usercenter.middleware.MetricsMiddleware",
]
ROOT_URLCONF = "usercenter.urls"
WSGI_APPLICATION = "usercenter.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "usercenter/templates"],
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

# Parts -------------------------------------------------------------------------------------------------------
# A process that hangs inside a transaction would block its rows' and keys' next writers: PostgreSQL ends it.
_TIMEOUTS = "-c idle_in_transaction_session_timeout=10s -c statement_timeout=30s -c lock_timeout=15s"
# And the statement of a process that is gone, within half a second, wherever it waits.
_TIMEOUTS += " -c client_connection_check_interval=500"
# A cut, or a server that is gone without a word, is noticed within some 10 s.
_NOTICE_CUTS = {"tcp_user_timeout": 10_000, "keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3}
# On a laptop; `start` refuses to run without an address outside DEBUG.
_DEVELOPMENT_DATABASE = "postgres://postgres@localhost:5432/usercenter"
DATABASE_URL = env.postgresql("DATABASE_URL", default=_DEVELOPMENT_DATABASE, has_default=DEBUG)
_database = env.db_url_config(DATABASE_URL)
# What the address asks for (sslmode and the like) holds; of a setting that stands twice PostgreSQL takes the last.
_asked = _database.get("OPTIONS", {})
_options = f"{_TIMEOUTS} {_asked.get('options', '')}".strip()
DATABASES: dict[str, dict[str, Any]] = {
    "default": _database
    | {
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {"connect_timeout": 5, **_NOTICE_CUTS, **_asked, "options": _options},
    }
}
REDIS_URL = env.str("REDIS_URL", default="redis://localhost:6379/0")
locals().update(env.mail("EMAIL_URL", default="smtp://localhost:1025"))
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", default="usercenter@localhost")

# Django ------------------------------------------------------------------------------------------------------
AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["accounts.admin_sign_in.CanonicalNameBackend"]
PASSWORD_HASHERS = ["accounts.hashers.Argon2idHasher"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_I18N = True
USE_TZ = True

# What goes over the wire: the API refuses plain http by itself (`middleware`), pages are sent on to https.
SECURE_SSL_REDIRECT = HTTPS_ONLY
SECURE_REDIRECT_EXEMPT = [r"^(api|\.well-known)/", r"^(healthz|readyz|metrics)$"]
SECURE_HSTS_SECONDS = 365 * 24 * 3600 if HTTPS_ONLY else 0
# The admin's cookies: a browser takes one with `__Host-` from this very host alone, over https (RFC 6265bis, 4.1.3).
_BOUND_TO_HOST = "__Host-" if HTTPS_ONLY else ""
SESSION_COOKIE_NAME, CSRF_COOKIE_NAME = f"{_BOUND_TO_HOST}sessionid", f"{_BOUND_TO_HOST}csrftoken"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS_ONLY
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_AGE = CSRF_COOKIE_AGE = 8 * 3600
# What the admin says names users: it stays here, and in no cookie.
MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"
# Whether other hosts of the domain speak https, and whether browsers list it, is its owner's to decide.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]

# What other origins' pages may send and read. Tokens travel in a header of their own: cookies are never let through.
CORS_URLS_REGEX = r"^/(api|\.well-known)/"
CORS_ALLOW_CREDENTIALS = False
CORS_ALLOW_METHODS = ["DELETE", "GET", "PATCH", "POST"]
CORS_ALLOW_HEADERS = [
    "accept", "authorization", "content-type", "idempotency-key", "if-match", "traceparent", "x-request-id",
]  # fmt: skip
CORS_EXPOSE_HEADERS = ["ETag", "Link", "Location", "Retry-After", "X-Request-ID", "RateLimit", "RateLimit-Policy"]
CORS_PREFLIGHT_MAX_AGE = 600

STATIC_URL = "static/"
# Static files are served from the packages themselves: nothing to collect.
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = DEBUG
WHITENOISE_ALLOW_ALL_ORIGINS = False
LOG_FORMAT = env.str("LOG_FORMAT", default="json")
LOGGING = logging_config(LOG_FORMAT, BASE_DIR / "logs" / "usercenter.log")

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["accounts.api.authentication.BearerAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_PARSER_CLASSES": ["accounts.api.parsers.StrictJSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "accounts.api.problems.answer_exception",
    "UNAUTHENTICATED_USER": None,
    "DEFAULT_METADATA_CLASS": None,
    "URL_FORMAT_OVERRIDE": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "usercenter",
    "SERVERS": [{"url": "/"}],
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "SERVE_AUTHENTICATION": [],
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "POSTPROCESSING_HOOKS": ["accounts.api.schema.complete"],
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
}

# Celery: a task carries an id; the row it names is what is owed, so a lost or doubled message does no harm. ---
CELERY_BROKER_URL = env.str("CELERY_BROKER_URL", default=REDIS_URL)
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "socket_timeout": 0.5, "socket_connect_timeout": 0.5, "retry_on_timeout": False, "max_retries": 0,
}  # fmt: skip
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None  # a worker outlasts any outage
CELERY_TASK_PUBLISH_RETRY = False
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_POOL = "threads"  # tasks wait for sockets; processes would take 35 MB more and start no sooner
CELERY_WORKER_CONCURRENCY = 2
CELERY_BEAT_SCHEDULER = "celery.beat.Scheduler"  # keeps no file: an interval begins anew whenever beat starts
CELERY_BEAT_SCHEDULE = {
    "sweep-outside-calls": {"task": "accounts.tasks.sweep_outside_calls", "schedule": 10.0},
    "sweep-webhooks": {"task": "accounts.tasks.sweep_webhooks", "schedule": 10.0},
    "sweep-registrations": {"task": "accounts.tasks.sweep_registrations", "schedule": 10.0},
    "end-suspensions": {"task": "accounts.tasks.end_suspensions", "schedule": 10.0},
    "end-graces": {"task": "accounts.tasks.end_graces", "schedule": 10.0},
    # By the clock: a beat that is started anew within each hour would never come to the end of an interval so long.
    "prune": {"task": "usercenter.tasks.prune", "schedule": crontab(minute=17)},
}

# Apps --------------------------------------------------------------------------------------------------------
ACCOUNTS = {
    "PUBLIC_URL": PUBLIC_URL,
    "JWT_SIGNING_KEYS": tuple(env.list("JWT_SIGNING_KEYS", default=[DEVELOPMENT_SIGNING_KEY] if DEBUG else [])),
    "ACCESS_TTL_S": env.int("ACCESS_TTL_S", default=300),
    "REFRESH_IDLE_S": env.int("REFRESH_IDLE_S", default=14 * 24 * 3600),
    "REFRESH_ABSOLUTE_S": env.int("REFRESH_ABSOLUTE_S", default=30 * 24 * 3600),
    "REFRESH_GRACE_S": env.int("REFRESH_GRACE_S", default=10),
    "REAUTH_WITHIN_S": env.int("REAUTH_WITHIN_S", default=300),
    "DELETION_GRACE_S": env.int("DELETION_GRACE_S", default=30 * 24 * 3600),
    "REGISTRATION_REVEALS_EMAIL": env.bool("REGISTRATION_REVEALS_EMAIL", default=True),
    "THROTTLES": tuple(env.list("THROTTLES", default=[])),
    "WEBHOOK_URLS": tuple(env.list("WEBHOOK_URLS", default=[])),
    "WEBHOOK_SECRET": env.str("WEBHOOK_SECRET", default=""),
    "WEBHOOK_ALLOW_HTTP": env.bool("WEBHOOK_ALLOW_HTTP", default=False),
    "WEBHOOK_ALLOW_PRIVATE": env.bool("WEBHOOK_ALLOW_PRIVATE", default=False),
    "PASSWORD_MIN_LENGTH": env.int("PASSWORD_MIN_LENGTH", default=8),
    "PASSWORD_REFUSE_COMMON": env.bool("PASSWORD_REFUSE_COMMON", default=not DEBUG),
    "PASSWORD_BREACHED_FILE": env.str("PASSWORD_BREACHED_FILE", default=""),
    "PASSWORD_HASHES_AT_ONCE": env.int("PASSWORD_HASHES_AT_ONCE", default=2),
    "REDIS_URL": REDIS_URL,
    "TRUSTED_PROXIES": tuple(TRUSTED_PROXIES),
}
# The names that docs/asyncapi.json tells, whatever an installation chooses.
TOPICS = {
    "user_events": "user.events",
    "user_notifications": "user.notifications",
    "user_analytics": "user.analytics",
}
EVENTS = {
    "ROUTES": "accounts.routes.ROUTES",
    "DEFAULT_TOPICS": TOPICS,
    "SOURCE": env.str("EVENT_SOURCE", default=PUBLIC_URL),
    "TOPICS": {
        "user_events": env.str("KAFKA_TOPIC_USER_EVENTS", default=TOPICS["user_events"]),
        "user_notifications": env.str("KAFKA_TOPIC_USER_NOTIFICATIONS", default=TOPICS["user_notifications"]),
        "user_analytics": env.str("KAFKA_TOPIC_USER_ANALYTICS", default=TOPICS["user_analytics"]),
    },
    "BROKERS": tuple(env.list("KAFKA_BROKERS", default=["localhost:9092"])),
    "GROUP": env.str("KAFKA_GROUP_ID", default="usercenter"),
    "PARTITIONS": env.int("KAFKA_PARTITIONS", default=3),
    "REPLICATION": env.int("KAFKA_REPLICATION", default=1),
    "SECURITY_PROTOCOL": env.str("KAFKA_SECURITY_PROTOCOL", default="PLAINTEXT"),
    "SASL_MECHANISM": env.str("KAFKA_SASL_MECHANISM", default=""),
    "SASL_USERNAME": env.str("KAFKA_SASL_USERNAME", default=""),
    "SASL_PASSWORD": env.str("KAFKA_SASL_PASSWORD", default=""),
    "SSL_CAFILE": env.str("KAFKA_SSL_CAFILE", default=""),
    "SSL_CERTFILE": env.str("KAFKA_SSL_CERTFILE", default=""),
    "SSL_KEYFILE": env.str("KAFKA_SSL_KEYFILE", default=""),
    "ALLOW_INSECURE": env.bool("KAFKA_ALLOW_INSECURE", default=False),
    "PRODUCER_BATCH_MESSAGES": env.int("KAFKA_PRODUCER_BATCH_MESSAGES", default=100),
    "PRODUCER_BATCH_BYTES": env.int("KAFKA_PRODUCER_BATCH_BYTES", default=1_000_000),
    "PRODUCER_LINGER_MS": env.int("KAFKA_PRODUCER_LINGER_MS", default=5),
    "PRODUCER_COMPRESSION": env.str("KAFKA_PRODUCER_COMPRESSION", default="snappy"),
    "PRODUCER_IDEMPOTENT": env.bool("KAFKA_PRODUCER_IDEMPOTENT", default=True),
    "PRODUCER_RETRIES": env.int("KAFKA_PRODUCER_RETRIES", default=3),
    "PRODUCER_RETRY_BACKOFF_MS": env.int("KAFKA_PRODUCER_RETRY_BACKOFF_MS", default=100),
    "PRODUCER_DELIVERY_TIMEOUT_MS": env.int("KAFKA_PRODUCER_DELIVERY_TIMEOUT_MS", default=30_000),
    "CONSUMER_FROM": env.str("KAFKA_CONSUMER_FROM", default="latest"),
    "CONSUMER_SESSION_TIMEOUT_MS": env.int("KAFKA_CONSUMER_SESSION_TIMEOUT_MS", default=10_000),
    "CONSUMER_HEARTBEAT_MS": env.int("KAFKA_CONSUMER_HEARTBEAT_MS", default=3_000),
    "CONSUMER_COMMIT_INTERVAL_MS": env.int("KAFKA_CONSUMER_COMMIT_INTERVAL_MS", default=1_000),
    "CONSUMER_BATCH": env.int("KAFKA_CONSUMER_BATCH", default=500),
    "DATABASE_DIRECT_URL": env.str("DATABASE_DIRECT_URL", default=DATABASE_URL),
    "OUTBOX_NOTIFY": env.bool("OUTBOX_NOTIFY", default=True),
    "OUTBOX_WINDOW": env.int("OUTBOX_WINDOW", default=2_000),
    "OUTBOX_RETENTION_D": env.int("OUTBOX_RETENTION_D", default=30),
    "INBOX_RETENTION_D": env.int("INBOX_RETENTION_D", default=30),
    "PROBES_HOST": env.str("PROBES_HOST", default="127.0.0.1"),
    "RELAY_PORT": env.int("RELAY_PORT", default=9101),
    "CONSUMER_PORT": env.int("CONSUMER_PORT", default=9102),
    "STOP_WITHIN_S": env.int("STOP_WITHIN_S", default=20),
}
