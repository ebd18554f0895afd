"""The pages and list actions that carry out a ModelAdmin's operations."""

from collections.abc import Callable, Sequence
from typing import Any

from django.contrib import messages
from django.contrib.admin import helpers
from django.contrib.admin.utils import quote, unquote
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from unfold.admin import ModelAdmin

from panelkit.operations import Call, Offer, Operation
from panelkit.registry import Link, links_of

CONFIRMED = "_confirmed"
# The most rows of one request.
BULK_LIMIT = 1000
# The most rows that a confirmation page names.
ROWS_NAMED = 20
# The most rows for which a confirmation page lists what is missing: each of them takes queries.
MISSING_SHOWN = 20


class OperatingAdmin(ModelAdmin):
    """A ModelAdmin with `operations`; errors of the kinds in `service_errors` are shown as messages."""

    operations: Sequence[Operation] = ()
    service_errors: tuple[type[Exception], ...] = ()

    def may_operate(self, request: HttpRequest, operation: Operation | None = None) -> bool:
        """Whether the user may carry out the operation.

        This needs the permission to change the model, also on read-only pages. An operation with its own `right` needs
        that permission and the permission to view the model instead.
        """
        if operation is not None and operation.right:
            return request.user.has_perm(operation.right) and self.has_view_permission(request)
        return request.user.has_perm(f"{self.opts.app_label}.change_{self.opts.model_name}")

    def row_name(self, row: Any) -> str:
        """The row's name on a confirmation page."""
        return str(row)

    def offers(self, request: HttpRequest, row: Model) -> list[Offer]:
        links = [_to_page(link, url) for link, url in links_of(row, request)]
        offered = (
            operation for operation in self.operations if operation.when(row) and self.may_operate(request, operation)
        )
        return [*(Offer(operation, self._operation_url(row, operation)) for operation in offered), *links]

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.operation_view)
        return [path("<path:object_id>/do/<slug:name>/", view, name=self._url_name("operate")), *super().get_urls()]

    def operation_view(self, request: HttpRequest, object_id: str, name: str) -> HttpResponse:
        operation = next((operation for operation in self.operations if operation.name == name), None)
        row = self.get_object(request, unquote(object_id))
        if operation is None or row is None:
            raise Http404
        if not self.may_operate(request, operation):
            raise PermissionDenied
        form = operation.bound_form(request, submitted=request.method == "POST", row=row)
        if request.method == "POST" and form.is_valid():
            results = self._operate(operation, [row], Call(request, form.cleaned_data))
            return HttpResponseRedirect(self._url_after(operation, row, results))
        return self._confirmation_page(request, operation, [row], form, back=self._change_url(row))

    def _url_after(self, operation: Operation, row: Model, results: Sequence[Any]) -> str:
        if operation.removes and not type(row)._default_manager.filter(pk=row.pk).exists():
            return reverse(f"admin:{self._url_name('changelist')}")
        return self._change_url(results[0] if operation.makes and results else row)

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        actions = dict(super().get_actions(request))
        bulk = (operation for operation in self.operations if operation.bulk and self.may_operate(request, operation))
        return actions | {
            f"do_{operation.name}": (_bulk(operation), f"do_{operation.name}", operation.label) for operation in bulk
        }

    def operate_on_selected(
        self, request: HttpRequest, operation: Operation, selected: QuerySet[Any]
    ) -> HttpResponse | None:
        confirmed = CONFIRMED in request.POST
        form = operation.bound_form(request, submitted=confirmed)
        rows = list(selected[: BULK_LIMIT + 1])
        if len(rows) > BULK_LIMIT:
            self.message_user(request, f"Select at most {BULK_LIMIT} rows.", messages.ERROR)
        elif not operation.has_page or (confirmed and form.is_valid()):
            results = self._operate(operation, rows, Call(request, form.cleaned_data if confirmed else {}))
            if len(rows) == 1 and not results:
                # The row's page, where the user can solve the problem that the message reports.
                return HttpResponseRedirect(self._change_url(rows[0]))
        else:
            return self._confirmation_page(request, operation, rows, form, back=request.get_full_path(), bulk=True)
        return None

    def _operate(self, operation: Operation, rows: Sequence[Model], call: Call) -> list[Any]:
        """The operation's results for the rows for which the service did not refuse it."""
        results = []
        # The names of the rows by result: the same operation may have a different result for each row.
        done: dict[str, list[str]] = {}
        for row in rows:
            try:
                result = operation.run(row, call)
            except self.service_errors as error:
                self.message_user(call.request, f"{row}: {error}", messages.ERROR)
                continue
            results.append(result)
            name = f"This {self.opts.verbose_name}" if operation.removes else str(row)
            if not operation.removes:
                self.log_change(call.request, row, f"{operation.label}.")
            done.setdefault(operation.result_text(result), []).append(name)
        for text, names in done.items():
            what = names[0] if len(names) == 1 else f"Each of {len(names)} {self.opts.verbose_name_plural}"
            self.message_user(call.request, f"{what} {text}", messages.SUCCESS)
        return results

    def _confirmation_page(
        self,
        request: HttpRequest,
        operation: Operation,
        rows: Sequence[Model],
        form: Any,
        *,
        back: str,
        bulk: bool = False,
    ) -> HttpResponse:
        missing = {row: found for row in rows[:MISSING_SHOWN] if (found := operation.missing_of(row))}
        context = {
            **self.admin_site.each_context(request),
            "title": operation.label,
            "opts": self.opts,
            "operation": operation,
            "original": None if bulk else rows[0],
            "rows": rows,
            "names": [self.row_name(row) for row in rows[:ROWS_NAMED]],
            "missing": [(row, self._change_url(row), found) for row, found in missing.items()],
            # If only some of the rows have problems, the user can continue with the others.
            "possible": len(missing) < len(rows),
            "form": form,
            "back": back,
            "bulk": bulk,
            "confirmed": CONFIRMED,
            "checkbox": helpers.ACTION_CHECKBOX_NAME,
        }
        return TemplateResponse(request, "panelkit/operation.html", context)

    def _url_name(self, kind: str) -> str:
        return f"{self.opts.app_label}_{self.opts.model_name}_{kind}"

    def _operation_url(self, row: Model, operation: Operation) -> str:
        return reverse(f"admin:{self._url_name('operate')}", args=(quote(row.pk), operation.name))

    def _change_url(self, row: Model) -> str:
        return reverse(f"admin:{self._url_name('change')}", args=(quote(row.pk),))


def _to_page(link: Link, url: str) -> Offer:
    return Offer(Operation("page", link.label, run=lambda *_: None, done="", icon=link.icon, page=True), url)


def _bulk(operation: Operation) -> Callable[[Any, HttpRequest, QuerySet[Any]], HttpResponse | None]:
    def act(model_admin: Any, request: HttpRequest, selected: QuerySet[Any]) -> HttpResponse | None:
        answer: HttpResponse | None = model_admin.operate_on_selected(request, operation, selected)
        return answer

    return act
