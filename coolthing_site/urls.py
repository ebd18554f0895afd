from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

from coolthing_site.panel.health import health

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("admin/", admin.site.urls),
    path("health/", health, name="health"),
    path("", include("scripts.urls")),
]
