"""Writes a campaign's keywords and its golden set."""

from campaigns.models import Campaign
from coolthing_site.seeding.report import Report
from coolthing_site.seeding.shape import CampaignPart
from coolthing_site.seeding.writing import drop, put
from panelkit.labels import clipped
from parser.lab.keyword_saving import keywords_changing
from parser.models import GoldenText, Keyword, MatchingSettings

# The user of the changes in the history of a campaign's keywords.
_BY = "the seed file"


def write_keywords(report: Report, campaign: Campaign, part: CampaignPart) -> None:
    # The golden set first: the version of the keywords records its result.
    _golden_texts(report, campaign, part)
    _matching_settings(report, campaign, part)
    _keywords(report, campaign, part)


def _matching_settings(report: Report, campaign: Campaign, part: CampaignPart) -> None:
    values = {
        "languages": list(part.keywords.languages),
        "ignore_diacritics": part.keywords.ignore_diacritics,
    }
    is_default = not any(values.values())
    if is_default and not MatchingSettings.objects.filter(campaign=campaign).exists():
        return
    put(report, MatchingSettings, {"campaign": campaign}, values, name=campaign.slug)


def _keywords(report: Report, campaign: Campaign, part: CampaignPart) -> None:
    kept = []
    with keywords_changing(campaign_ids=[campaign.pk], by=_BY):
        for kind, texts in (("plus", part.keywords.plus), ("minus", part.keywords.minus)):
            for text in texts:
                where = {"campaign": campaign, "kind": kind, "text": text}
                kept.append(put(report, Keyword, where, {}, name=f"{campaign.slug}: {kind} {text}").pk)
        drop(report, campaign.keywords.exclude(pk__in=kept), name=f"{campaign.slug}: {{}}")


def _golden_texts(report: Report, campaign: Campaign, part: CampaignPart) -> None:
    """Write the file's golden texts. Those that operators have added stay; of equal texts the file's answer counts."""
    kept = []
    at_first = {"source": GoldenText.Source.SEED, "by": _BY}
    for wanted, texts in ((True, part.golden.wanted), (False, part.golden.unwanted)):
        for text in texts:
            where, name = {"campaign": campaign, "text": text}, f"{campaign.slug}: {clipped(text)}"
            kept.append(put(report, GoldenText, where, {"wanted": wanted}, name=name, at_first=at_first).pk)
    gone = campaign.golden_texts.filter(source=GoldenText.Source.SEED).exclude(pk__in=kept)
    drop(report, gone, name=f"{campaign.slug}: {{}}")
