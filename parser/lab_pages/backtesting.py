"""The page of a campaign's latest backtest: start it, follow it, cancel it."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.views.decorators.http import require_http_methods

from bots.models import Bot
from campaigns.models import Campaign
from panelkit.errors import NotPossible
from panelkit.labels import short_choice
from parser.lab.backtests import (
    MOST_EXAMPLES,
    ChatProgress,
    accounts_of,
    backtest_cancel,
    backtest_start,
    progress_of,
)
from parser.lab.keyword_lists import ListDiff, ListedKeyword, from_json, keyword_list, list_diff
from parser.lab_pages.base import BACKTEST, campaign_of, lab_page, lab_url
from parser.lab_pages.changing import wanted_change
from parser.models import Backtest, BacktestMatch

# The states of an account that reads.
_CONNECTED = (Bot.State.ONLINE, Bot.State.RESTRICTED)
# Examples of each kind on the page.
_SHOWN = 30


@dataclass(frozen=True)
class ChatRow:
    """A chat's progress for the page; `waits` says why nothing is read at the moment."""

    progress: ChatProgress
    account: str
    waits: str


@require_http_methods(["GET", "HEAD", "POST"])
def backtest_view(request: HttpRequest, campaign_id: UUID) -> HttpResponse:
    """GET: the latest backtest. POST: `step=start` with a change of the keywords and `days`, or `step=cancel`."""
    campaign = campaign_of(request, campaign_id, to_change=BACKTEST)
    if request.method == "POST":
        try:
            _carry_out(request, campaign)
        except NotPossible as refusal:
            messages.error(request, str(refusal))
        return HttpResponseRedirect(lab_url("backtest", campaign_id))
    latest = Backtest.objects.filter(campaign_id=campaign_id).order_by("-created_at").first()
    return lab_page(request, campaign, "backtest", _shown(latest) if latest is not None else {})


def _carry_out(request: HttpRequest, campaign: Campaign) -> None:
    """Raises NotPossible."""
    step = request.POST.get("step")
    if step == "cancel":
        for backtest in Backtest.objects.filter(campaign=campaign, state=Backtest.State.READING):
            backtest_cancel(backtest_id=backtest.pk)
        return
    wanted = wanted_change(request, campaign.pk)
    if step != "start" or not wanted:
        raise NotPossible("Choose a new keyword first, and start the backtest from the page with its effect.")
    days = request.POST.get("days", "")
    before = keyword_list(campaign_id=campaign.pk)
    backtest_start(
        campaign_id=campaign.pk,
        before=before,
        after=wanted.result(before),
        days=int(days[:3]) if days.isdecimal() else 0,
        by=str(request.user),
    )


def _shown(backtest: Backtest) -> dict[str, Any]:
    accounts = accounts_of(backtest)
    reading = backtest.state == Backtest.State.READING
    rows = [_row(chat, accounts.get(chat.bot_id), reading=reading) for chat in progress_of(backtest)]
    diff = list_diff(from_json(backtest.before), from_json(backtest.after))
    return {
        "backtest": backtest,
        "reading": reading,
        "rows": rows,
        "read": sum(row.progress.read for row in rows),
        "diff": diff,
        "single": _single(diff),
        "gained": _examples(backtest, gained=True),
        "lost": _examples(backtest, gained=False),
        "most": MOST_EXAMPLES,
    }


def _row(chat: ChatProgress, account: Bot | None, *, reading: bool) -> ChatRow:
    if account is None:
        return ChatRow(chat, "", "The account is gone." if reading and not chat.done else "")
    waiting = reading and not chat.done and account.state not in _CONNECTED
    state = short_choice(account.get_state_display()).lower()
    return ChatRow(chat, str(account), f"waits: the account is {state}" if waiting else "")


def _single(diff: ListDiff) -> dict[str, Any] | None:
    """The one keyword that the change adds or removes; None for a change of several."""
    changed: list[tuple[ListedKeyword, bool]] = [(keyword, False) for keyword in diff.added]
    changed += [(keyword, True) for keyword in diff.removed]
    return {"keyword": changed[0][0], "remove": changed[0][1]} if len(changed) == 1 else None


def _examples(backtest: Backtest, *, gained: bool) -> list[BacktestMatch]:
    found = BacktestMatch.objects.filter(backtest=backtest, gained=gained).select_related("chat")
    return list(found.order_by("-said_at")[:_SHOWN])
