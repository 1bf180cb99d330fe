"""``provenance.json``: what of a title's files is synthetic, made by what, and the hash of each; signed with a key.

C2PA's assertions in JSON, beside the files. Nothing is embedded: C2PA has no place in Matroska, its signatures need a
certificate that somebody issued, and a file that is written again after it was made would no longer be what the store
knows by its hash. A signature here is Ed25519 with a key of one's own, over the canonical JSON of everything else.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from shared.core.errors import EngineError, UsageError
from shared.core.store import Blob, file_digest
from shared.schemas.digital_source import COMPOSITE, ENHANCED, SYNTHETIC, speech_source, track_source
from shared.schemas.layout import CONTROL, ORIG, clip_suffix

MEDIA_TYPES = {".flac": "audio/flac", ".mp4": "video/mp4", ".mkv": "video/x-matroska"}
LARGEST_KEY = 2**16

Sign = Callable[[bytes], tuple[bytes, bytes]]
"""Message → signature and public key, both raw."""


class ClaimFacts(NamedTuple):
    """What the manifests say of a title beside its files."""

    title: str
    source_name: str
    source_sha256: str | None
    source_language: str | None
    tracks: Sequence[str]
    engines: Mapping[str, str]
    """Stage → engine and model."""


def source_of_file(path: str, facts: ClaimFacts) -> tuple[str | None, str | None]:
    """Digital source type of a file of the output layout, and the language of its synthetic speech.

    None and None for texts and for the original.
    """
    place = PurePosixPath(path)
    folder, name = place.parent.name, place.stem
    if place.suffix not in MEDIA_TYPES:
        return None, None
    dubs = [track for track in facts.tracks if track not in (ORIG, CONTROL)]
    if folder == "tracks":
        return track_source(name), name if name in dubs else None
    if folder == "stems":
        track = name.removeprefix("speech.")
        return (speech_source(track) if name != track else ENHANCED), track if track in dubs else None
    if folder == "shots":
        labels = {clip_suffix(track, facts.source_language): track for track in facts.tracks}
        track = labels.get(name.rpartition("_")[2], ORIG)
        return track_source(track), track if track in dubs else None
    if folder == "auditions":
        return COMPOSITE, name
    return (COMPOSITE if dubs else ENHANCED), None


def manifest(path: str, blob: Blob, facts: ClaimFacts) -> dict[str, Any] | None:
    """One file's assertions; None where nothing in it was made or changed by a model."""
    source_type, language = source_of_file(path, facts)
    if source_type is None:
        return None
    agent = {"name": "Counterdub", "version": version("counterdub")}
    action = {SYNTHETIC: "c2pa.created", COMPOSITE: "c2pa.dubbed", ENHANCED: "c2pa.edited"}[source_type]
    parameters: dict[str, Any] = {"engines": dict(facts.engines)} if source_type != ENHANCED else {}
    if language:
        parameters["language"] = language
    actions = [{"action": action, "digitalSourceType": source_type, "softwareAgent": agent, "parameters": parameters}]
    if language and language != facts.source_language and source_type == COMPOSITE:
        actions.append(
            {"action": "c2pa.translated", "softwareAgent": agent, "parameters": {"targetLanguage": language}}
        )
    digest = base64.b64encode(bytes.fromhex(blob.sha256)).decode()
    return {
        "title": path,
        "format": MEDIA_TYPES[PurePosixPath(path).suffix],
        "assertions": [
            {"label": "c2pa.actions.v2", "data": {"actions": actions}},
            {"label": "c2pa.hash.data", "data": {"alg": "sha256", "hash": digest, "exclusions": []}},
        ],
    }


