"""What `serve`, `check` and `db upgrade --finish` look at."""

from itertools import islice

from bulkcert.config import Config
from bulkcert.deployments.mdm.assembly import make_mdm
from bulkcert.errors import ForgedRows
from bulkcert.opening.opener import Layers, require_layers
from bulkcert.store.clock import utc_now
from bulkcert.wiring.deployer import mdm_rules
from bulkcert.wiring.installation import open_installation
from bulkcert.wiring.proofs import bind_keys, find_forged, is_finished

_MOST_NAMED = 50
"""Rows that were altered, as one message names them."""


def check_start(config: Config) -> bool:
    """Raise where the service would not start, and leave no connection open (before processes fork).

    Tells whether an MDM server is set, so that there is something for a deployer to do.
    """
    store, vault = open_installation(config)
    try:
        return make_mdm(store, vault, utc_now, mdm_rules(config)).servers.is_set()
    finally:
        store.close()


def check_rows(config: Config) -> str:
    """Raise `ForgedRows` where rows were altered by hand; raises as `connect` does, too.

    Returns whether all of them are demanded to be signed.
    """
    store, vault = open_installation(config)
    try:
        if forged := list(islice(find_forged(store, vault, utc_now()), _MOST_NAMED + 1)):
            more = " and more" if len(forged) > _MOST_NAMED else ""
            raise ForgedRows(f"Not as the service wrote them: {', '.join(forged[:_MOST_NAMED])}{more}.")
        return (
            "all of them" if is_finished(store) else "keys only, until `bulkcert db upgrade --finish` is run"
        )
    finally:
        store.close()


def finish_upgrade(config: Config) -> int:
    """Bind every key to its row and demand it from then on; returns how many keys were sealed anew.

    Machines of an earlier release must have been stopped. Raises as `connect` does.
    """
    store, vault = open_installation(config)
    try:
        return bind_keys(store, vault)
    finally:
        store.close()


def check_confinement(config: Config) -> Layers:
    """Return the layers that confine opening processes; raises `NotConfined` where settings demand more."""
    return require_layers(config.limits, is_demanded=config.require_confinement)
