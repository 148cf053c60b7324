"""Schemas of requests and answers of `/api/v1`.

A request with an unknown name is refused. The members of an answer are written in the order of their schema.
"""
