from django.urls import path

from scripts.api.views import AssignmentProgressView

progress = AssignmentProgressView.as_view()

urlpatterns = [
    path("api/sfc/<uuid:assignment_id>/progress/", progress, name="sfc-progress"),
]
