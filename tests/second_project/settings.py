"""The least that a project with `events` has to say; where its parts are comes from the environment."""

from os import environ

SECRET_KEY = environ["SECRET_KEY"]
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = ["events", "orders"]

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": environ.get("DATABASE_HOST", "localhost"),
        "PORT": environ.get("DATABASE_PORT", "5432"),
        "NAME": environ.get("DATABASE_NAME", "orders"),
        "USER": environ.get("DATABASE_USER", "orders"),
        "PASSWORD": environ.get("DATABASE_PASSWORD", ""),
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {
            "connect_timeout": 5,
            "options": "-c idle_in_transaction_session_timeout=10s -c statement_timeout=30s -c lock_timeout=15s",
        },
    }
}

EVENTS = {
    "ROUTES": "orders.routes.ROUTES",
    "SOURCE": "https://orders.example",
    "TOPICS": {"orders": environ.get("KAFKA_TOPIC_ORDERS", "orders")},
    "GROUP": "orders",
    "BROKERS": tuple(environ.get("KAFKA_BROKERS", "localhost:9092").split(",")),
}
