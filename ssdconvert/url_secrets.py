"""Finds and hides what nobody but a server should read in URLs: users, passwords, tokens, signatures."""

import re

HIDDEN = "***"
# how the names of secret parameters end: the first after anything, the second as a word of their own
_ANYWHERE = r"[\w.%-]*(?:token|secret|password|passwd|signature|credentials?|api_?key|auth_?key|access_?key)"
_WORD = r"(?:[\w.%-]*[_.-])?(?:pass|pwd|sig|key|jwt|hmac|auth|authorization|sas)"
_USER = re.compile(r"(?<=://)[^/\s]*@")  # also one with `?` or `#`, which ought to be written %3F or %23
_QUERY = re.compile(rf"([?&;](?:{_ANYWHERE}|{_WORD})=)[^&;#\s'\"]+", re.IGNORECASE)


def redacted(text: str) -> str:
    """Return a text in whose URLs users, passwords and the values of secret parameters are hidden."""
    return _QUERY.sub(rf"\1{HIDDEN}", _USER.sub(f"{HIDDEN}@", text))


def without_secrets(url: str) -> str:
    """Accept a URL that anybody may read: recipes and manifests hold it."""
    if redacted(url) != url:
        raise ValueError(
            "a URL without user, password or token: .netrc or SSDCONVERT_TOKEN_<HOST> give these to a server"
        )
    return url
