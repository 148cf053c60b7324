"""Building the chain of a certificate out of the certificates that came with it (RFC 5280 §6, RFC 4158).

- The order in the file means nothing: candidates are compared by what they say.
- An issuer has the name that is wanted. Key identifiers decide among several keys of that name where they
  can; signatures decide the rest, and at most `MOST_VERIFICATIONS` of them are verified for one file.
- Of several issuers: fewest certificates that are not valid now, then one that leads to a self-signed root,
  then the one that lives longest, then the smallest SHA-256.

This is order, not trust: whoever relies on the chain validates it.
"""

import heapq
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime

from bulkcert.formats.x509.facts import read
from bulkcert.formats.x509.signatures import is_signed_by
from bulkcert.values.certificates import Certificate

MOST_VERIFICATIONS = 16
"""Signatures that are verified to build one chain. Five levels, each renewed, take ten."""


@dataclass(frozen=True, slots=True)
class Chain:
    """The chain of a certificate: its issuer first, towards the root.

    is_complete: the last of it (or the certificate itself) is self-signed. unrelated: what came and has no
    place above the certificate, nor is another form of an issuer.
    """

    certificates: tuple[Certificate, ...]
    is_complete: bool
    unrelated: tuple[Certificate, ...] = ()


def build_chain(leaf: Certificate, others: Iterable[Certificate], now: datetime) -> Chain:
    """Build the chain of `leaf` out of `others`, as it is best now (aware)."""
    distinct = {other.der: other for other in others if other.der != leaf.der}
    return _Family(leaf, list(distinct.values()), now).build()


def is_self_signed(certificate: Certificate) -> bool:
    """Return whether a certificate's own key signed it; one more signature is verified for this."""
    verified = is_signed_by(certificate.der, certificate.der)
    return _has_same_name(certificate, certificate) if verified is None else verified


class _Family:
    """A leaf and the certificates that came with it, in an order that does not depend on the file."""

    def __init__(self, leaf: Certificate, others: Sequence[Certificate], now: datetime) -> None:
        self._leaf = leaf
        self._now = now
        self._others = sorted(others, key=self._preference) if len(others) > 1 else others
        self._issuers: dict[bytes, list[Certificate]] = {}
        self._verified: dict[tuple[bytes, str], bool | None] = {}

    def build(self) -> Chain:
        path: list[Certificate] = []
        last = self._leaf
        while not self._is_root(last):
            used = {each.facts.public_key_sha256 for each in path}  # a chain that meets a key again is a loop
            candidates = [
                issuer for issuer in self._find_issuers(last) if issuer.facts.public_key_sha256 not in used
            ]
            if not candidates:
                return Chain(tuple(path), False, self._find_unrelated(path))
            last = candidates[0] if len(candidates) == 1 else self._choose(candidates, used)
            path.append(last)
        return Chain(tuple(path), True, self._find_unrelated(path))

    def _choose(self, candidates: Sequence[Certificate], used: AbstractSet[str]) -> Certificate:
        def rank(candidate: Certificate) -> tuple[int, bool, tuple[bool, float, str]]:
            bad = self._count_invalid_to_a_root(candidate, used)
            preference = self._preference(candidate)
            return (int(preference[0]), True, preference) if bad is None else (bad, False, preference)

        return min(candidates, key=rank)

    def _count_invalid_to_a_root(self, start: Certificate, used: AbstractSet[str]) -> int | None:
        """Return how many certificates on the best way to a self-signed one are not valid; None: no way.

        used: SHA-256 of the keys that the way may not meet again.
        """
        done = {*used, start.facts.public_key_sha256}
        seen: set[str] = set()
        queue = [(int(not self._is_valid(start)), start.facts.fingerprint_sha256, start)]
        while queue:
            bad, fingerprint, certificate = heapq.heappop(queue)
            if fingerprint in seen:
                continue
            seen.add(fingerprint)
            if self._is_root(certificate):
                return bad
            for issuer in self._find_issuers(certificate):
                if issuer.facts.public_key_sha256 not in done:
                    entry = (bad + (not self._is_valid(issuer)), issuer.facts.fingerprint_sha256, issuer)
                    heapq.heappush(queue, entry)
        return None

    def _find_issuers(self, certificate: Certificate) -> list[Certificate]:
        """Return the certificates whose key issued another one, those first that are preferred."""
        found = self._issuers.get(certificate.der)
        if found is None:
            found = self._issuers[certificate.der] = self._look_for_issuers(certificate)
        return found

    def _look_for_issuers(self, certificate: Certificate) -> list[Certificate]:
        named = [other for other in self._others if _has_same_name(certificate, other)]
        keys = dict.fromkeys(other.facts.public_key_sha256 for other in named)
        wanted = read(certificate.der).extensions.issuer_key
        issuing = set()
        for key in keys:
            holders = [other for other in named if other.facts.public_key_sha256 == key]
            is_wanted = wanted is not None and any(
                read(other.der).extensions.own_key == wanted for other in holders
            )
            if is_wanted and len(keys) == 1:
                return named
            verified = self._is_signed_by(certificate, holders[0])
            if is_wanted if verified is None else verified:
                issuing.add(key)
        return [other for other in named if other.facts.public_key_sha256 in issuing]

    def _is_root(self, certificate: Certificate) -> bool:
        """Return whether a certificate is self-signed: by name and key identifier, else by its signature."""
        if not _has_same_name(certificate, certificate):
            return False
        extensions = read(certificate.der).extensions
        if extensions.issuer_key is None or extensions.own_key is None:
            return self._is_signed_by(certificate, certificate) is not False
        return extensions.issuer_key == extensions.own_key or bool(
            self._is_signed_by(certificate, certificate)
        )

    def _is_signed_by(self, certificate: Certificate, issuer: Certificate) -> bool | None:
        """Verify a signature while any more may be; None where that is used up or nobody can say."""
        pair = certificate.der, issuer.facts.public_key_sha256
        if pair not in self._verified:
            if len(self._verified) >= MOST_VERIFICATIONS:
                return None
            self._verified[pair] = is_signed_by(certificate.der, issuer.der)
        return self._verified[pair]

    def _find_unrelated(self, path: Sequence[Certificate]) -> tuple[Certificate, ...]:
        """Return the certificates from which no way leads down to the leaf; mostly all are in the path."""
        if len(path) == len(self._others):
            return ()
        related: dict[bytes, Certificate] = {}
        waiting = [self._leaf, *path]
        while waiting:
            certificate = waiting.pop()
            if certificate.der not in related:
                related[certificate.der] = certificate
                waiting += self._find_issuers(certificate)
        return tuple(other for other in self._others if other.der not in related)

    def _preference(self, certificate: Certificate) -> tuple[bool, float, str]:
        facts = certificate.facts
        return not self._is_valid(certificate), -facts.not_after.timestamp(), facts.fingerprint_sha256

    def _is_valid(self, certificate: Certificate) -> bool:
        return certificate.facts.not_before <= self._now <= certificate.facts.not_after


def _has_same_name(certificate: Certificate, issuer: Certificate) -> bool:
    """Return whether a certificate names another one's subject as its issuer.

    Case and runs of spaces do not count (RFC 5280 §7.1).
    """
    wanted, given = certificate.facts.issuer.text, issuer.facts.subject.text
    if wanted == given:
        return True
    # Most names differ in length too, and nothing else need be looked at then.
    if len(wanted) == len(given) or "  " in wanted or "  " in given:
        return _fold(wanted) == _fold(given)
    return False


def _fold(name: str) -> str:
    return " ".join(name.casefold().split())
