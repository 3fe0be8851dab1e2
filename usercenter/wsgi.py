"""The web process: `gunicorn -c python:usercenter.gunicorn usercenter.wsgi`."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "usercenter.settings")
application = get_wsgi_application()

from usercenter.start import refuse_if_wrong  # noqa: E402 - needs the settings

refuse_if_wrong()
