from uuid import UUID

from django.http import Http404
from rest_framework.permissions import BasePermission, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from panelkit.rights import may_view
from scripts.api.serializers import AssignmentProgressSerializer, WantedSerializer
from scripts.models import Assignment
from scripts.selectors import Wanted, assignment_progress


class MayViewAssignments(BasePermission):
    """The answer contains what the assignment's page shows, all texts included, so it needs the same permission."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        return may_view(request.user, "scripts.Assignment")


class AssignmentProgressView(APIView):
    """The progress of an assignment, with a page of its plays. Read-only.

    Answers 404 for an unknown id, and 400 for an invalid parameter.
    """

    permission_classes = (IsAuthenticated, MayViewAssignments)

    def get(self, request: Request, assignment_id: UUID) -> Response:
        parameters = WantedSerializer(data=request.query_params)
        parameters.is_valid(raise_exception=True)
        try:
            progress = assignment_progress(assignment_id=assignment_id, wanted=Wanted(**parameters.validated_data))
        except Assignment.DoesNotExist as error:
            raise Http404 from error
        return Response(AssignmentProgressSerializer(progress).data)
