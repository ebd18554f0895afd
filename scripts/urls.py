from django.urls import path

from scripts.api import SfcProgressView

urlpatterns = [
    path("api/sfc/<uuid:sfc_id>/progress/", SfcProgressView.as_view(), name="sfc-progress"),
]
