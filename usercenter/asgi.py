"""The same application for an ASGI server."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "usercenter.settings")
application = get_asgi_application()

from usercenter.start import refuse_if_wrong  # noqa: E402 - needs the settings

refuse_if_wrong()