def provenance(files: Mapping[str, Blob], facts: ClaimFacts, sign: Sign | None = None) -> dict[str, Any]:
    """The sidecar of a title.

    Args:
        files: Path below the output folder → blob, of the whole title.
    """
    manifests = [entry for path in sorted(files) if (entry := manifest(path, files[path], facts))]
    ingredient: dict[str, Any] = {"title": facts.source_name, "relationship": "parentOf"}
    if facts.source_sha256:
        digest = base64.b64encode(bytes.fromhex(facts.source_sha256)).decode()
        ingredient["hash"] = {"alg": "sha256", "hash": digest}
    record = {
        "schema_version": 1,
        "title": facts.title,
        "claim_generator_info": [{"name": "Counterdub", "version": version("counterdub")}],
        "ingredients": [ingredient],
        "manifests": manifests,
    }
    if sign is not None:
        value, public = sign(canonical(record))
        encoded = {"public_key": base64.b64encode(public).decode(), "value": base64.b64encode(value).decode()}
        record["signature"] = {"alg": "Ed25519", **encoded}
    return record


def canonical(record: Mapping[str, Any]) -> bytes:
    """What is signed: everything but the signature, keys sorted, no spaces, UTF-8."""
    rest = {key: value for key, value in record.items() if key != "signature"}
    return json.dumps(rest, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def signer(key: Path | str | None) -> Sign | None:
    """What signs with an Ed25519 private key (PEM, PKCS #8, without a password); None without one.

    Raises:
        UsageError: ``bad_signing_key``.
        EngineError: ``package_missing`` without the extra ``signing``.
    """
    if key is None:
        return None
    try:
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key
    except ModuleNotFoundError as error:
        raise missing_package() from error
    try:
        with Path(key).open("rb") as file:
            private = load_pem_private_key(file.read(LARGEST_KEY), password=None)
    except OSError as error:
        raise bad_key(f"it cannot be read: {error.strerror}") from error
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise bad_key("it is no PEM without a password") from error
    if not isinstance(private, Ed25519PrivateKey):
        raise bad_key("it is of another kind")
    public = private.public_key().public_bytes_raw()
    return lambda message: (private.sign(message), public)


def bad_key(why: str) -> UsageError:
    message = f"The signing key cannot be used: {why}. Make one with: openssl genpkey -algorithm ed25519 -out key.pem"
    return UsageError(message, code="bad_signing_key")


def missing_package() -> EngineError:
    message = "Signatures need the package “cryptography”. Install it with: pip install 'counterdub[signing]'"
    return EngineError(message, code="package_missing", package="cryptography")


class Verification(NamedTuple):
    """What became of a title's files since they were made."""

    changed: list[str]
    """Files whose content is another one."""
    missing: list[str]
    signature: str
    """``valid``, ``invalid``, or ``none``."""
    public_key: str | None
    """Base64 of the raw key that signed: who it belongs to is not said here."""


def verify(out: Path, record: Mapping[str, Any]) -> Verification:
    """Hold a title's files against its ``provenance.json``.

    Args:
        out: The output folder.

    Raises:
        EngineError: ``package_missing``.
    """
    changed, gone = [], []
    for entry in record["manifests"]:
        hashes = (part["data"]["hash"] for part in entry["assertions"] if part["label"] == "c2pa.hash.data")
        path = out / PurePosixPath(entry["title"])
        if not path.resolve().is_relative_to(out.resolve()) or not path.is_file():
            gone.append(entry["title"])
        elif base64.b64encode(bytes.fromhex(file_digest(path))).decode() != next(hashes, None):
            changed.append(entry["title"])
    signature = record.get("signature")
    if signature is None:
        return Verification(changed, gone, "none", None)
    return Verification(changed, gone, "valid" if is_signed(record, signature) else "invalid", signature["public_key"])


def is_signed(record: Mapping[str, Any], signature: Mapping[str, str]) -> bool:
    try:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    except ModuleNotFoundError as error:
        raise missing_package() from error
    try:
        public = Ed25519PublicKey.from_public_bytes(base64.b64decode(signature["public_key"]))
        public.verify(base64.b64decode(signature["value"]), canonical(record))
    except (InvalidSignature, ValueError, KeyError):
        return False
    return True
