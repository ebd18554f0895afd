"""The order of locks, as docs/architecture.md has it ("The order of locks"), for `tests.lock_watch`.

A transaction locks rows of a table only while it holds none of a table further down.
"""

# Tables by their names in the database; advisory locks by the names in `ADVISORY`.
ORDER = (
    "contents",
    "seeding",
    "erasing",
    "messaging_outboxevent",
    "messaging_handlingfailure",
    "messaging_replaybatch",
    "messaging_deadletter",
    "messaging_queuecontrol",
    "messaging_queuesample",
    "messaging_handlingbucket",
    "bots_cursor",
    "parser_hit",
    "leads of a campaign",
    "managers",
    "first contacts",
    "bots_delivery",
    "bots_masscancellation",
    "campaigns_campaign",
    "leads_conversation",
    "leads_lead",
    "scripts_run",
    "scripts_scriptforcampaign",
    "bots_presence",
    "campaigns_chat",
    "suppressions",
    "bots_bot",
    "campaigns_budget",
    "bots_host",
    "coolthing_site_process",
    "bots_trouble",
    "notifier_notification",
    "vault_keyinuse",
)

# Rows that are locked by whoever has locked the row that they belong to: then they need no place. Alone they have its.
PARTS = {
    # Most are rows that are not there yet: the lock is on the content.
    "messaging_handledcopy": "contents",
    "messaging_deadletterentry": "messaging_deadletter",
    "messaging_replayitem": "messaging_replaybatch",
    "bots_deliveryevent": "bots_delivery",
    "parser_hitrepeat": "parser_hit",
    "parser_keyword": "campaigns_campaign",
    "parser_watchedchat": "campaigns_campaign",
    "parser_matchingsettings": "campaigns_campaign",
    "parser_keywordversion": "campaigns_campaign",
    "parser_goldentext": "campaigns_campaign",
    "parser_backtest": "campaigns_campaign",
    "parser_backtestmatch": "campaigns_campaign",
    "parser_verdict": "parser_hit",
    "parser_hitlook": "parser_hit",
    "parser_secondlook": "campaigns_campaign",
    "leads_campaignmanager": "campaigns_campaign",
    "leads_message": "leads_conversation",
    "leads_unclaimedmessage": "leads_conversation",
    "leads_llmjob": "leads_conversation",
    "scripts_step": "scripts_run",
    "scripts_casting": "scripts_scriptforcampaign",
    "scripts_target": "scripts_scriptforcampaign",
    "campaigns_chatpermission": "campaigns_chat",
    # Written by itself, in one statement by ascending keys.
    "bots_forumtopic": "campaigns_chat",
    "campaigns_evidencefile": "campaigns_chat",
    # Its lock is an advisory one, since most suppressions are rows that are not there yet.
    "campaigns_suppression": "suppressions",
    "bots_botsession": "bots_bot",
    "bots_botblock": "bots_bot",
    "bots_botstatechange": "bots_bot",
    "bots_pendinglogin": "bots_bot",
    "bots_joinrequest": "bots_bot",
}

# Whose rows may be locked by one statement after another, since all who do so go by ascending keys (that is checked).
# Of every other table a transaction locks its rows by one statement.
ASCENDING = {
    "leads of a campaign",
    "managers",
    "scripts_run",  # the watchdog sorts its incidents
    "bots_bot",  # the rotation of keys goes by primary key
    "bots_botsession",
    "messaging_queuecontrol",  # a service's queues, by name
    "coolthing_site_process",  # those that were replaced, by name
}

# Not looked at, and why no circle can come of it.
FREE = {
    # Written by the handler of an event under the record of that event alone, which nobody else has.
    "messaging_processedevent",
    # That it was used is noted by itself, before a request does anything.
    "coolthing_site_apitoken",
    # What operators write in forms, and nothing else but the seed file, one at a time: there one form at most fails.
    "scripts_script",
    "scripts_slot",
    "scripts_line",
    "notifier_channel",
    "notifier_rule",
    "auth_user",
    "auth_group",
    "auth_user_groups",
    "auth_user_user_permissions",
    "auth_group_permissions",
    # Django's own.
    "django_session",
    "django_admin_log",
    # Changed by migrations and `manage.py merge_renamed_models` alone.
    "django_content_type",
    "auth_permission",
    # Written by axes while somebody logs in, in transactions of its own.
    "axes_accessattempt",
    # Counted by one statement, a transaction of its own, before a request does anything else.
    "coolthing_site_requestcount",
    "django_celery_beat_clockedschedule",
    "django_celery_beat_crontabschedule",
    "django_celery_beat_intervalschedule",
    "django_celery_beat_periodictask",
    "django_celery_beat_periodictasks",
    "django_celery_beat_solarschedule",
}
