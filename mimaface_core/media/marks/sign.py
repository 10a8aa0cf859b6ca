"""Content credentials (C2PA) signed into finished files; needs the extra `sign` (c2pa-python)."""

from __future__ import annotations

import datetime
import io
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import InputError
from ...files import replacing
from ..container import existing_file
from .user import user_folder

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey, EllipticCurvePublicKey
    from cryptography.x509 import Certificate, Name

MIME_TYPES = {
    ".mp4": "video/mp4",
    ".mov": "video/quicktime",
    ".png": "image/png",
    ".gif": "image/gif",
    ".jpg": "image/jpeg",
    ".webp": "image/webp",
}
_OWN = "signing.pem"
_ALGORITHM = "org.mimaface.lattice"  # of the watermark, in the soft binding
_DAYS = 3650


@dataclass(frozen=True)
class Credentials:
    """What is signed into a file.

    Attributes:
        version: of this extension.
        source_type: IPTC's, as an address.
        watermark: its payload in words; None for a file without one.
        photograph: PNG bytes of the photograph, which becomes an ingredient; None where it is not known.
        certificate: a PEM file with a certificate chain, leaf first, and its private key (ES256); None for a self-made
            one, which is kept in `user_folder`.
    """

    version: str
    source_type: str
    watermark: str | None = None
    photograph: bytes | None = None
    certificate: Path | None = None


@dataclass(frozen=True)
class CheckedCredentials:
    """Content credentials that a file carries, checked.

    Attributes:
        state: "Trusted", "Valid" (whole, by a signer that the checking library does not know), or "Invalid" (changed
            after it was signed, or unreadable).
        generator: the programme that signed.
        source_types: IPTC's digital source types of its actions, as addresses.
    """

    state: str
    generator: str
    source_types: tuple[str, ...]

    def words(self) -> str:
        """A sentence."""
        by = f"content credentials by {self.generator or 'an unnamed programme'}"
        if self.state == "Invalid":
            return f"{by} do not fit the file: it was changed after they were signed."
        known = "a known signer" if self.state == "Trusted" else "a signer that is not known here"
        return f"{by}, whole, of {known}."


def checked_credentials(path: str | Path) -> CheckedCredentials | None:
    """The content credentials of a file, checked; None where c2pa-python is missing or does not read the file."""
    try:
        import c2pa
    except ImportError:
        return None
    try:
        with c2pa.Reader(str(path)) as reader:
            told = json.loads(reader.json())
    except c2pa.C2paError:
        return None
    manifest = told.get("manifests", {}).get(told.get("active_manifest"), {})
    agents = manifest.get("claim_generator_info") or [{}]
    types = re.findall(r'"digitalSourceType": "([^"]+)"', json.dumps(manifest))
    return CheckedCredentials(
        told.get("validation_state", "Invalid"), str(agents[0].get("name", "")), tuple(dict.fromkeys(types))
    )


def check_signing(suffix: str) -> None:
    """Raise InputError where files with this suffix cannot be signed, or nothing can."""
    if suffix.lower() not in MIME_TYPES:
        raise InputError(
            f"{suffix.lstrip('.') or 'This kind of file'} cannot carry content credentials; choose mp4, png or gif, or"
            " leave it unsigned: its metadata say that it is synthetic, too."
        )
    try:
        import c2pa  # noqa: F401
        import cryptography  # noqa: F401
    except ImportError as error:
        raise InputError("Signing needs c2pa-python; install it (pip install c2pa-python cryptography).") from error


def sign(path: Path, credentials: Credentials, suffix: str | None = None) -> None:
    """Sign a finished file in place; nothing may change it afterwards.

    Args:
        path: of the file.
        credentials: what is signed.
        suffix: by which the kind of file is known; that of `path` when None.

    Raises:
        InputError: the kind of file or the certificate cannot be used, or c2pa-python is missing.
    """
    suffix = (path.suffix if suffix is None else suffix).lower()
    check_signing(suffix)
    import c2pa

    chain = _own_chain() if credentials.certificate is None else _given_chain(credentials.certificate)
    certificates, key = _split(chain, credentials.certificate)
    try:
        signer = c2pa.Signer.from_info(c2pa.C2paSignerInfo(b"es256", certificates, key, None))
        builder = c2pa.Builder(json.dumps(_manifest(credentials)))
        if credentials.photograph is not None:
            ingredient = {"title": "photograph", "relationship": "parentOf", "label": "photograph"}
            builder.add_ingredient(json.dumps(ingredient), "image/png", io.BytesIO(credentials.photograph))
        with replacing(path) as signed, path.open("rb") as source, signed.open("w+b") as target:
            builder.sign(signer, MIME_TYPES[suffix], source, target)
    except c2pa.C2paError as error:
        raise InputError(f"'{path.name}' could not be signed ({error}); check the file and the certificate.") from error


