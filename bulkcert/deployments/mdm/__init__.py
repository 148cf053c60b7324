"""The built-in deployer: carries deployments to devices through NanoMDM.

Everything that is under way stands in the database (`mdm_commands`), so that any of its processes may end
at any moment, and any other goes on. The webhook (`webhook`) notes what devices answer, and says what comes
next; the carrier (`carrier`) sends it. A 200 of the MDM server proves nothing, and an acknowledged profile
little: a deployment is `installed` when the device itself lists our profile and our certificate.
"""
