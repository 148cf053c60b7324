"""Values and conditions of deployments that several statements share."""

import sqlalchemy as sa

from bulkcert.store.tables.deployments import deployments
from bulkcert.values.policies import DeploymentState

ENDED_LEASE = {"lease": None, "leased_until": None, "leased_by": None}
NO_ERROR = {"error_code": None, "error_detail": None}

IS_LEAVING = deployments.c.certificate_id.is_(None)
"""No certificate is wanted on the device, and its profile is to be removed."""

READY = sa.case((IS_LEAVING, DeploymentState.REMOVING), else_=DeploymentState.PENDING)
"""The state of a deployment that is ready to be installed or removed."""
