"""Signatures as the senders make them, written anew: what is tested must not test itself."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time

SECRET = "It's a Secret to Everybody"
KEY = base64.b64encode(b"the key of standard webhooks").decode()


def digest(secret: bytes, content: bytes, algorithm: str = "sha256") -> bytes:
    return hmac.new(secret, content, algorithm).digest()


def github(body: bytes, *, secret: str = SECRET, id: str = "1", event: str = "push") -> dict[str, str]:
    return {
        "X-Hub-Signature-256": f"sha256={digest(secret.encode(), body).hex()}",
        "X-GitHub-Delivery": id,
        "X-GitHub-Event": event,
    }


def stripe(body: bytes, *, secret: str = SECRET, at: float | None = None) -> dict[str, str]:
    seconds = str(int(time.time() if at is None else at))
    signature = digest(secret.encode(), seconds.encode() + b"." + body).hex()
    return {"Stripe-Signature": f"t={seconds},v1={signature},v0={'0' * 64}"}


def standard(body: bytes, *, secret: str = KEY, id: str = "msg_1", at: float | None = None) -> dict[str, str]:
    seconds = str(int(time.time() if at is None else at))
    content = id.encode() + b"." + seconds.encode() + b"." + body
    signature = base64.b64encode(digest(base64.b64decode(secret), content)).decode()
    return {"webhook-id": id, "webhook-timestamp": seconds, "webhook-signature": f"v1,{signature}"}


def basic(credentials: str) -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(credentials.encode()).decode()}"}


def sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()
