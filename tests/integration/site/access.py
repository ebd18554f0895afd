"""Who may do what, as a table: each address of the site, and the permission that each method needs.

Rules: "anyone"; "staff" (users who may enter the panel); a permission, "view_play" for one of the model itself or
"scripts.view_play"; several joined by "&" (all of them) or "|" (one of them); "never" (403 also for superusers: what
happened is not rewritten); "405" (no such method); "404" (nothing there for users who lack it, see below). Users who
may change rows may view them. Every page of the panel sends users who are not staff to the login page.
"""

from typing import NamedTuple

# Beside a model: which of its pages "add", "change", "delete" do something, each for whoever has that permission (a
# deletion also needs those for what goes with the row); then its operations, which need the permission to change it
# unless another is named. Lists, pages, histories and live parts are for whoever may view the model.
MODELS = """
auth.group                         add change delete
auth.user                          add+auth.change_user change delete+coolthing_site.delete_apitoken
axes.accessattempt                 - : unlock=auth.change_user
bots.bot                           add change delete : stop start release log_out
bots.botblock                      -
bots.botsession                    -
bots.botstatechange                -
bots.cursor                        -
bots.delivery                      - : cancel said not_said
bots.deliveryevent                 -
bots.forumtopic                    -
bots.host                          - : drain undrain
bots.incident                      -
bots.masscancellation              - : stop
bots.pendinglogin                  -
bots.presence                      -
bots.joinrequest                   -
campaigns.budget                   add change delete
campaigns.campaign                 add change delete : start pause resume finish
campaigns.chat                     add change delete : new_chat look_again resume
campaigns.chatpermission           add : resume file revoke
campaigns.evidencefile             -
campaigns.hashkey                  -
campaigns.suppression              add delete
coolthing_site.apitoken            add delete
coolthing_site.process             -
coolthing_site.requestcount        -
django_celery_beat.clockedschedule   add change delete
django_celery_beat.crontabschedule   add change delete
django_celery_beat.intervalschedule  add change delete+django_celery_beat.delete_periodictask
django_celery_beat.periodictask      add change delete
django_celery_beat.solarschedule     add change delete
leads.campaignmanager              add change delete
leads.conversation                 - : take-over hand-back erase=campaigns.erase_person
leads.lead                         - : approve reject opt_out erase=campaigns.erase_person
leads.llmjob                       -
leads.message                      -
leads.unclaimedmessage             -
messaging.deadletter               - : replay discard reopen
messaging.deadletterentry          -
messaging.handledcopy              -
messaging.handlingbucket           -
messaging.handlingfailure          -
messaging.outboxevent              - : release give-up
messaging.processedevent           -
messaging.queuecontrol             - : pause resume
messaging.queuesample              -
messaging.replaybatch              - : stop
messaging.replayitem               -
notifier.channel                   add change delete+notifier.delete_rule+notifier.delete_notification : test
notifier.notification              -
notifier.rule                      add change delete
parser.backtest                    -
parser.backtestmatch               -
parser.discussionpost              -
parser.goldentext                  add change delete
parser.hit                         - : let_through=parser.change_hitlook reject=parser.change_hitlook
parser.hitlook                     - : let_through reject
parser.hitrepeat                   -
parser.keyword                     add change delete
parser.keywordversion              -
parser.matchingsettings            add change delete
parser.readtally                   -
parser.secondlook                  add change delete
parser.verdict                     -
parser.watchedchat                 add change delete : move cancel_move
scripts.assignment                 add change delete+scripts.delete_casting+scripts.delete_target :
    activate pause resume stop repeat
scripts.casting                    add change delete
scripts.line                       add change delete
scripts.play                       - : pause resume stop
scripts.script                     add change delete
scripts.slot                       add change delete
scripts.step                       -
scripts.target                     add change delete
vault.keyinuse                     -
"""

# The models whose rows an export of personal data contains (`privacy.registry`).
PERSON = (
    "leads.view_lead & leads.view_conversation & leads.view_message & leads.view_unclaimedmessage & leads.view_llmjob"
    " & parser.view_hit & parser.view_hitrepeat & parser.view_verdict & parser.view_goldentext"
    " & parser.view_backtestmatch & bots.view_delivery"
    " & parser.view_hitlook & parser.view_secondlook"
    " & bots.view_deliveryevent & bots.view_masscancellation"
    " & bots.view_cursor & bots.view_botblock & bots.view_incident & campaigns.view_suppression"
    " & campaigns.view_budget & notifier.view_notification & messaging.view_outboxevent"
    " & messaging.view_processedevent & messaging.view_handlingfailure & messaging.view_deadletter"
    " & messaging.view_deadletterentry & messaging.view_replaybatch & admin.view_logentry"
)
EDIT_LETTER = "messaging.change_deadletter & messaging.edit_deadletter"
LAB = "parser.view_keyword & parser.view_hit"
TRACE = "messaging.view_outboxevent | messaging.view_deadletter | messaging.view_processedevent"
QUEUES, PAUSES = "messaging.view_queuecontrol", "messaging.change_queuecontrol"


