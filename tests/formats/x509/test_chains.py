"""The chain of a certificate: the right issuers, whatever the order in which they came."""

import datetime as dt
import itertools
import random

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st

from bulkcert.formats.x509 import Chain, build_chain, chains, parse_certificate
from bulkcert.values.certificates import Certificate
from tests.builders import DAY, NOW, a_name, an_ec_key, an_rsa_key
from tests.formats.x509 import forge
from tests.formats.x509.test_facts import CA, build, parsed

KEYS = [an_ec_key() for _ in range(8)]
YEAR = 365 * DAY


def issued(
    subject: str,
    own: ec.EllipticCurvePrivateKey,
    issuer: str,
    above: ec.EllipticCurvePrivateKey,
    *,
    begins: dt.timedelta = -DAY,
    ends: dt.timedelta = YEAR,
    with_identifiers: bool = True,
) -> Certificate:
    identifiers = [
        x509.SubjectKeyIdentifier.from_public_key(own.public_key()),
        x509.AuthorityKeyIdentifier.from_issuer_public_key(above.public_key()),
    ]
    return parsed(
        build(
            *(identifiers if with_identifiers else []),
            subject=a_name(subject),
            issuer=(a_name(issuer), above),
            key=own,
            valid=(NOW + begins, NOW + ends),
        )
    )


class Family:
    """A root, two below it, and a leaf; with key identifiers, as real CAs write them, or without."""

    def __init__(self, *, with_identifiers: bool) -> None:
        root, upper, lower, leaf, other = KEYS[:5]
        ids = {"with_identifiers": with_identifiers}
        self.root = issued("root", root, "root", root, **ids)
        self.upper = issued("upper", upper, "root", root, **ids)
        self.lower = issued("lower", lower, "upper", upper, **ids)
        self.leaf = issued("leaf", leaf, "lower", lower, **ids)
        self.other_lower = issued("lower", other, "upper", upper, **ids)
        self.expired_lower = issued("lower", lower, "upper", upper, begins=-YEAR, ends=-DAY, **ids)
        self.future_lower = issued("lower", lower, "upper", upper, begins=DAY, ends=3 * YEAR, **ids)
        self.longer_lower = issued("lower", lower, "upper", upper, ends=2 * YEAR, **ids)
        self.expired_root = issued("root", root, "root", root, begins=-YEAR, ends=-DAY, **ids)
        self.cross_root = issued("root", root, "old root", KEYS[5], ends=3 * YEAR, **ids)
        self.old_root = issued("old root", KEYS[5], "old root", KEYS[5], **ids)
        self.expired_old_root = issued(
            "old root", KEYS[5], "old root", KEYS[5], begins=-YEAR, ends=-DAY, **ids
        )


@pytest.fixture(params=[True, False], ids=["with key identifiers", "without"])
def family(request) -> Family:
    return Family(with_identifiers=request.param)


TABLE = {
    "all in order": ("root lower leaf upper", "lower upper root", True, ""),
    "no root": ("upper lower", "lower upper", False, ""),
    "a gap": ("root lower", "lower", False, "root"),
    "a leaf alone": ("", "", False, ""),
    "the issuer's name on another key": ("other_lower lower upper root", "lower upper root", True, "other_lower"),
    "the issuer's name on another key alone": ("other_lower", "", False, "other_lower"),
    "the same twice": ("lower lower lower", "lower", False, ""),
    "an expired issuer beside the valid one": ("expired_lower lower upper root", "lower upper root", True, ""),
    "a future issuer beside the valid one": ("future_lower lower upper root", "lower upper root", True, ""),
    "a future issuer beside the valid one, without a root": ("future_lower lower upper", "lower upper", False, ""),
    "an expired issuer alone": ("expired_lower upper root", "expired_lower upper root", True, ""),
    "an expired and a future issuer": ("expired_lower future_lower", "future_lower", False, ""),
    "two valid issuers": ("lower longer_lower upper root", "longer_lower upper root", True, ""),
    "a cross-signed root": ("cross_root root lower upper", "lower upper root", True, ""),
    "a cross-signed root alone": ("cross_root lower upper", "lower upper cross_root", False, ""),
    "a cross-signed root with its root": (
        "cross_root old_root lower upper", "lower upper cross_root old_root", True, "",
    ),
    "a cross-signed root with an expired root": (
        "cross_root expired_old_root root lower upper", "lower upper root", True, "",
    ),
    "an expired root beside the valid one": ("expired_root root lower upper", "lower upper root", True, ""),
    "an expired root beside a cross-signed one": (
        "expired_root cross_root lower upper", "lower upper cross_root", False, "",
    ),
    "an expired root alone": ("expired_root lower upper", "lower upper expired_root", True, ""),
}  # fmt: skip


