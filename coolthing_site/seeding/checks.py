"""Checks across the parts of a seed file: unique names, valid references, texts that may be sent."""

import random
from collections.abc import Iterator
from itertools import islice

from campaigns.identifiers import is_person_id
from campaigns.policy.disclosure import is_disclosed
from campaigns.policy.quiet_hours import is_time_zone
from coolthing_site.seeding.problems import Path, Problem
from coolthing_site.seeding.references import bot_reference_problem, chat_problem, repeated
from coolthing_site.seeding.script_checks import script_problems
from coolthing_site.seeding.shape import BudgetPart, CampaignPart, ChatPart, SeedFile
from notifier.channels.addresses import address_problem
from parser.keywords.checks import keyword_problem
from parser.lab.golden import MOST_GOLDEN_TEXTS
from scripts.checks import text_problem
from texts import spintax

# All variants of a first contact are checked if there are at most this many; otherwise this many random variants.
VARIANTS_READ = 2000


def problems(seed: SeedFile) -> list[Problem]:
    """All problems across the parts of the file, in the file's order."""
    return [
        *_names(seed),
        *_permissions(seed),
        *_budgets(seed),
        *(problem for index, _ in enumerate(seed.campaigns) for problem in _campaign(seed, index)),
        *(problem for index, _ in enumerate(seed.notifier.channels) for problem in _channel(seed, index)),
    ]


def _names(seed: SeedFile) -> Iterator[Problem]:
    yield from repeated(
        ("bots",), (bot.key for bot in seed.bots), field="key", what='an earlier bot has the same key: "{}"'
    )
    yield from repeated(
        ("bots",), (bot.phone for bot in seed.bots), field="phone", what="an earlier bot has the same phone number"
    )
    yield from repeated(
        ("chats",), (c.key for c in seed.chats), field="key", what='an earlier chat has the same key: "{}"'
    )
    references = (chat.telegram.lower() for chat in seed.chats)
    yield from repeated(("chats",), references, field="telegram", what="an earlier chat has the same reference: {}")
    slugs = (campaign.slug for campaign in seed.campaigns)
    yield from repeated(("campaigns",), slugs, field="slug", what='an earlier campaign has the same slug: "{}"')
    for index, chat in enumerate(seed.chats):
        purposes = (permission.purpose for permission in chat.permissions)
        path = ("chats", index, "permissions")
        yield from repeated(path, purposes, field="purpose", what='the purpose "{}" appears twice')
    yield from _script_names(seed)


def _script_names(seed: SeedFile) -> Iterator[Problem]:
    seen: set[str] = set()
    for place, campaign in enumerate(seed.campaigns):
        for index, script in enumerate(campaign.scripts):
            if script.slug in seen:
                reason = f'an earlier script has the same slug: "{script.slug}"'
                yield Problem(("campaigns", place, "scripts", index, "slug"), reason)
            seen.add(script.slug)


def _permissions(seed: SeedFile) -> Iterator[Problem]:
    for place, chat in enumerate(seed.chats):
        for index, given in enumerate(chat.permissions):
            begins = max(filter(None, (given.granted_at, given.valid_from)))
            if given.valid_until is not None and given.valid_until <= begins:
                path = ("chats", place, "permissions", index, "valid_until")
                yield Problem(path, "the permission would end before it begins")


def _budgets(seed: SeedFile) -> Iterator[Problem]:
    windows = (
        (budget.scope, budget.key, budget.purpose, budget.counts, budget.window_seconds) for budget in seed.budgets
    )
    what = "an earlier budget has the same scope, key, purpose, counts and window"
    yield from repeated(("budgets",), windows, what=what)
    named = {
        "campaign": {campaign.slug for campaign in seed.campaigns},
        "bot": {bot.key for bot in seed.bots},
        "chat": {chat.key for chat in seed.chats},
    }
    for index, budget in enumerate(seed.budgets):
        reason = _budget_key_problem(budget, named.get(budget.scope, set()))
        if reason:
            yield Problem(("budgets", index, "key"), reason)
        if budget.counts == "new_contacts" and budget.scope in ("chat", "peer"):
            reason = "new contacts can be counted only for the team, a campaign or a bot"
            yield Problem(("budgets", index, "counts"), reason)


def _budget_key_problem(budget: BudgetPart, known: set[str]) -> str:
    if not budget.key:
        return ""
    if budget.scope == "team":
        return "a budget with the scope team must not have a key"
    if budget.scope == "peer":
        return (
            "" if is_person_id(budget.key) else "the key of a budget with the scope peer must be a person's Telegram id"
        )
    return "" if budget.key in known else f'no {budget.scope} is called "{budget.key}"'