class Row(NamedTuple):
    """`refused`: what those get who lack the permission. `api`: it asks for a token or session instead of a login."""

    name: str
    get: str
    post: str
    refused: str = "403"
    api: bool = False

    @property
    def is_page(self) -> bool:
        """Of the panel."""
        return self.name.startswith(("admin:", "moved", "queue", "service", "trace"))


# Every other address, by its name.
OTHERS = (
    Row("/", "anyone", "anyone"),
    Row("health", "anyone", "405"),
    Row("metrics", "token", "405"),
    Row("assignment-progress", "scripts.view_assignment", "405", api=True),
    Row("sfc-progress", "scripts.view_assignment", "405", api=True),
    Row("moved-assignment", "staff", "staff"),
    Row("moved-play", "staff", "staff"),
    Row("moved-incident", "staff", "staff"),
    Row("queues", QUEUES, "405"),
    Row("queue-pause", PAUSES, PAUSES),
    Row("queue-resume", "405", PAUSES),
    Row("service-pause", PAUSES, PAUSES),
    Row("service-resume", "405", PAUSES),
    Row("trace-search", TRACE, "405"),
    Row("trace", TRACE, "405"),
    Row("admin:index", "staff", "staff"),
    Row("admin:search", "staff", "staff"),
    Row("admin:login", "anyone", "anyone"),
    Row("admin:logout", "405", "anyone"),
    Row("admin:password_change", "staff", "staff"),
    Row("admin:password_change_done", "staff", "405"),
    Row("admin:jsi18n", "staff", "405"),
    Row("admin:autocomplete", "bots.view_bot", "405"),
    Row("admin:view_on_site", "404", "404"),
    Row("admin:app_list", "bots.view_bot", "bots.view_bot", refused="404"),
    Row("admin:auth_user_password_change", "auth.change_user", "auth.change_user"),
    Row("admin:bots_bot_connect_account", "bots.add_bot", "bots.add_bot"),
    Row("admin:bots_bot_login", "bots.change_bot", "bots.change_bot"),
    Row("admin:bots_bot_login_progress", "bots.change_bot", "bots.change_bot"),
    Row("admin:bots_delivery_preview", "bots.view_delivery", "bots.view_delivery"),
    Row("admin:bots_delivery_preview_queued", "bots.view_delivery", "bots.view_delivery"),
    Row("admin:bots_delivery_cancel", "bots.change_delivery", "bots.change_delivery"),
    Row("admin:parser_watchedchat_balance", "parser.change_watchedchat", "parser.change_watchedchat"),
    Row("admin:campaigns_evidencefile_download", "campaigns.view_evidencefile", "campaigns.view_evidencefile", "404"),
    Row("admin:campaigns_suppression_import_file", "campaigns.add_suppression", "campaigns.add_suppression"),
    Row("admin:campaigns_suppression_export_file", "campaigns.view_suppression", "campaigns.view_suppression"),
    Row("admin:campaigns_suppression_preview", "campaigns.add_suppression", "campaigns.add_suppression"),
    Row("admin:leads_conversation_reply", "leads.change_conversation", "leads.change_conversation"),
    Row("admin:leads_lead_person", PERSON, PERSON),
    Row("admin:leads_conversation_person", PERSON, PERSON),
    Row("admin:parser_keyword_lab_judge", LAB, f"{LAB} & parser.add_verdict"),
    Row("admin:parser_keyword_lab_try", LAB, LAB),
    Row("admin:parser_keyword_lab_change", LAB, f"{LAB} & parser.add_keyword"),
    Row("admin:parser_keyword_lab_backtest", LAB, f"{LAB} & parser.add_backtest"),
    Row("admin:parser_keyword_lab_golden", LAB, f"{LAB} & parser.add_goldentext"),
    Row("admin:parser_keyword_lab_golden_export", LAB, "405"),
    Row("admin:parser_keyword_lab_precision", LAB, "405"),
    Row("admin:parser_keyword_lab_suggestions", LAB, "405"),
    Row("admin:parser_keyword_lab_versions", LAB, "405"),
    Row("admin:messaging_deadletter_replay", "messaging.change_deadletter", "messaging.change_deadletter"),
    Row("admin:messaging_deadletter_edit", EDIT_LETTER, EDIT_LETTER),
    Row("admin:messaging_deadletter_body", "messaging.view_deadletter", "messaging.view_deadletter"),
)

# Actions of lists beside "delete_selected" (delete) and those of the operations (`do_…`, the operation's permission).
ACTIONS = {
    "bots.delivery": {"cancel_selected": "bots.change_delivery"},
    "messaging.deadletter": {"replay_selected": "messaging.change_deadletter"},
    "django_celery_beat.periodictask": {
        "enable_tasks": "django_celery_beat.change_periodictask",
        "disable_tasks": "django_celery_beat.change_periodictask",
        "toggle_tasks": "django_celery_beat.change_periodictask",
        "run_tasks": "django_celery_beat.change_periodictask",
    },
}

# Deleted on their own pages only, since it depends on the row whether it may be.
ONE_BY_ONE = {"campaigns.suppression", "scripts.assignment"}
