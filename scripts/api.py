from uuid import UUID

from django.http import Http404
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from scripts.models import ScriptForCampaign
from scripts.selectors import sfc_progress
from scripts.serializers import SfcProgressSerializer


class SfcProgressView(APIView):
    """How far a script has come in each of its chats. Read-only; 404 for an id that nobody has."""

    def get(self, request: Request, sfc_id: UUID) -> Response:
        try:
            progress = sfc_progress(sfc_id=sfc_id)
        except ScriptForCampaign.DoesNotExist as error:
            raise Http404 from error
        return Response(SfcProgressSerializer(progress).data)