def _campaign(seed: SeedFile, index: int) -> Iterator[Problem]:
    campaign, path = seed.campaigns[index], ("campaigns", index)
    chats = {chat.key: chat for chat in seed.chats}
    roles: dict[str, str] = {bot.key: bot.role for bot in seed.bots}
    if not is_time_zone(campaign.time_zone):
        yield Problem((*path, "time_zone"), f'no time zone is called "{campaign.time_zone}" (such as Europe/Berlin)')
    if campaign.quiet_hours and campaign.quiet_hours.start == campaign.quiet_hours.end:
        yield Problem((*path, "quiet_hours"), "from and to are the same: write null if there are no quiet hours")
    yield from _first_contact(campaign, (*path, "first_contact"))
    yield from _keywords(campaign, (*path, "keywords"))
    yield from _golden(campaign, (*path, "golden"))
    yield from _managers(campaign, roles, (*path, "managers"))
    yield from _watches(campaign, roles, chats, (*path, "watches"))
    for place, script in enumerate(campaign.scripts):
        yield from script_problems(script, roles, chats, (*path, "scripts", place))


def _first_contact(campaign: CampaignPart, path: Path) -> Iterator[Problem]:
    text = campaign.first_contact
    if not text:
        if campaign.managers:
            yield Problem(path, "is missing: the campaign has managers, who need a first message")
        return
    reason = text_problem(text)
    if reason:
        yield Problem(path, reason)
        return
    for variant in _some_variants(text):
        if not is_disclosed(variant, campaign.locale):
            reason = f'does not say, in the language "{campaign.locale}", that an AI writes the message and how to stop'
            yield Problem(path, reason if variant == text else f"a variant {reason}: {variant[:80]}…")
            return


def _some_variants(text: str) -> Iterator[str]:
    if spintax.count(text) <= VARIANTS_READ:
        return islice(spintax.variants(text), VARIANTS_READ)
    return (spintax.render(text, random.Random(seed)) for seed in range(VARIANTS_READ))


def _keywords(campaign: CampaignPart, path: Path) -> Iterator[Problem]:
    kinds = (("plus", campaign.keywords.plus), ("minus", campaign.keywords.minus))
    seen: dict[str, str] = {}
    for kind, texts in kinds:
        for index, text in enumerate(texts):
            before = seen.setdefault(text.casefold(), kind)
            if before != kind or text.casefold() in {earlier.casefold() for earlier in texts[:index]}:
                yield Problem((*path, kind, index), f'"{text}" is already among the {before} keywords')
            if reason := keyword_problem(text):
                yield Problem((*path, kind, index), reason)


def _golden(campaign: CampaignPart, path: Path) -> Iterator[Problem]:
    seen: dict[str, str] = {}
    for kind, texts in (("wanted", campaign.golden.wanted), ("unwanted", campaign.golden.unwanted)):
        for index, text in enumerate(texts):
            if before := seen.get(text):
                yield Problem((*path, kind, index), f"the same text is already among the {before} ones")
            seen[text] = kind
    if len(seen) > MOST_GOLDEN_TEXTS:
        yield Problem(path, f"has {len(seen)} texts: a golden set has at most {MOST_GOLDEN_TEXTS}")


def _managers(campaign: CampaignPart, roles: dict[str, str], path: Path) -> Iterator[Problem]:
    yield from repeated(path, campaign.managers, what='"{}" appears twice')
    for index, bot in enumerate(campaign.managers):
        reason = bot_reference_problem(bot, roles, "manager")
        if reason:
            yield Problem((*path, index), reason)


def _watches(
    campaign: CampaignPart, roles: dict[str, str], chats: dict[str, ChatPart], path: Path
) -> Iterator[Problem]:
    seen: set[str] = set()
    for index, watch in enumerate(campaign.watches):
        reason = bot_reference_problem(watch.bot, roles, "parser")
        if reason:
            yield Problem((*path, index, "bot"), reason)
        for place, key in enumerate(watch.chats):
            reason = "is already watched for this campaign" if key in seen else chat_problem(key, chats, "parse")
            if reason:
                yield Problem((*path, index, "chats", place), reason)
            seen.add(key)
    if campaign.watches and not campaign.keywords.plus:
        yield Problem((*path[:-1], "keywords", "plus"), "chats are watched, but the campaign has no plus keywords")


def _channel(seed: SeedFile, index: int) -> Iterator[Problem]:
    channels, path = seed.notifier.channels, ("notifier", "channels", index)
    channel = channels[index]
    if channel.name in {earlier.name for earlier in channels[:index]}:
        yield Problem((*path, "name"), f'an earlier channel has the same name: "{channel.name}"')
    if reason := address_problem(kind=channel.kind, address=channel.address):
        yield Problem((*path, "address"), reason)
    yield from repeated((*path, "events"), channel.events, what='"{}" appears twice')
