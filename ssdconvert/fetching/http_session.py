"""One request to a server: proxies, .netrc, tokens, redirects, and what its failures mean.

Proxies, certificates and .netrc are those of the environment, as `requests` reads them. A bearer token for one
host is SSDCONVERT_TOKEN_HOST, the host in capitals, '.' written '_' and '-' written '__', so that no two hosts share
a name: SSDCONVERT_TOKEN_MODELS_EXAMPLE_COM. It goes to that host alone, and never over plain HTTP, but to
this machine. A password in the URL goes before a token, and that before .netrc; none follows a redirect to another
host or port.
"""

import logging
import os
import re
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ssdconvert import __version__
from ssdconvert.fetching import Unavailable
from ssdconvert.fetching.patience import Patience, retry_after
from ssdconvert.url_secrets import HIDDEN, redacted

if TYPE_CHECKING:
    import requests


class _Discreet(logging.Filter):
    """What urllib3 logs, without secrets and tracebacks: it names whole URLs."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args, record.exc_info = redacted(record.getMessage()), (), None
        return True


for _name in ("urllib3.connection", "urllib3.connectionpool"):
    logging.getLogger(_name).addFilter(_Discreet())

TOKEN = "SSDCONVERT_TOKEN_"
PROXY_PASSWORD = (
    "it wants a user and a password: HTTPS_PROXY and HTTP_PROXY may be http://USER:PASSWORD@HOST:PORT"
)
TRANSIENT = {408, 425, 429, 500, 502, 503, 504}
MOST_REDIRECTS = 10
THIS_MACHINE = re.compile(r"localhost|127\.\d+\.\d+\.\d+|::1")


@contextmanager
def opened(url: str, headers: Mapping[str, str], patience: Patience) -> Iterator["requests.Response"]:
    """Ask for a URL and give the response, its body unread; Unavailable for whatever goes wrong in the block."""
    import requests
    import urllib3

    asked = {"Accept-Encoding": "identity", "User-Agent": f"ssdconvert/{__version__}", **headers}
    try:
        with requests.Session() as session:
            session.max_redirects = MOST_REDIRECTS
            with _answered(session, url, asked, patience) as response:
                _refuse_failure(response)
                yield response
    except requests.TooManyRedirects as error:
        raise Unavailable(f"redirects more than {MOST_REDIRECTS} times, perhaps in a loop") from error
    except requests.exceptions.SSLError as error:
        raise Unavailable(f"no secure connection: {plain_reason(error)}") from error
    except requests.exceptions.ProxyError as error:
        raise _no_proxy(url, plain_reason(error)) from error
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        raise Unavailable(plain_reason(error), transient=True) from error


def _answered(
    session: "requests.Session", url: str, headers: Mapping[str, str], patience: Patience
) -> "requests.Response":
    """Return the response to a request; what `requests` does not foresee becomes Unavailable too."""
    import requests

    try:
        # one reading of an odd address for all: who is asked, and whose token and password are sent
        address = requests.Request("GET", url).prepare().url or url
        return session.get(
            address,
            headers=headers,
            auth=_authorisation(address),
            hooks={"response": _leave_redirect_unread},
            stream=True,
            timeout=(patience.connect_timeout, patience.timeout),
        )
    except ValueError as error:  # of requests, urllib3 and urllib alike: an address that cannot be understood
        raise Unavailable(f"leads to an address that is none: {plain_reason(error)}") from error
    except requests.RequestException:
        raise
    except OSError as error:  # a file that the environment names, such as that of the certificates
        raise Unavailable(plain_reason(error)) from error


def _leave_redirect_unread(response: "requests.Response", *_: object, **__: object) -> None:
    """Close a redirect before `requests` reads all of its body, which may never end."""
    if response.is_redirect:
        response.raw.close()


def token_variable(host: str) -> str:
    """Return the environment variable that holds the bearer token of a host."""
    return TOKEN + host.upper().replace("-", "__").replace(".", "_").replace(":", "_")


def plain_reason(error: BaseException) -> str:
    """Return the innermost reason of a chain of network errors, which is the telling one, without secrets."""
    while isinstance(error.__cause__ or error.__context__, Exception):
        error = error.__cause__ or error.__context__  # type: ignore[assignment]
    told = redacted(_words(error))
    for name, token in os.environ.items():
        if name.startswith(TOKEN) and token.strip():
            told = told.replace(token.strip(), HIDDEN)
    return told


def _words(error: BaseException) -> str:
    if isinstance(error, socket.gaierror):
        return f"the host was not found ({error.strerror})"
    if isinstance(error, TimeoutError):
        return "the server sent nothing in time"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _authorisation(url: str) -> "requests.auth.AuthBase | None":
    """Return what adds a password of the URL or the host's token to a request; None leaves it to .netrc."""
    import requests

    user, password = requests.utils.get_auth_from_url(url)
    if user or password:
        return requests.auth.HTTPBasicAuth(user, password)
    host = urlsplit(url).hostname or ""
    token = os.environ.get(token_variable(host), "").strip()
    proxied = requests.utils.select_proxy(url, requests.utils.get_environ_proxies(url))
    if not token or not (url.startswith("https:") or (THIS_MACHINE.fullmatch(host) and not proxied)):
        return None
    if not token.isascii() or not token.isprintable() or " " in token:
        raise Unavailable(f"{token_variable(host)} holds no token: it has spaces or odd characters")

    class Bearer(requests.auth.AuthBase):
        def __call__(self, request: "requests.PreparedRequest") -> "requests.PreparedRequest":
            request.headers["Authorization"] = f"Bearer {token}"
            return request

    return Bearer()


def _no_proxy(url: str, reason: str) -> Unavailable:
    """Return what it comes to that a proxy does not serve: in vain without a password, else for the moment."""
    import requests

    proxy = requests.utils.select_proxy(url, requests.utils.get_environ_proxies(url)) or ""
    refused = re.search(r"\b407\b", reason)
    told = f"the proxy {redacted(proxy)} of the environment: {reason}"
    return Unavailable(f"{told} ({PROXY_PASSWORD})" if refused else told, transient=not refused)


def _refuse_failure(response: "requests.Response") -> None:
    """Raise Unavailable for a status that brings no file; 416 is left to who asked for a range."""
    status = response.status_code
    if status in (200, 203, 206, 416):
        return
    told = f"HTTP {status} {response.reason or ''}".strip()
    if status == 407:
        told += f" ({PROXY_PASSWORD})"
    if status in (401, 403):
        host = urlsplit(response.url).hostname or ""
        told += f" (a token for {host} is read from {token_variable(host)}, a password from .netrc)"
    wait = retry_after(response.headers.get("Retry-After")) if status in TRANSIENT else None
    raise Unavailable(told, transient=status in TRANSIENT, wait=wait)
