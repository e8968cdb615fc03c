"""Finds and hides what nobody but a server should read in URLs: users, passwords, tokens, signatures."""

import re

HIDDEN = "***"
_NAME = r"(?:token|secret|password|passwd|pwd|signature|sig|credential|credentials|key|apikey|auth|authorization|sas)"
_USER = re.compile(r"(?<=://)[^/?#\s]*@")
_QUERY = re.compile(rf"([?&](?:[\w.%-]*[_.-])?{_NAME}=)[^&#\s'\"]+", re.IGNORECASE)


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
