"""What every view of the API shares: the order of refusals, and that nothing unknown is let pass.

A request with a wrong method is told so first (405), then who may not is (401, 403), then what the view does not
know is refused (400); only then does the view's own method run.
"""

from typing import Any

from rest_framework.exceptions import MethodNotAllowed
from rest_framework.permissions import SAFE_METHODS, AllowAny
from rest_framework.request import Request
from rest_framework.views import APIView

from accounts.api.inputs import NoBody, NoParameters
from accounts.api.parsers import MergePatchParser, StrictJSONParser


class Endpoint(APIView):
    """A view for who is signed in; `request.auth` is the open session, `self.query` what `Parameters` let pass."""

    Parameters: type[NoParameters] = NoParameters
    query: Any

    # No OPTIONS: DRF's would describe the view, and other origins are not answered.
    http_method_names = ["get", "post", "patch", "delete", "head"]

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """All that is refused before the view's own method."""
        if request.method not in self.allowed_methods:
            raise MethodNotAllowed(str(request.method))
        super().initial(request, *args, **kwargs)
        self.query = (self.Parameters if request.method in SAFE_METHODS else NoParameters).parse_query(request)
        if request.method == "DELETE":
            NoBody.parse(request)

    def get_parsers(self) -> list[Any]:
        """JSON; a PATCH may call it by its other name. The description is made without a request."""
        is_patch = self.request and self.request.method == "PATCH"
        return [StrictJSONParser(), *([MergePatchParser()] if is_patch else [])]


class PublicEndpoint(Endpoint):
    """A view for anyone; a token that comes along is not looked at."""

    authentication_classes = []
    permission_classes = [AllowAny]
