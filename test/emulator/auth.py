"""Authentication of callers: the two authentication schemes of the API and the digest of webhooks.

Pure functions over bytes plus one check of a request's headers. Must not know routes, checkouts or sockets.
"""

import hashlib
import hmac


def signature(secret, body, salt):
    """Lower-case hex HMAC-SHA256 over the exact body bytes followed by the salt."""
    return hmac.new(secret.encode(), body + salt.encode("latin-1"), hashlib.sha256).hexdigest()


def webhook_digest(secret, body):
    """Lower-case hex HMAC-SHA1 over the raw webhook body."""
    return hmac.new(secret.encode(), body, hashlib.sha1).hexdigest()


def _same(left, right):
    return hmac.compare_digest(left.encode("latin-1", "replace"), right.encode("utf-8"))


def _signed_well(token, headers, body):
    salt = headers.get("x-salt", "")
    sent = headers.get("x-hmac-sha256-signature", "")
    return bool(salt) and _same(sent, signature(token.secret, body, salt))


def check(accounts, headers, body):
    """The token that made this request, or a text saying why there is none."""
    token = accounts.tokens.get(headers.get("x-token-api-id", ""))
    if token is None or token.revoked:
        return None, "unknown or missing API token"
    if "x-token-api-secret" in headers:
        good = _same(headers["x-token-api-secret"], token.secret)
        return (token, None) if good else (None, "wrong API token secret")
    if "x-hmac-sha256-signature" in headers:
        good = _signed_well(token, headers, body)
        return (token, None) if good else (None, "wrong request signature")
    return None, "missing API token secret or signature"
