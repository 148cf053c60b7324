"""A chunk whose opening ends early (the database is away, say) leaves no answers to the next one.

If it did, devices would get the keys of others.
"""

import io
import zipfile
from collections.abc import Iterable
from pathlib import Path

from bulkcert.opening.opener import Opener
from bulkcert.values.certificates import OpenedCertificate
from bulkcert.values.limits import Limits
from bulkcert.values.secret import Secret
from tests.faults.fleet import Fleet, a_fleet
from tests.formats.pkcs12.forge import PASSWORD


def files(fleet: Fleet) -> list[tuple[bytes, Secret]]:
    with zipfile.ZipFile(io.BytesIO(fleet.bundle)) as archive:
        return [(archive.read(f"{identity}.p12"), Secret(PASSWORD.encode())) for identity in fleet.keys]


def owners(results: Iterable[object], *fleets: Fleet) -> list[str]:
    """Whose key each result holds."""
    names = {key: identity for fleet in fleets for identity, key in fleet.keys.items()}
    return [names[each.private_key.reveal()] for each in results if isinstance(each, OpenedCertificate)]


def test_the_files_after_those_that_were_left_early_get_their_own_answers(tmp_path: Path) -> None:
    first, second = a_fleet(tmp_path, "EARLY1", 20), a_fleet(tmp_path, "EARLY2", 20)
    opener = Opener(Limits())
    try:
        left = opener.open_all(files(first))
        next(left)  # and no more, but it lives on: in the traceback of what ended it, say
        begun = opener.open_all(files(second))
        found = [next(begun)]
        del left  # it ends only now, in the middle of others
        found += begun

        assert owners(found, first, second) == list(second.keys)
        assert owners(opener.open_all(files(first)), first, second) == list(first.keys)
    finally:
        opener.close()
