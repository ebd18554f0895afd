"""The pages that import suppressions: an operator uploads a file, sees how it was read, and applies exactly that."""

from itertools import zip_longest
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.text import capfirst
from unfold.decorators import action
from unfold.widgets import UnfoldAdminFileFieldWidget, UnfoldAdminSelectWidget

from campaigns.suppressions import import_drafts
from campaigns.suppressions.bulk import suppressions_import, suppressions_known
from campaigns.suppressions.csv_files import MOST_BYTES, ParsedFile, read
from campaigns.suppressions.headers import COLUMNS, WORDS
from campaigns.suppressions.import_drafts import ImportDraft
from panelkit.base import PanelAdmin
from texts.decoding import ENCODINGS
from texts.tables import SEPARATORS
from texts.wording import counted

# The most lines that the panel accepts. A thread of the web server reads them, once for the preview and again when they
# are applied, which takes seconds for so many. The command reads larger files.
MOST_LINES = 100_000
COMMAND = "manage.py suppressions import FILE.csv"
_MOST_MB = MOST_BYTES // 2**20
_LIST, _IMPORT, _PREVIEW = (f"admin:campaigns_suppression_{name}" for name in ("changelist", "import_file", "preview"))
_GONE = (
    "No file is waiting to be imported. Your last file was imported or cancelled, or was deleted after an hour. Choose "
    "the file again."
)
_OTHER = (
    "Nothing was imported, because the file or its settings were changed meanwhile, perhaps in another window. Check "
    "the new preview."
)


class ImportFileForm(forms.Form):
    file = forms.FileField(
        widget=UnfoldAdminFileFieldWidget(attrs={"accept": ".csv,.tsv,.txt"}),
        help_text=f"CSV or tab-separated text, at most {_MOST_MB} MB and {MOST_LINES:,} lines. "
        f"On the server, “{COMMAND}” reads files with more lines.",
    )

    def clean_file(self) -> UploadedFile:
        file: UploadedFile = self.cleaned_data["file"]
        if (file.size or 0) > MOST_BYTES:
            raise ValidationError(f"The file is larger than {_MOST_MB} MB: split it into several files.")
        if _lines(file) > MOST_LINES:
            raise ValidationError(
                f"The file has more than {MOST_LINES:,} lines: import it on the server with “{COMMAND}”, "
                "or split it into several files."
            )
        return file


def _lines(file: UploadedFile) -> int:
    """The number of lines in any encoding, by counting line ends as bytes.

    A file that mixes LF and CR may have up to twice as many.
    """
    ends = {b"\n": 0, b"\r": 0}
    for chunk in file.chunks():
        ends = {end: count + chunk.count(end) for end, count in ends.items()}
    file.seek(0)
    return max(ends.values())


class ReadAsForm(forms.Form):
    encoding = forms.ChoiceField(
        required=False,
        choices=[("", "Detect"), *ENCODINGS.items()],
        widget=UnfoldAdminSelectWidget,
        help_text="Choose another encoding if letters in the rows below look wrong.",
    )
    separator = forms.ChoiceField(
        required=False,
        choices=[("", "Detect"), *SEPARATORS.items()],
        widget=UnfoldAdminSelectWidget,
        help_text="Choose another separator if the columns of the rows below are wrong.",
    )


class SuppressionImporting(PanelAdmin):
    def get_urls(self) -> list[URLPattern]:
        preview = self.admin_site.admin_view(self.preview_view)
        return [path("import/preview/", preview, name="campaigns_suppression_preview"), *super().get_urls()]

    @action(description="Import", url_path="import", icon="upload", permissions=["add"])
    def import_file(self, request: HttpRequest) -> HttpResponse:
        form = ImportFileForm(request.POST or None, request.FILES or None)
        if request.method == "POST" and form.is_valid():
            file = form.cleaned_data["file"]
            import_drafts.keep(request.session, ImportDraft(file.name or "the file", file.read()))
            return HttpResponseRedirect(reverse(_PREVIEW))
        context = {
            **self.admin_site.each_context(request),
            "title": "Import suppressions",
            "opts": self.opts,
            "form": form,
            "columns": COLUMNS,
            "words": [(column, ", ".join(words)) for column, words in WORDS.items()],
            "back": reverse(_LIST),
        }
        return TemplateResponse(request, "campaigns/suppressions_import.html", context)

    def preview_view(self, request: HttpRequest) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        draft = import_drafts.kept(request.session)
        if draft is None:
            self.message_user(request, _GONE, messages.WARNING)
            return HttpResponseRedirect(reverse(_IMPORT))
        return self._decide(request, draft) if request.method == "POST" else self._show(request, draft)

    def _decide(self, request: HttpRequest, draft: ImportDraft) -> HttpResponse:
        step = request.POST.get("step")
        if step == "drop":
            import_drafts.drop(request.session)
            self.message_user(request, "Nothing was imported, and the uploaded file was deleted.", messages.INFO)
            return HttpResponseRedirect(reverse(_LIST))
        if step == "apply" and request.POST.get("token") == draft.token:
            return self._apply(request, draft)
        if step == "apply":
            self.message_user(request, _OTHER, messages.WARNING)
        form = ReadAsForm(request.POST)
        if step == "read" and form.is_valid():
            import_drafts.keep(request.session, ImportDraft(draft.name, draft.content, **form.cleaned_data))
        return HttpResponseRedirect(reverse(_PREVIEW))

    def _apply(self, request: HttpRequest, draft: ImportDraft) -> HttpResponse:
        reading = read(draft.content, encoding=draft.encoding, separator=draft.separator)
        if reading.problem or not reading.entries:
            return HttpResponseRedirect(reverse(_PREVIEW))
        new = suppressions_import(entries=reading.entries)
        import_drafts.drop(request.session)
        known = counted(len(reading.entries) - new, "was", "were")
        damaged = reading.damaged.count
        lines = f" {counted(damaged, 'damaged line was', 'damaged lines were')} left out." if damaged else ""
        done = f"{counted(new, 'person is', 'people are')} suppressed now; {known} suppressed already.{lines}"
        self.message_user(request, done, messages.SUCCESS)
        return HttpResponseRedirect(reverse(_LIST))

    def _show(self, request: HttpRequest, draft: ImportDraft) -> HttpResponse:
        reading = read(draft.content, encoding=draft.encoding, separator=draft.separator)
        known = 0 if reading.problem else suppressions_known(reading.entries)
        context = {
            **self.admin_site.each_context(request),
            "title": f"Import {draft.name}",
            "opts": self.opts,
            "draft": draft,
            "reading": reading,
            "understood": []
            if reading.problem
            else [capfirst(line).partition(": ")[::2] for line in reading.understood()],
            "sample": _sample(reading),
            "counts": _counts(reading, known),
            "new": len(reading.entries) - known,
            "form": ReadAsForm(initial={"encoding": draft.encoding, "separator": draft.separator}),
        }
        return TemplateResponse(request, "campaigns/suppressions_preview.html", context)


def _sample(reading: ParsedFile) -> list[tuple[int, list[tuple[str, str]]]]:
    """Each row's line number and cells, each cell with its column's name."""
    columns = [meaning or "not read" for _, meaning in reading.columns]
    return [(row.line, list(zip_longest(columns, row.cells, fillvalue=""))) for row in reading.sample]


def _counts(reading: ParsedFile, known: int) -> list[tuple[str, int, Any]]:
    return [
        ("To be suppressed", len(reading.entries) - known, None),
        ("Already suppressed", known, None),
        ("Damaged, left out", reading.damaged.count, reading.damaged),
        ("Skipped", reading.skipped.count, reading.skipped),
    ]