@pytest.mark.parametrize("case", TABLE)
def test_the_chain_is_the_same_in_every_order(case, family):
    came, chain, is_complete, unrelated = TABLE[case]
    others = [getattr(family, one) for one in came.split()]
    expected = Chain(
        tuple(getattr(family, one) for one in chain.split()),
        is_complete,
        tuple(getattr(family, one) for one in unrelated.split()),
    )

    for order in itertools.islice(itertools.permutations(others), 24):
        assert build_chain(family.leaf, order, NOW) == expected


def test_a_certificate_of_no_use_is_left_out_and_named(family):
    chain = build_chain(family.leaf, [CA, family.lower], NOW)

    assert chain == Chain((family.lower,), False, (CA,))


def test_a_self_signed_leaf_is_a_whole_chain(family):
    assert build_chain(family.root, [family.root, family.upper], NOW) == Chain((), True, (family.upper,))


def test_two_cas_that_issued_each_other_do_not_go_round_for_ever(family):
    one = issued("lower", KEYS[2], "two", KEYS[6])
    two = issued("two", KEYS[6], "lower", KEYS[2])

    assert build_chain(family.leaf, [one, two], NOW) == Chain((one, two), False)
    assert build_chain(family.leaf, [two, one, family.lower, family.upper, family.root], NOW).is_complete


def test_a_wrong_key_identifier_does_not_hide_the_issuer():
    wrong = x509.AuthorityKeyIdentifier(b"wrong", None, None)
    own = x509.SubjectKeyIdentifier.from_public_key(KEYS[0].public_key())
    root = parsed(build(own, subject=a_name("root"), issuer=(a_name("root"), KEYS[0]), key=KEYS[0]))
    leaf = parsed(build(wrong, issuer=(a_name("root"), KEYS[0])))

    assert build_chain(leaf, [root], NOW) == Chain((root,), True)


def test_names_are_compared_without_case_and_runs_of_spaces():
    root = parsed(build(subject=a_name("The  Root"), issuer=(a_name("the root"), KEYS[0]), key=KEYS[0]))
    leaf = parsed(build(issuer=(a_name("THE ROOT"), KEYS[0])))

    assert build_chain(leaf, [root], NOW) == Chain((root,), True)


def test_a_key_identifier_that_another_key_claims_does_not_decide():
    claimed = x509.SubjectKeyIdentifier.from_public_key(KEYS[0].public_key())
    wanted = x509.AuthorityKeyIdentifier.from_issuer_public_key(KEYS[0].public_key())
    right = parsed(build(claimed, subject=a_name("CA"), issuer=(a_name("CA"), KEYS[0]), key=KEYS[0]))
    wrong = parsed(
        build(
            claimed, subject=a_name("CA"), issuer=(a_name("CA"), KEYS[1]), key=KEYS[1],
            valid=(NOW - DAY, NOW + 9 * YEAR),
        )
    )  # fmt: skip
    leaf = parsed(build(wanted, issuer=(a_name("CA"), KEYS[0])))

    for order in ([right, wrong], [wrong, right]):
        assert build_chain(leaf, order, NOW) == Chain((right,), True, (wrong,))


def test_signatures_by_pss_decide_as_others_do():
    key, other = an_rsa_key(), an_rsa_key(2048, 1)
    assert isinstance(key, rsa.RSAPrivateKey)
    scheme = padding.PSS(padding.MGF1(hashes.SHA256()), 32)

    def signed(subject: str, own: object) -> Certificate:
        builder = x509.CertificateBuilder(a_name("CA"), a_name(subject), own, 5, NOW - DAY, NOW + DAY)
        content = builder.sign(key, hashes.SHA256(), rsa_padding=scheme).public_bytes(Encoding.DER)
        return parse_certificate(content)

    root, wrong = signed("CA", key.public_key()), signed("CA", other.public_key())
    leaf = signed("leaf", KEYS[0].public_key())

    assert build_chain(leaf, [wrong, root], NOW) == Chain((root,), True, (wrong,))


