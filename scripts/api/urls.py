from django.urls import path

from scripts.api.views import SfcProgressView

urlpatterns = [
    path("api/sfc/<uuid:sfc_id>/progress/", SfcProgressView.as_view(), name="sfc-progress"),
]
