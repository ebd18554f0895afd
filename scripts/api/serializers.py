"""The JSON of an assignment's progress.

Some keys are older than the names in the code, because other programs read them: `runs` and `run` are plays, `said` is
the number of sent lines.
"""

from rest_framework import serializers

from scripts.selectors import MOST_PLAYS


class StepProgressSerializer(serializers.Serializer):
    id = serializers.UUIDField()
    line_id = serializers.UUIDField()
    position = serializers.IntegerField()
    slot = serializers.CharField()
    bot = serializers.CharField()
    text = serializers.CharField()
    state = serializers.CharField()
    reason = serializers.CharField()
    waiting_reason = serializers.CharField()
    waiting_until = serializers.DateTimeField(allow_null=True)
    said_at = serializers.DateTimeField(allow_null=True, source="sent_at")
    telegram_message_id = serializers.IntegerField(allow_null=True)


class PlayProgressSerializer(serializers.Serializer):
    id = serializers.UUIDField()
    chat = serializers.CharField()
    chat_title = serializers.CharField()
    state = serializers.CharField()
    reason = serializers.CharField()
    incident = serializers.CharField()
    planned = serializers.IntegerField()
    said = serializers.IntegerField(source="sent")
    not_said = serializers.IntegerField(source="not_sent")
    started_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField(allow_null=True)
    steps = StepProgressSerializer(many=True)


class AssignmentProgressSerializer(serializers.Serializer):
    id = serializers.UUIDField()
    campaign = serializers.CharField()
    script = serializers.CharField()
    state = serializers.CharField()
    reason = serializers.CharField()
    incident = serializers.CharField()
    planned = serializers.IntegerField()
    said = serializers.IntegerField(source="sent")
    not_said = serializers.IntegerField(source="not_sent")
    leaving = serializers.IntegerField()
    activated_at = serializers.DateTimeField(allow_null=True)
    started_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)
    runs = PlayProgressSerializer(many=True, source="plays")
    more_after = serializers.CharField()


class WantedSerializer(serializers.Serializer):
    """The query parameters."""

    run = serializers.UUIDField(required=False, source="play")
    chat = serializers.CharField(required=False)
    since = serializers.DateTimeField(required=False)
    after = serializers.CharField(required=False)
    limit = serializers.IntegerField(required=False, min_value=1, max_value=MOST_PLAYS)
