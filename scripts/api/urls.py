from django.urls import path

from scripts.api.views import AssignmentProgressView

progress = AssignmentProgressView.as_view()

urlpatterns = [
    path("api/assignments/<uuid:assignment_id>/progress/", progress, name="assignment-progress"),
    # The older path of the same view, which other programs poll.
    path("api/sfc/<uuid:assignment_id>/progress/", progress, name="sfc-progress"),
]
