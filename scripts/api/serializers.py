"""The shape of an assignment's progress over HTTP. `runs` and `run` are the plays: other programs know them by these
names."""

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
    said_at = serializers.DateTimeField(allow_null=True)
    telegram_message_id = serializers.IntegerField(allow_null=True)


class PlayProgressSerializer(serializers.Serializer):
    id = serializers.UUIDField()
    chat = serializers.CharField()
    chat_title = serializers.CharField()
    state = serializers.CharField()
    reason = serializers.CharField()
    incident = serializers.CharField()
    planned = serializers.IntegerField()
    said = serializers.IntegerField()
    not_said = serializers.IntegerField()
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
    said = serializers.IntegerField()
    not_said = serializers.IntegerField()
    leaving = serializers.IntegerField()
    activated_at = serializers.DateTimeField(allow_null=True)
    started_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)
    runs = PlayProgressSerializer(many=True, source="plays")
    more_after = serializers.CharField()


class WantedSerializer(serializers.Serializer):
    """The parameters of the address."""

    run = serializers.UUIDField(required=False, source="play")
    chat = serializers.CharField(required=False)
    since = serializers.DateTimeField(required=False)
    after = serializers.CharField(required=False)
    limit = serializers.IntegerField(required=False, min_value=1, max_value=MOST_PLAYS)
