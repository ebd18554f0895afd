"""Keywords get a language with operators. Stored keywords keep their meaning: their signs are escaped."""

import re

from django.db import migrations, models

import parser.keywords.checks

# The signs that are operators from now on, where they are operators: `c#` and `wi-fi` stay as they are.
_OPERATORS = re.compile(r'(?<!\S)[-#@]+(?=\S)|[*~|"«»“”„()\\]|(?<!\S)&(?!\S)')


def escape(apps, schema_editor):
    keywords = apps.get_model("parser", "Keyword").objects.using(schema_editor.connection.alias)
    for keyword in keywords.iterator():
        text = _OPERATORS.sub(lambda found: "".join(f"\\{sign}" for sign in found[0]), keyword.text)
        if text != keyword.text:
            keywords.filter(pk=keyword.pk).update(text=text)


def unescape(apps, schema_editor):
    keywords = apps.get_model("parser", "Keyword").objects.using(schema_editor.connection.alias)
    for keyword in keywords.filter(text__contains="\\").iterator():
        keywords.filter(pk=keyword.pk).update(text=re.sub(r"\\(.)", r"\1", keyword.text)[:200])


class Migration(migrations.Migration):
    dependencies = [
        ("parser", "0017_keyword_lab"),
    ]

    operations = [
        migrations.AlterField(
            model_name="keyword",
            name="text",
            field=models.CharField(
                help_text="A word or phrase with all its grammatical forms. Also: “exact form” in straight quotation "
                "marks, begin*, near ~3 words, (one | other) word, word -without, #hashtag, @name.",
                max_length=400,
                validators=[parser.keywords.checks.check_keyword],
            ),
        ),
        migrations.RunPython(escape, unescape, hints={"model_name": "keyword"}),
    ]
