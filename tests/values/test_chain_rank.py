"""Which of two chains is the better one."""

import pytest

from bulkcert.values.chain_rank import ChainLink, is_better_chain
from tests.builders import DAY, NOW


def a_link(days: int = 100, *, root: bool = False, begins: int = -100) -> ChainLink:
    return ChainLink(1, NOW + begins * DAY, NOW + days * DAY, root)


ISSUER, ENDED, RENEWED, LATER = a_link(), a_link(-1), a_link(300), a_link(begins=1)
ROOT, ENDED_ROOT, LASTING_ROOT = a_link(root=True), a_link(-1, root=True), a_link(900, root=True)


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        ((ISSUER,), ()),
        ((ENDED,), ()),
        ((ISSUER, ROOT), (ISSUER,)),
        ((ISSUER, ENDED_ROOT), (ISSUER,)),
        ((ISSUER, ROOT), (ISSUER, ENDED_ROOT)),
        ((ISSUER,), (ENDED,)),
        ((ISSUER,), (LATER,)),
        ((ISSUER,), (ENDED, ROOT)),
        ((ISSUER, ISSUER), (ISSUER,)),
        ((RENEWED, LASTING_ROOT), (ISSUER, LASTING_ROOT)),
        ((RENEWED, LASTING_ROOT), (ISSUER, ISSUER, ROOT)),
        ((ROOT,), (ISSUER, ISSUER, ISSUER)),
    ],
)
def test_the_better_chain_is_told_from_the_worse(
    better: tuple[ChainLink, ...], worse: tuple[ChainLink, ...]
) -> None:
    assert is_better_chain(better, worse, NOW)
    assert not is_better_chain(worse, better, NOW)


@pytest.mark.parametrize("chain", [(), (ISSUER,), (ISSUER, ROOT), (ENDED, ROOT)])
def test_no_chain_is_better_than_itself(chain: tuple[ChainLink, ...]) -> None:
    assert not is_better_chain(chain, chain, NOW)
