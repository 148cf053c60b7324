"""The Citrix-compatible API: a thin translation to the functions that `/api/v1` calls too.

It follows the vendor's published API reference. An unknown path answers 404 in the envelope of this API.
"""

from flask import Blueprint

from bulkcert.api.citrix.answers import PREFIX, render_refusal
from bulkcert.api.citrix.authentication import log_in, log_in_to_cloud, log_out
from bulkcert.api.citrix.certificates import list_certificates
from bulkcert.api.citrix.device_certificates import import_device_certificates, remove_device_certificates
from bulkcert.api.citrix.devices import filter_devices, show_device
from bulkcert.api.citrix.server_properties import filter_server_properties

__all__ = ["blueprint", "render_refusal"]

blueprint = Blueprint("citrix", __name__, url_prefix=PREFIX)

blueprint.post("/authentication/login")(log_in)
blueprint.post("/authentication/login/cloud")(log_in_to_cloud)
blueprint.post("/authentication/logout")(log_out)
blueprint.post("/certificates/import/keystore/device")(import_device_certificates)
blueprint.post("/certificates/remove/keystore/device")(remove_device_certificates)
blueprint.get("/certificates")(list_certificates)
blueprint.get("/certificates/")(list_certificates)
blueprint.post("/device/filter/v2")(filter_devices)
blueprint.post("/device/filter", endpoint="filter_devices_as_before")(filter_devices)
blueprint.post("/serverproperties/filter")(filter_server_properties)
blueprint.get("/device/<id_except('filter'):device_id>")(show_device)
