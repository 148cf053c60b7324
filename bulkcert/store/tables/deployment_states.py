"""What several statements about deployments write alike."""

import sqlalchemy as sa

from bulkcert.store.tables.deployments import deployments
from bulkcert.values.policies import DeploymentState

ENDED_LEASE = {"lease": None, "leased_until": None, "leased_by": None}
NO_ERROR = {"error_code": None, "error_detail": None}

IS_LEAVING = deployments.c.certificate_id.is_(None)
"""Nothing is wanted on the device: what it has is to be taken off."""

READY = sa.case((IS_LEAVING, DeploymentState.REMOVING), else_=DeploymentState.PENDING)
"""The state of what is to be carried, to a device or off it."""
