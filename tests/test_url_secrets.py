"""Secrets in URLs are hidden, and the rest of a text stays."""

import string
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ssdconvert.url_secrets import HIDDEN, redacted, without_secrets

SECRET = "Zx9" + "q" * 20
NAMES = (
    "token", "access_token", "accessToken", "X-Amz-Security-Token", "X-Amz-Signature", "X-Amz-Credential", "Signature",
    "X-Goog-Signature", "sig", "secret", "client_secret", "password", "passwd", "pwd", "pass", "key", "api_key",
    "apikey", "apiKey", "auth", "authkey", "authorization", "sas", "jwt", "AWSAccessKey",
)  # fmt: skip
HARMLESS = ("https://models.example.com/a/b.onnx", "http://a:8080/b?download=1&version=2", "file:///home/a@b/c.onnx",
            "https://zenodo.org/record/3236545/files/resnet34-ssd1200.pytorch", "https://a/b?monkeys=3&keyword=x",
            "package:images/portrait.jpg", "https://a/b@v2.onnx", "somebody@example.com", "")  # fmt: skip
query_safe = st.text(string.ascii_letters + string.digits + "-._~%+/=:,@", min_size=1)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "around", ["https://a/b?{}", "https://a/b?x=1&{}", "https://a/b?{}&x=1", "/b?x=1;{}#part", "(GET /m?{})"]
)
def test_the_values_of_secret_parameters(name: str, around: str) -> None:
    text = around.format(f"{name}={SECRET}")
    assert SECRET not in redacted(text)
    assert f"{name}={HIDDEN}" in redacted(text)


@pytest.mark.parametrize("user", ["{}@", "u:{}@", "{}:p@", "u:p@{}@", "u:{}#x@", "u:x?{}@", "u:%40{}@"])
def test_users_and_passwords(user: str) -> None:
    told = redacted(f"see https://{user.format(SECRET)}models.example.com/a?b=c and http://h/")
    assert told == f"see https://{HIDDEN}@models.example.com/a?b=c and http://h/"


@pytest.mark.parametrize("url", HARMLESS)
def test_what_is_no_secret_stays(url: str) -> None:
    assert redacted(url) == url
    assert without_secrets(url) == url


@pytest.mark.parametrize(
    "url", ["https://u:p@a/b", "https://a/b?token=x", "https://a/b?x=1&X-Amz-Signature=0"]
)
def test_a_url_that_not_everybody_may_read(url: str) -> None:
    with pytest.raises(ValueError, match=r"\.netrc or SSDCONVERT_TOKEN_<HOST>"):
        without_secrets(url)


@given(st.text())
@example("http://a@b@c/?key=x&token=?sig=y")
def test_hiding_twice_is_hiding_once(text: str) -> None:
    assert redacted(redacted(text)) == redacted(text)


@given(st.sampled_from(NAMES), query_safe, query_safe, st.sampled_from(["http", "https", "HTTPS", "ftp"]))
def test_no_secret_is_left(name: str, before: str, after: str, scheme: str) -> None:
    user, value = quote(before, safe="") + SECRET, before + SECRET + after
    told = redacted(f"{scheme}://{user}:{SECRET}{quote(after, safe='')}@host/path?x={1}&{name}={value}")
    assert SECRET not in told
    assert told == f"{scheme}://{HIDDEN}@host/path?x=1&{name}={HIDDEN}"


@given(st.text(string.ascii_lowercase + "/.-_"))
def test_a_path_stays(path: str) -> None:
    assert redacted(f"https://host/{path}") == f"https://host/{path}"
