"""Schema of workers."""

from marshmallow import Schema, fields

from bulkcert.api.v1.schemas.fields import Timestamp


class Worker(Schema):
    """A worker process, from `workers.Worker`."""

    id = fields.String()
    host = fields.String()
    process_id = fields.Integer()
    version = fields.String()
    state = fields.String()
    started_at = Timestamp()
    last_seen_at = Timestamp()
    ended_at = Timestamp()
    items_done = fields.Integer()
