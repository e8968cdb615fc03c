"""Signs and verifies releases with sigstore's library model-signing and a key on an elliptic curve.

The signature (a sigstore bundle, which `model_signing verify key` reads too) names every file of a release with its
digest, but for itself and for SHA256SUMS, which names the signature. The library is given the digests that are
known already, and so reads no file twice and none of an archive that is not unpacked.
"""

import contextlib
import io
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ssdconvert.errors import MissingDevice, RecipeError
from ssdconvert.release.names import SIGNATURE, SUMS

UNSIGNED = (SUMS, SIGNATURE)
MAKE_A_KEY = "openssl ecparam -name prime256v1 -genkey -noout -out release.key"


def signed(folder: str, digests: Mapping[str, str], private_key: Path) -> bytes:
    """Return the signature of files (relative path -> SHA-256), `folder` is the name that it gives to them all.

    RecipeError where the key is none, MissingDevice where the library is not installed.
    """
    signing = _library("signing")
    try:
        config = signing.Config().use_elliptic_key_signer(private_key=private_key)
    except (OSError, ValueError, TypeError, AttributeError) as error:  # no PEM, encrypted, of another kind
        raise _no_key(private_key, "private", error) from error
    config.set_hashing_config(_known_digests(digests))
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / SIGNATURE
        with contextlib.redirect_stdout(io.StringIO()):
            config.sign(Path(folder), path)
        return path.read_bytes()


def why_not_signed(folder: str, digests: Mapping[str, str], signature: bytes, public_key: Path) -> str:
    """Return why a signature is not that of these files by this key; empty where it is.

    RecipeError where the key is none, MissingDevice where the library is not installed.
    """
    verifying = _library("verifying")
    try:
        config = verifying.Config().use_elliptic_key_verifier(public_key=public_key)
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise _no_key(public_key, "public", error) from error
    config.set_hashing_config(_known_digests(digests))
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / SIGNATURE
        path.write_bytes(signature)
        try:
            with contextlib.redirect_stdout(io.StringIO()):  # which a warning of the library goes to
                config.verify(Path(folder), path)
        except Exception as error:  # whatever the library raises over a file that anybody may have written
            return f"is not a signature of these files by {public_key.name}: {_reason(error)}"
    return ""


def _known_digests(digests: Mapping[str, str]) -> Any:
    """Return a configuration of the library that knows the digests and hashes nothing."""
    from model_signing import hashing, manifest

    form = manifest.SerializationType.from_args(
        {"method": "files", "hash_type": "sha256", "allow_symlinks": False, "ignore_paths": list(UNSIGNED)}
    )
    items = [
        form.new_item(path, manifest.hashing.Digest("sha256", bytes.fromhex(sha256)))
        for path, sha256 in sorted(digests.items())
        if path not in UNSIGNED
    ]

    class Known(hashing.Config):  # type: ignore[misc, unused-ignore]
        """Digests that were computed before."""

        def hash(self, model_path: Any, *, files_to_hash: Any = None) -> Any:
            return manifest.Manifest(Path(model_path).name, items, form)

    return Known()


def _library(module: str) -> Any:
    import importlib

    try:
        return importlib.import_module(f"model_signing.{module}")
    except ImportError as error:
        raise MissingDevice(
            f"signatures need the library model-signing, which is not installed: {error}",
            hint="pip install 'ssdconvert[check]'",
            stage="install",
        ) from error


def _no_key(path: Path, kind: str, error: Exception) -> RecipeError:
    hint = f"give a {kind} key in PEM form on the curve P-256, P-384 or P-521, not encrypted"
    if kind == "private":
        hint += f"; `{MAKE_A_KEY}` makes one"
    return RecipeError(f"{path} is no {kind} key: {_reason(error)}", hint=hint, stage="key")


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