def _manifest(credentials: Credentials) -> dict[str, Any]:
    agent = {"name": "MIMAFace", "version": credentials.version}
    made = {"action": "c2pa.created", "digitalSourceType": credentials.source_type, "softwareAgent": agent}
    actions = [made]
    if credentials.photograph is not None:
        opened = {"action": "c2pa.opened", "parameters": {"ingredientIds": ["photograph"]}}
        actions = [opened, made | {"action": "c2pa.edited"}]
    assertions: list[dict[str, Any]] = [{"label": "c2pa.actions.v2", "data": {"actions": actions}}]
    if credentials.watermark is not None:
        block = {"scope": {}, "value": credentials.watermark}
        assertions.append({"label": "c2pa.soft-binding", "data": {"alg": _ALGORITHM, "blocks": [block]}})
    return {"claim_generator_info": [agent], "assertions": assertions}


def _split(chain: bytes, file: Path | None) -> tuple[bytes, bytes]:
    """The certificates and the private key of a PEM file."""
    begin, end = chain.find(b"-----BEGIN"), b"PRIVATE KEY-----"
    blocks = chain[max(begin, 0) :].split(b"-----BEGIN ")[1:]
    keys = [b"-----BEGIN " + block for block in blocks if end in block.split(b"\n")[0]]
    certificates = [b"-----BEGIN " + block for block in blocks if block.startswith(b"CERTIFICATE")]
    if len(keys) != 1 or not certificates:
        name = file.name if file is not None else _OWN
        raise InputError(
            f"'{name}' is no certificate to sign with; give a PEM file with the certificates, leaf first, and one"
            " private key (ES256, without a password)."
        )
    return b"".join(certificates), keys[0]


def _given_chain(file: Path) -> bytes:
    try:
        return existing_file(file).read_bytes()
    except OSError as error:
        raise InputError(f"'{file.name}' cannot be read ({error.strerror or error}); check the certificate.") from error


def _own_chain() -> bytes:
    """The self-made certificate and key of this user, made at first use; readable for them alone."""
    path = user_folder() / _OWN
    if path.is_file():
        return path.read_bytes()
    chain = _new_chain()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as new, open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(chain)
    except OSError as error:
        raise InputError(
            f"The key for signing cannot be kept in {path.parent} ({error.strerror or error}); make the folder"
            " writable, or give a certificate."
        ) from error
    return chain


def _new_chain() -> bytes:
    """A leaf under a root, both self-made; checking tools call it valid and its maker unknown."""
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    def named(name: str) -> Name:
        owner = x509.NameAttribute(NameOID.ORGANIZATION_NAME, "a user of MIMAFace (self-made)")
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name), owner])

    root_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    root_name, name = named("MIMAFace user root"), named("MIMAFace user")
    root = _certificate(root_name, root_key.public_key(), root_name, root_key, authority=True)
    leaf = _certificate(name, key.public_key(), root_name, root_key, authority=False)
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return leaf.public_bytes(pem) + root.public_bytes(pem) + secret


def _certificate(
    subject: Name, public: EllipticCurvePublicKey, issuer: Name, signing: EllipticCurvePrivateKey, authority: bool
) -> Certificate:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.x509.oid import ExtendedKeyUsageOID

    now = datetime.datetime.now(datetime.timezone.utc)
    usage = dict.fromkeys(
        ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only"), False
    )
    usage |= {"decipher_only": False, "digital_signature": not authority}
    usage |= {"key_cert_sign": authority, "crl_sign": authority}
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=_DAYS))
        .add_extension(x509.BasicConstraints(authority, None), True)
        .add_extension(x509.KeyUsage(**usage), True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signing.public_key()), False)
    )
    if not authority:
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), False)
    return builder.sign(signing, hashes.SHA256())
