"""The page of a campaign's golden set, and the golden set as a file."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.views.decorators.http import require_http_methods, require_safe

from campaigns.models import Campaign
from panelkit import rights
from panelkit.errors import NotPossible
from parser.lab.golden import MOST_GOLDEN_TEXTS, golden_result, golden_texts
from parser.lab.golden_texts import (
    MOST_BYTES,
    AddedTexts,
    NewGoldenText,
    golden_text_delete,
    golden_texts_add,
    golden_texts_add_judged,
    golden_texts_as_csv,
    golden_texts_import,
)
from parser.lab.keyword_lists import keyword_list
from parser.lab.trying import Trial
from parser.lab_pages.base import ADD_GOLDEN, DELETE_GOLDEN, campaign_of, lab_page, lab_url
from parser.lab_pages.judging import texts_of, tried
from parser.models import GoldenText
from texts.wording import counted

_PER_PAGE = 50


@require_http_methods(["GET", "HEAD", "POST"])
def golden_view(request: HttpRequest, campaign_id: UUID) -> HttpResponse:
    """GET: the texts with their answers, wrong ones first. POST: the step `add`, `verdicts`, `import` or `delete`."""
    step = request.POST.get("step", "")
    campaign = campaign_of(request, campaign_id, to_change=DELETE_GOLDEN if step == "delete" else ADD_GOLDEN)
    given = ""
    if request.method == "POST":
        try:
            _carry_out(request, campaign, step)
            return HttpResponseRedirect(
                (request.POST.get("back") == "try" and lab_url("try", campaign_id)) or request.path
            )
        except NotPossible as refusal:
            messages.error(request, str(refusal))
            given = request.POST.get("texts", "")
    return lab_page(request, campaign, "golden", _page(request, campaign_id) | {"given": given})


def _page(request: HttpRequest, campaign_id: UUID) -> dict[str, Any]:
    rows, keywords = golden_texts(campaign_id=campaign_id), keyword_list(campaign_id=campaign_id)
    result = golden_result(rows, keywords, campaign_id=campaign_id)
    wrong = {row.pk for row in result.wrong}
    ordered = sorted(rows, key=lambda row: (row.pk not in wrong, -row.pk))
    page = Paginator(ordered, _PER_PAGE).get_page(request.GET.get("page"))
    trial = Trial(keywords, campaign_id=campaign_id) if rows else None
    return {
        "score": result.score,
        "page": page,
        "rows": [
            {"row": row, "wrong": row.pk in wrong, "tried": tried(row.text, trial)} for row in page if trial is not None
        ],
        "most": MOST_GOLDEN_TEXTS,
        "most_mb": MOST_BYTES // 2**20,
    }


def _carry_out(request: HttpRequest, campaign: Campaign, step: str) -> None:
    """Raises NotPossible; nothing has changed then."""
    by = str(request.user)
    if step == "add":
        wanted = request.POST.get("wanted") == "yes"
        texts = [NewGoldenText(text, wanted) for text in texts_of(request.POST.get("texts", ""))]
        if not texts:
            raise NotPossible("Enter at least one text.")
        source = GoldenText.Source.HAND
        _report(request, golden_texts_add(campaign_id=campaign.pk, texts=texts, source=source, by=by))
    elif step == "verdicts":
        _report(request, golden_texts_add_judged(campaign_id=campaign.pk, by=by))
    elif step == "import":
        file = request.FILES.get("file")
        if file is None:
            raise NotPossible("Choose a file.")
        if (file.size or 0) > MOST_BYTES:
            raise NotPossible(f"The file is larger than {MOST_BYTES // 2**20} MB: split it into several files.")
        _report(request, golden_texts_import(campaign_id=campaign.pk, content=file.read(), by=by))
    elif step == "delete":
        rights.require(request.user, DELETE_GOLDEN)
        number = request.POST.get("text", "")
        if number.isdecimal() and golden_text_delete(campaign_id=campaign.pk, text_id=int(number[:18])):
            messages.success(request, "The text is no longer in the golden set.")


def _report(request: HttpRequest, added: AddedTexts) -> None:
    changed = f" {counted(added.changed, 'text has', 'texts have')} another answer now." if added.changed else ""
    messages.success(request, f"{counted(added.new, 'text', 'texts')} added to the golden set.{changed}")


@require_safe
def golden_export_view(request: HttpRequest, campaign_id: UUID) -> StreamingHttpResponse:
    campaign = campaign_of(request, campaign_id)
    response = StreamingHttpResponse(
        golden_texts_as_csv(campaign_id=campaign_id), content_type="text/csv; charset=utf-8"
    )
    response.headers["Content-Disposition"] = f'attachment; filename="golden-set-{campaign.slug}.csv"'
    response.headers["Cache-Control"] = "private, no-store"
    return response
