"""Users and their roles."""

from flask import Blueprint, Response

from bulkcert.api import authorization, context
from bulkcert.api.v1.request_parts import parse_name
from bulkcert.api.v1.schemas import access, pages
from bulkcert.api.v1.views import Values, answers, reads
from bulkcert.values.pages import Page
from bulkcert.values.principals import IssuedUser, Principal, Scope

blueprint = Blueprint("users", __name__)


@blueprint.post("/users")
@authorization.needs(Scope.ADMIN)
@reads(body=access.NewUser)
@answers(access.IssuedUser, status=201)
def create(order: Values) -> IssuedUser:
    """Create a user."""
    caller = context.caller()
    return context.service().accounts.create_user(
        order["login"], order["role"], order["password"], caller.login, caller
    )


@blueprint.get("/users")
@authorization.needs(Scope.ADMIN)
@reads(query=pages.PageQuery)
@answers(access.User)
def index(query: Values) -> Page[Principal]:
    """List users, the oldest first."""
    return context.service().accounts.users(**query)


@blueprint.post("/users/<login>/disable")
@authorization.needs(Scope.ADMIN)
@reads()
@answers(access.User)
def disable(login: str) -> Principal:
    """Disable a user."""
    caller, name = context.caller(), parse_name(login, "user")
    return context.service().accounts.disable_user(name, caller.login, caller)


@blueprint.post("/users/<login>/role")
@authorization.needs(Scope.ADMIN)
@reads(body=access.NewRole)
@answers(access.User)
def change_role(order: Values, login: str) -> Principal:
    """Change the role of a user."""
    caller, name = context.caller(), parse_name(login, "user")
    return context.service().accounts.change_role(name, order["role"], caller.login, caller)


@blueprint.post("/users/<login>/password")
@authorization.needs(Scope.ADMIN)
@reads(body=access.NewPassword)
@answers(access.IssuedUser)
def set_password(order: Values, login: str) -> IssuedUser:
    """Set the password of a user."""
    caller, name = context.caller(), parse_name(login, "user")
    return context.service().accounts.set_password(name, order["password"], caller.login, caller)


@blueprint.post("/password")
@authorization.authenticated
@reads(body=access.OwnPassword)
def change_own_password(order: Values) -> Response:
    """Change the password of the caller."""
    context.service().accounts.change_own_password(context.caller(), order["current"], order["new"])
    return Response(status=204)
