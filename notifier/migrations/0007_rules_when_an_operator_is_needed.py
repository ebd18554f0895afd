"""Channels with a rule for every service's errors are also notified of what waits for an operator. An AI that cannot go
on was a `manager.error` before and is a `manager.handover` now: a rule for that error alone gets the new key."""

from django.db import migrations

PATTERNS = ('*.handover', '*.approval', '*.dead_letter', '*.play_failed')


def add_rules(apps, schema_editor):
    Rule = apps.get_model('notifier', 'Rule')
    for channel_id in Rule.objects.filter(pattern='*.error').values_list('channel_id', flat=True):
        rules = [Rule(channel_id=channel_id, pattern=pattern) for pattern in PATTERNS]
        Rule.objects.bulk_create(rules, ignore_conflicts=True)
    alone = Rule.objects.filter(pattern='manager.error').exclude(channel__rules__pattern='*.handover')
    rules = [Rule(channel_id=channel_id, pattern='manager.handover') for channel_id in alone.values_list('channel_id', flat=True)]
    Rule.objects.bulk_create(rules, ignore_conflicts=True)


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ('notifier', '0006_bundles_index'),
    ]

    operations = [migrations.RunPython(add_rules, migrations.RunPython.noop)]
