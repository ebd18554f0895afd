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
    """The answer holds what the assignment's page in the panel shows: every text."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        return may_view(request.user, "scripts.Assignment")


class AssignmentProgressView(APIView):
    """How far an assignment has come in each of its chats, a page of them at a time. Read-only; 404 for an id that
    nobody has, 400 for a parameter that says nothing."""

    permission_classes = (IsAuthenticated, MayViewAssignments)

    def get(self, request: Request, assignment_id: UUID) -> Response:
        parameters = WantedSerializer(data=request.query_params)
        parameters.is_valid(raise_exception=True)
        try:
            progress = assignment_progress(assignment_id=assignment_id, wanted=Wanted(**parameters.validated_data))
        except Assignment.DoesNotExist as error:
            raise Http404 from error
        return Response(AssignmentProgressSerializer(progress).data)
