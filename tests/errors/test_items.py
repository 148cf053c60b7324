"""The list of item refusals names every one of them, each with a code of its own."""

from collections.abc import Iterator

from bulkcert.errors.items import ITEM_REFUSALS, ItemRefusal


def below(kind: type[ItemRefusal]) -> Iterator[type[ItemRefusal]]:
    for each in kind.__subclasses__():
        yield each
        yield from below(each)


def test_every_refusal_of_an_item_is_listed_once() -> None:
    assert sorted(kind.__name__ for kind in ITEM_REFUSALS) == sorted(
        kind.__name__ for kind in below(ItemRefusal)
    )


def test_no_two_of_them_have_one_code() -> None:
    assert len({kind.code for kind in ITEM_REFUSALS}) == len(ITEM_REFUSALS)
