"""Changes an account's role. Only the handler of the present role records what people write to the account."""

from uuid import UUID

from django.db import transaction

from bots.models import Bot
from bots.roles import why_kept
from panelkit.errors import NotPossible


def role_problem(*, bot_id: UUID, role: str) -> str:
    """Why the account cannot get this role; empty if it can get the role or already has it.

    The result stays true until the transaction ends. Lock the account's own row only after this call, which takes other
    locks.
    """
    problem = why_kept(bot_id=bot_id, role=role)
    return problem if problem and Bot.objects.filter(pk=bot_id).exclude(role=role).exists() else ""


@transaction.atomic
def role_change(*, bot_id: UUID, role: str) -> None:
    """Change an account's role. Raises NotPossible if a room needs the account in another role."""
    if problem := role_problem(bot_id=bot_id, role=role):
        raise NotPossible(problem)
    Bot.objects.filter(pk=bot_id).update(role=role)
