import json
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from campaigns.models import Campaign
from parser.keywords.compiling import KeywordSet, Term, compile_terms
from parser.keywords.explaining import Explanation, TermMatch, explain
from parser.keywords.syntax import KeywordError
from parser.lab.keyword_lists import keyword_list
from parser.lab.trying import compiled, stored_settings
from parser.models import Hit
from texts import decoding
from texts.wording import counted
from texts.words.languages import UnknownLanguage, chosen


class Command(BaseCommand):
    help = "Try keywords on texts, or show which stored hits the present keywords would not find."

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        tried = actions.add_parser("try", help="read texts from standard input, one per line, and explain each")
        source = tried.add_mutually_exclusive_group(required=True)
        source.add_argument("--campaign", metavar="SLUG", help="the keywords and matching settings of this campaign")
        source.add_argument(
            "--terms",
            type=Path,
            metavar="FILE",
            help="a file with one keyword per line; a line that begins with - is a minus keyword",
        )
        tried.add_argument(
            "--language",
            default="",
            metavar="ru[,uk…]",
            help="the keywords' languages (default: detect; needs --terms)",
        )
        tried.add_argument("--json", action="store_true", help="print one JSON object per text")
        rechecked = actions.add_parser("recheck", help="list the stored hits that the present keywords would not find")
        rechecked.add_argument("--campaign", metavar="SLUG", required=True)
        rechecked.add_argument("--json", action="store_true", help="print one JSON object per hit")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["action"] == "recheck":
            self._recheck(options)
            return
        keywords = self._keywords(options)
        for line in sys.stdin:
            text = line.rstrip("\r\n")
            if text.strip():
                explanation = explain(text, keywords)
                self.stdout.write(_as_json(text, explanation) if options["json"] else _in_words(text, explanation))

    def _recheck(self, options: dict[str, Any]) -> None:
        campaign = _campaign(options["campaign"])
        keywords = compiled(keyword_list(campaign_id=campaign.pk), stored_settings(campaign_id=campaign.pk))
        number = lost = 0
        for hit in Hit.objects.filter(campaign=campaign).order_by("-created_at").iterator():
            number += 1
            explanation = explain(hit.text, keywords)
            if explanation.hit:
                continue
            lost += 1
            if options["json"]:
                values = {"id": str(hit.pk), "keyword": hit.keyword, "text": hit.text, "reason": explanation.reason}
                self.stdout.write(json.dumps(values, ensure_ascii=False))
            else:
                self.stdout.write(f"{hit.said_at:%Y-%m-%d %H:%M}  {hit.keyword}  {explanation.reason}\n    {hit.text}")
        if not options["json"]:
            self.stdout.write(f"{lost} of {counted(number, 'stored hit')} would not be found by the present keywords.")

    def _keywords(self, options: dict[str, Any]) -> KeywordSet:
        if options["campaign"] is not None:
            if options["language"]:
                raise CommandError("--language needs --terms: a campaign's languages are in its matching settings")
            campaign = _campaign(options["campaign"])
            return compiled(keyword_list(campaign_id=campaign.pk), stored_settings(campaign_id=campaign.pk))
        languages = [code.strip() for code in options["language"].split(",") if code.strip()]
        try:
            chosen(languages)
        except UnknownLanguage as problem:
            raise CommandError(str(problem)) from None
        return _compile(options["terms"], languages)


def _campaign(slug: str) -> Campaign:
    campaign = Campaign.objects.filter(slug=slug).first()
    if campaign is None:
        raise CommandError(f"there is no campaign with the slug {slug!r}")
    return campaign


def _compile(path: Path, languages: list[str]) -> KeywordSet:
    """The file's keywords. Raises CommandError with all lines that cannot be read."""
    problems = []
    terms = []
    for number, term in _terms(path):
        try:
            compile_terms([term], languages)
        except KeywordError as problem:
            problems.append(f"{path}, line {number}: {problem}")
        terms.append(term)
    if problems:
        raise CommandError("\n".join(problems))
    return compile_terms(terms, languages)


def _terms(path: Path) -> Iterator[tuple[int, Term]]:
    try:
        text = decoding.decode(path.read_bytes()).text
    except OSError as problem:
        raise CommandError(f"cannot read {path}: {problem.strerror}") from None
    for number, line in enumerate(text.splitlines(), start=1):
        keyword = line.strip()
        if keyword:
            minus = keyword.startswith("-")
            yield number, Term(keyword[1:].strip() if minus else keyword, minus=minus)


def _as_json(text: str, explanation: Explanation) -> str:
    values = {
        "text": text,
        "hit": explanation.hit,
        "terms": [_match(match) for match in explanation.terms],
        "minus": [_match(match) for match in explanation.minus],
        "near_misses": [
            {"term": miss.term, "spans": [list(span) for span in miss.spans], "reason": miss.reason}
            for miss in explanation.near_misses
        ],
        "reason": explanation.reason,
    }
    return json.dumps(values, ensure_ascii=False)


def _match(match: TermMatch) -> dict[str, Any]:
    return {"term": match.term, "spans": [list(span) for span in match.spans], "rule": match.rule}


def _in_words(text: str, explanation: Explanation) -> str:
    if not explanation.hit:
        return f"no   {text}\n     {explanation.reason}"
    found = "; ".join(f"{match.term} ({match.rule})" for match in explanation.terms)
    return f"hit  {_marked(text, explanation)}\n     {found}"


def _marked(text: str, explanation: Explanation) -> str:
    """The text with its matches in brackets."""
    ends = {end for match in explanation.terms for _, end in match.spans}
    starts = {start for match in explanation.terms for start, _ in match.spans}
    marked = ("]" * (at in ends) + "[" * (at in starts) + text[at : at + 1] for at in range(len(text) + 1))
    return "".join(marked)
