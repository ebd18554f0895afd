from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

from coolthing_site.panel.health import health
from coolthing_site.web.metrics_view import metrics

admin.autodiscover()

handler400 = "coolthing_site.web.error_pages.bad_request"
handler403 = "coolthing_site.web.error_pages.forbidden"
handler404 = "coolthing_site.web.error_pages.not_found"
handler500 = "coolthing_site.web.error_pages.server_error"

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("admin/queues/", include("coolthing_site.panel.queues")),
    path("admin/trace/", include("coolthing_site.panel.trace")),
    path("admin/", include("coolthing_site.panel.moved")),
    path("admin/", admin.site.urls),
    path("health/", health, name="health"),
    path("metrics", metrics, name="metrics"),
    path("", include("scripts.api.urls")),
]
