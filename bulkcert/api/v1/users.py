"""Users and their roles."""

from flask import Blueprint, Response, jsonify

from bulkcert.api import authorization, context
from bulkcert.api.parsing import read_json, read_query
from bulkcert.api.v1.answers import dump_page
from bulkcert.api.v1.request_parts import parse_name
from bulkcert.api.v1.schemas import access, pages
from bulkcert.values.principals import IssuedUser, Scope

blueprint = Blueprint("users", __name__)


@blueprint.post("/users")
@authorization.needs(Scope.ADMIN)
def create() -> Response:
    """Make a user."""
    read_query(pages.Nothing())
    order = read_json(access.NewUser())
    caller = context.caller()
    made = context.service().accounts.create_user(
        order["login"], order["role"], order["password"], caller.login, caller
    )
    response = _answer(made)
    response.status_code = 201
    return response


@blueprint.get("/users")
@authorization.needs(Scope.ADMIN)
def index() -> Response:
    """List users, the oldest first."""
    page = context.service().accounts.users(**read_query(pages.PageQuery()))
    return jsonify(dump_page(page, access.User()))


@blueprint.post("/users/<login>/disable")
@authorization.needs(Scope.ADMIN)
def disable(login: str) -> Response:
    """Disable a user."""
    read_query(pages.Nothing())
    caller = context.caller()
    user = context.service().accounts.disable_user(parse_name(login, "user"), caller.login, caller)
    return jsonify(access.User().dump(user))


@blueprint.post("/users/<login>/role")
@authorization.needs(Scope.ADMIN)
def change_role(login: str) -> Response:
    """Give a user another role."""
    read_query(pages.Nothing())
    order = read_json(access.NewRole())
    caller = context.caller()
    user = context.service().accounts.change_role(
        parse_name(login, "user"), order["role"], caller.login, caller
    )
    return jsonify(access.User().dump(user))


@blueprint.post("/users/<login>/password")
@authorization.needs(Scope.ADMIN)
def set_password(login: str) -> Response:
    """Give a user another password."""
    read_query(pages.Nothing())
    order = read_json(access.NewPassword())
    caller = context.caller()
    return _answer(
        context.service().accounts.set_password(
            parse_name(login, "user"), order["password"], caller.login, caller
        )
    )


@blueprint.post("/password")
@authorization.authenticated
def change_own_password() -> Response:
    """Change one's own password."""
    read_query(pages.Nothing())
    order = read_json(access.OwnPassword())
    context.service().accounts.change_own_password(context.caller(), order["current"], order["new"])
    return Response(status=204)


def _answer(issued: IssuedUser) -> Response:
    return jsonify(access.IssuedUser().dump(issued))
