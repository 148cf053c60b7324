"""The two APIs over HTTP. Flask, marshmallow and JWT are known here alone."""