def a_level(level: int, above: int, variant: int, *, with_identifiers: bool) -> Certificate:
    """One form of the CA of a level: valid, renewed for longer, expired or not begun."""
    begins, ends = [(-DAY, YEAR), (-DAY, 2 * YEAR), (-YEAR, -DAY), (DAY, 3 * YEAR)][variant]
    return issued(
        f"CA {level}", KEYS[level], f"CA {above}", KEYS[above],
        begins=begins, ends=ends, with_identifiers=with_identifiers,
    )  # fmt: skip


@given(
    levels=st.integers(1, 5),
    variants=st.lists(st.sets(st.integers(0, 3), min_size=1, max_size=2), min_size=5, max_size=5),
    has_cross=st.booleans(),
    with_identifiers=st.booleans(),
    seed=st.randoms(use_true_random=False),
)
@settings(deadline=None, max_examples=60)
def test_chains_of_renewed_and_cross_signed_cas_do_not_depend_on_the_order(
    levels: int, variants: list[set[int]], has_cross: bool, with_identifiers: bool, seed: random.Random
) -> None:
    top = levels - 1
    forms = [
        {
            v: a_level(level, min(level + 1, top), v, with_identifiers=with_identifiers)
            for v in variants[level]
        }
        for level in range(levels)
    ]
    others = [one for each in forms for one in each.values()]
    if has_cross:
        others.append(issued(f"CA {top}", KEYS[top], "elsewhere", KEYS[7], with_identifiers=with_identifiers))
    leaf = issued("leaf", KEYS[6], "CA 0", KEYS[0], with_identifiers=with_identifiers)
    expected = build_chain(leaf, others, NOW)
    seed.shuffle(others)

    assert build_chain(leaf, others, NOW) == expected
    assert expected.unrelated == ()
    for level, found in enumerate(expected.certificates[:top]):
        valid = variants[level] & {0, 1}
        assert (
            found == forms[level][max(valid or variants[level], key=lambda v: (v in {0, 1}, [1, 2, 0, 3][v]))]
        )
    if variants[top] & {0, 1}:
        assert expected.is_complete


def test_a_hostile_set_of_certificates_costs_few_verifications(monkeypatch):
    verified = []
    verify = chains.is_signed_by
    monkeypatch.setattr(chains, "is_signed_by", lambda *ders: verified.append(ders) or verify(*ders))
    same = a_name("same")
    others = [parsed(build(subject=same, issuer=(same, KEYS[n % 8]), serial=n + 1)) for n in range(20)]
    leaf = parsed(build(issuer=(same, KEYS[7])))
    found = build_chain(leaf, others, NOW)

    assert len(verified) <= chains.MOST_VERIFICATIONS
    for _ in range(5):
        random.shuffle(others)
        assert build_chain(leaf, others, NOW) == found


def test_an_odd_ca_certificate_stands_in_the_chain():
    key = an_ec_key()
    odd_name = forge.name((forge.CN, forge.PRINTABLE, b"A&B CA"))
    root = parse_certificate(forge.certificate(KEYS[0], subject=odd_name, issuer=odd_name, signer=KEYS[0]))
    leaf = parse_certificate(forge.certificate(key, issuer=odd_name, signer=KEYS[0]))

    assert build_chain(leaf, [root], NOW) == Chain((root,), True)


def has_a_way(name: str, edges: set[tuple[str, str]], used: frozenset[str] = frozenset()) -> bool:
    """Whether issuers lead from a name to a self-signed one: the definition, without any cleverness."""
    issuers = {above for below, above in edges if below == name}
    return name in issuers or any(has_a_way(one, edges, used | {name}) for one in issuers - used - {name})


@given(
    edges=st.sets(st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=10),
    seed=st.randoms(use_true_random=False),
)
@settings(deadline=None, max_examples=80)
def test_in_any_net_of_cross_signed_cas_a_root_is_found_where_one_can_be_reached(
    edges: set[tuple[int, int]], seed: random.Random
) -> None:
    others = [
        issued(f"CA {below}", KEYS[below], f"CA {above}", KEYS[above], ends=YEAR + seed.randrange(9) * DAY)
        for below, above in sorted(edges)
    ]
    leaf = issued("leaf", KEYS[6], "CA 0", KEYS[0])
    found = build_chain(leaf, others, NOW)
    seed.shuffle(others)

    assert build_chain(leaf, others, NOW) == found
    links = [leaf, *found.certificates]
    assert all(below.facts.issuer == above.facts.subject for below, above in itertools.pairwise(links))
    keys = [link.facts.public_key_sha256 for link in links]
    assert len(set(keys)) == len(keys)
    named = {(f"CA {below}", f"CA {above}") for below, above in edges}
    assert found.is_complete is has_a_way("CA 0", named)
