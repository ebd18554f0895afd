"""The sidebar. It contains every registered model; each user sees the models that they may view."""

from typing import Any, NamedTuple

from django.apps import apps
from django.conf import settings
from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse

from panelkit import rights


class Page(NamedTuple):
    model: str
    icon: str
    title: str = ""


GROUPS: dict[str, tuple[Page, ...]] = {
    "Scripts": (
        Page("scripts.Assignment", "theater_comedy", "Assignments"),
        Page("scripts.Play", "play_circle", "Plays"),
        Page("scripts.Script", "description"),
        Page("scripts.Line", "format_quote"),
        Page("scripts.Slot", "recent_actors"),
        Page("scripts.Casting", "assignment_ind"),
        Page("scripts.Target", "my_location"),
        Page("scripts.Step", "format_list_numbered"),
    ),
    "Leads": (
        Page("leads.Conversation", "forum"),
        Page("leads.Lead", "person_search"),
        Page("parser.Hit", "manage_search"),
        Page("parser.Verdict", "thumbs_up_down"),
        Page("parser.HitRepeat", "content_copy"),
        Page("parser.HitLook", "find_in_page", "Second looks"),
        Page("leads.Message", "chat_bubble"),
        Page("leads.LlmJob", "smart_toy", "LLM jobs"),
        Page("leads.UnclaimedMessage", "help"),
    ),
    "Accounts & deliveries": (
        Page("bots.Bot", "badge"),
        Page("bots.Delivery", "outgoing_mail"),
        Page("bots.DeliveryEvent", "timeline", "Delivery events"),
        Page("bots.MassCancellation", "playlist_remove", "Cancellations"),
        Page("bots.Incident", "warning"),
        Page("bots.BotBlock", "timer", "Flood waits"),
        Page("bots.BotStateChange", "history", "State changes"),
        Page("bots.Host", "dns", "Workers"),
        Page("bots.BotSession", "key", "Sessions"),
        Page("bots.PendingLogin", "login", "Unfinished logins"),
        Page("bots.Cursor", "bookmark"),
        Page("bots.Presence", "how_to_reg"),
        Page("bots.ForumTopic", "tag"),
        Page("bots.JoinRequest", "group_add"),
    ),
    "Campaigns & chats": (
        Page("campaigns.Campaign", "campaign"),
        Page("campaigns.Chat", "groups"),
        Page("campaigns.ChatPermission", "verified_user", "Permissions"),
        Page("campaigns.EvidenceFile", "attach_file"),
        Page("campaigns.Suppression", "do_not_disturb_on"),
        Page("campaigns.HashKey", "fingerprint"),
        Page("campaigns.Budget", "speed"),
        Page("parser.Keyword", "search"),
        Page("parser.MatchingSettings", "translate"),
        Page("parser.KeywordVersion", "history", "Keyword versions"),
        Page("parser.GoldenText", "fact_check", "Golden sets"),
        Page("parser.Backtest", "history_toggle_off"),
        Page("parser.BacktestMatch", "difference"),
        Page("parser.SecondLook", "rule", "Second look settings"),
        Page("parser.WatchedChat", "visibility"),
        Page("parser.ReadTally", "bar_chart"),
        Page("parser.DiscussionPost", "comment"),
        Page("leads.CampaignManager", "support_agent", "Managers"),
    ),
    "Bus": (
        Page("messaging.DeadLetter", "markunread_mailbox"),
        Page("messaging.ReplayBatch", "replay", "Replays"),
        Page("messaging.ReplayItem", "published_with_changes"),
        Page("messaging.DeadLetterEntry", "history", "Dead letter history"),
        Page("messaging.OutboxEvent", "outbox", "Outbox"),
        Page("messaging.QueueControl", "pause_circle", "Paused queues"),
        Page("messaging.HandlingFailure", "error", "Handling failures"),
        Page("messaging.ProcessedEvent", "task_alt"),
        Page("messaging.HandledCopy", "content_copy"),
        Page("coolthing_site.Process", "memory"),
        Page("messaging.QueueSample", "query_stats"),
        Page("messaging.HandlingBucket", "bar_chart", "Handler timings"),
    ),
    "Settings": (
        Page("notifier.Channel", "notifications", "Channels"),
        Page("notifier.Rule", "rule", "Rules"),
        Page("notifier.Notification", "mark_email_read"),
        Page("django_celery_beat.PeriodicTask", "schedule"),
        Page("django_celery_beat.IntervalSchedule", "more_time", "Intervals"),
        Page("django_celery_beat.CrontabSchedule", "calendar_month", "Crontabs"),
        Page("django_celery_beat.ClockedSchedule", "alarm", "Clocked schedules"),
        Page("django_celery_beat.SolarSchedule", "sunny", "Solar schedules"),
        Page("auth.User", "person"),
        Page("auth.Group", "group"),
        Page("coolthing_site.RequestCount", "speed", "API requests"),
        Page("axes.AccessAttempt", "lock_person", "Failed logins"),
        Page("coolthing_site.ApiToken", "vpn_key", "API tokens"),
        Page("vault.KeyInUse", "encrypted", "Encryption keys"),
    ),
}


# Users who may view at least one of these models may open the trace page.
TRACE_MODELS = ("messaging.OutboxEvent", "messaging.DeadLetter", "messaging.ProcessedEvent")


def sidebar(request: HttpRequest) -> list[dict[str, Any]]:
    overview = [
        {"title": "Overview", "icon": "dashboard", "link": reverse("admin:index")},
        {
            "title": "Queues",
            "icon": "stacks",
            "link": reverse("queues"),
            "permission": lambda request: request_may_view(request, "messaging.QueueControl"),
        },
        {
            "title": "Trace",
            "icon": "timeline",
            "link": reverse("trace-search"),
            "permission": lambda request: any(request_may_view(request, model) for model in TRACE_MODELS),
        },
        {
            "title": "Gate preview",
            "icon": "help_center",
            "link": reverse("admin:bots_delivery_preview"),
            "permission": lambda request: request_may_view(request, "bots.Delivery"),
        },
        {"title": "Tasks in Flower", "icon": "local_florist", "link": settings.FLOWER_URL, "active": False},
    ]
    groups = [{"title": title, "collapsible": True, "items": _items(request, of)} for title, of in GROUPS.items()]
    return [{"items": overview}, *(group for group in groups if group["items"])]


def _items(request: HttpRequest, pages: tuple[Page, ...]) -> list[dict[str, Any]]:
    return [_item(page) for page in pages if request_may_view(request, page.model)]


def _item(page: Page) -> dict[str, Any]:
    meta = apps.get_model(page.model)._meta
    return {
        "title": page.title or str(meta.verbose_name_plural).capitalize(),
        "icon": page.icon,
        "link": reverse(f"admin:{meta.app_label}_{meta.model_name}_changelist"),
    }


def request_may_view(request: HttpRequest, model: str) -> bool:
    return rights.may_view(request.user, model)


def without_colors(_request: HttpRequest) -> dict[str, Any]:
    """The context in place of Unfold's: without colours, which Unfold would write into a <style> element."""
    return {"colors": None}


def colors(_request: HttpRequest) -> str:
    return static("panelkit/colors.css")


def htmx(_request: HttpRequest) -> str:
    return static("panelkit/htmx.js")


def stylesheet(_request: HttpRequest) -> str:
    return static("panelkit/panel.css")


def live_script(_request: HttpRequest) -> str:
    return static("panelkit/live.js")


def unsaved_script(_request: HttpRequest) -> str:
    return static("panelkit/unsaved.js")


def favicon(_request: HttpRequest) -> str:
    return static("panelkit/favicon.svg")
