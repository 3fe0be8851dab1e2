"""The web process: `gunicorn -c python:usercenter.gunicorn usercenter.wsgi`.

What comes next is `usercenter.middleware`.
"""

import io
import os
from collections.abc import Iterable
from typing import Any

from django.core.wsgi import get_wsgi_application
from django.utils.http import parse_header_parameters

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "usercenter.settings")
_django = get_wsgi_application()

from accounts.api.parsers import BODY_BYTES_MOST  # noqa: E402 - needs the settings
from usercenter.start import refuse_if_wrong  # noqa: E402 - needs the settings

refuse_if_wrong()


def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Django, which reads only bodies of a known length: a chunked one is measured first.

    One byte over the limit is enough to be refused, so an endless body is never read to its end. A Content-Type that
    Django cannot even read would be a fault before any middleware: it is none, which is refused where a body is read.
    """
    try:
        parse_header_parameters(environ.get("CONTENT_TYPE", ""))
    except ValueError:
        environ["CONTENT_TYPE"] = ""
    if environ.get("HTTP_TRANSFER_ENCODING") and "CONTENT_LENGTH" not in environ:
        body = environ["wsgi.input"].read(BODY_BYTES_MOST + 1)
        environ |= {"wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}
    return _django(environ, start_response)
