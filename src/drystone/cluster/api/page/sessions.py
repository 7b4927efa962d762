"""Who looks at the page: a token in a cookie, and that what changes anything was sent from the page itself."""

from __future__ import annotations

from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from drystone.base.errors import RefusedError, UsageError
from drystone.cluster.api.tokens import Caller, Tokens
from drystone.wire.application import AnyRequest

_COOKIE = "drystone-cluster-token"
_MOST_FIELDS = 20


def find_caller(request: AnyRequest, tokens: Tokens) -> Caller | None:
    """Whose the cookie is; None for nobody, and for an agent."""
    try:
        found = SimpleCookie(request.headers.get("cookie", "")).get(_COOKIE)
    except CookieError:
        return None
    caller = tokens.find(f"Bearer {unquote(found.value)}") if found is not None else None
    return caller if caller is not None and caller.role != "agent" else None


def keep_token(request: AnyRequest, token: str) -> dict[str, str]:
    """The header that has a browser keep a token until it is closed: no script reads it, no other site has it sent."""
    secure = "; Secure" if request.url.scheme == "https" else ""
    return {"Set-Cookie": f"{_COOKIE}={quote(token, safe='')}; Path=/; HttpOnly; SameSite=Strict{secure}"}


def forget_token() -> dict[str, str]:
    """The header that has a browser forget it."""
    return {"Set-Cookie": f"{_COOKIE}=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict"}


async def read_form(request: AnyRequest) -> dict[str, str]:
    """The fields of a form that this server's page has sent.

    :raises RefusedError: it does not come from there. :raises UsageError: it is none.
    """
    check_own(request)
    try:
        text = (await request.body()).decode("ascii")
        return dict(parse_qsl(text, True, True, errors="strict", max_num_fields=_MOST_FIELDS))
    except ValueError as error:
        raise UsageError("the form cannot be read") from error


def check_own(request: AnyRequest) -> None:
    """:raises RefusedError: another site's page has sent this, or it is not known which one.

    Every browser says `Origin` of a form that is posted. The cookie is SameSite=Strict, but ports are one site.
    """
    origin = urlsplit(request.headers.get("origin", ""))
    site = request.headers.get("sec-fetch-site", "same-origin")
    if (
        origin.scheme not in {"http", "https"}
        or origin.netloc != request.headers.get("host", "")
        or site != "same-origin"
    ):
        raise RefusedError("this was not sent by a form of this page", hint="go to the overview and begin anew")
