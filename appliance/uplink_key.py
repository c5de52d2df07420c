"""The key by which the central office knows this box: made here, Ed25519, never sent."""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from appliance import atomicfile
from appliance.errors import ConfigError


def own(file: Path) -> Ed25519PrivateKey:
    """The key in this file, made the first time."""
    return read(file) or make(file)


def make(file: Path) -> Ed25519PrivateKey:
    key = Ed25519PrivateKey.generate()
    text = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    atomicfile.write(file, text)
    return key


def read(file: Path) -> Ed25519PrivateKey | None:
    """None where there is none. Raises ConfigError for a file that holds no such key."""
    try:
        found = serialization.load_pem_private_key(file.read_bytes(), password=None)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise ConfigError(f"cannot be read as a private key: {error}", subject=str(file)) from error
    if not isinstance(found, Ed25519PrivateKey):
        raise ConfigError("expected an Ed25519 key", subject=str(file))
    return found
